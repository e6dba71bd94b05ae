"""The page of a preview."""

from __future__ import annotations

import re

from sgseg.preview.clone import Run
from sgseg.preview.revisions import Revisions
from sgseg.preview.summary import Preview, page, run_url

HEAD, BASE = "a" * 40, "b" * 40
TABLE = (
    f"| Path | Metric | {BASE} | {HEAD} | Change |\n|--|--|--|--|--|\n"
    "| m.json | test.object_f1.value | 0.1 | 0.2 | 0.1 |\n"
)
PARAMS = (
    f"| Path | Param | {BASE} | {HEAD} |\n|--|--|--|--|\n"
    "| params.yaml | train.epochs | 60 | 70 |\n| params.yaml | train.seed | 1 | 2 |\n"
)


def preview(**values: object) -> Preview:
    """A preview of two runs that came to an end."""
    usual: dict[str, object] = {
        "base": Run("1", ("simulate", "train"), ()),
        "head": Run("2", ("train",), ("simulate",)),
        "tiny": {"train.epochs"},
    }
    return Preview(Revisions(HEAD, BASE), **(usual | values))  # type: ignore[arg-type]


def test_what_differs_is_on_the_page() -> None:
    text = page(preview(scores=TABLE, params=PARAMS))
    assert "## Preview of `aaaaaaa` against `bbbbbbb`" in text
    assert text.count("| test.object_f1.value | 0.1 | 0.2 | 0.1 |") == 2  # first, and among all
    assert "This change makes run again: `train`." in text
    assert "Untouched, taken from the base: `simulate`." in text
    assert "`dvc.lock` is the same" in text


def test_parameters_that_the_tiny_run_replaces_are_named() -> None:
    said = re.search(r"values of its own for (.*):", page(preview(params=PARAMS)))
    assert said is not None
    assert said[1] == "`train.epochs`"


def test_parts_of_a_replaced_parameter_count_as_replaced() -> None:
    params = PARAMS.replace("train.epochs", "tune.budgets.small.trials")
    text = page(preview(params=params, tiny={"tune.budgets", "train.see"}))
    assert "values of its own for `tune.budgets.small.trials`:" in text


def test_no_change_is_said() -> None:
    text = page(preview())
    assert "**No score changes.**" in text
    assert "No parameter changes." in text


def test_without_a_base_the_scores_are_those_of_now() -> None:
    now = "| Path | Metric | HEAD |\n|--|--|--|\n| m.json | test.object_f1.value | 0.2 |\n"
    alone = Preview(Revisions(HEAD, None, "There is no `x`."), head=Run("2", ("train",), ()))
    alone.scores = now
    text = page(alone)
    assert "There is no `x`." in text
    assert "| test.object_f1.value | 0.2 |" in text
    assert "### Parameters" not in text
    assert "Ran: `train`." in text


def test_another_model_is_compared_by_its_real_scores() -> None:
    assert "0.1 | 0.2" in page(preview(is_locked=True, real_scores=TABLE))
    unknown = page(preview(is_locked=True, real_problem="no remote"))
    assert "cannot be had here: no remote" in unknown
    assert "no score does" in page(preview(is_locked=True))


def test_a_failure_comes_first_and_whole() -> None:
    text = page(preview(head=None, failures={"head": "KeyError: 'x'\n"}))
    assert "**The pipeline failed at the head.**\n\n```text\nKeyError: 'x'\n```" in text
    assert "### Scores" not in text


def test_other_packages_are_said() -> None:
    assert "`requirements.lock` differs" in page(preview(has_other_packages=True))


def test_pictures_are_side_by_side_or_in_the_artifact() -> None:
    shown = preview(pictures=("base/a.png", "head/a.png", "head/b.png"))
    assert "| a | ![base/a.png](base/a.png) | ![head/a.png](head/a.png) |" in page(shown)
    assert "| b |  | ![head/b.png](head/b.png) |" in page(shown)
    there = page(shown, "https://example.org/run")
    assert (
        "3 pictures are in the artifact `preview` of [this run](https://example.org/run)" in there
    )
    assert "![" not in there


def test_a_page_fits_into_a_comment() -> None:
    row = "| params.yaml | train.{} | 1 | 2 |\n"
    params = PARAMS + "".join(row.format(i) for i in range(5000))
    scores = TABLE + "".join(f"| m.json | folds.{i} | 1 | 2 | 1 |\n" for i in range(5000))
    text = page(preview(params=params, scores=scores, is_locked=True, real_scores=scores))
    assert len(text) < 65_536
    assert text.count("Cut here") == 3


def test_the_job_is_linked_where_there_is_one() -> None:
    github = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/r"}
    assert run_url(github) == ""
    assert run_url(github | {"GITHUB_RUN_ID": "7"}) == "https://github.com/o/r/actions/runs/7"
