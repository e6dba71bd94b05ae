"""The report comes about with whatever there is, says it, and needs no other file."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from gate.cases import TestSet, empty, fields, rule_with, write_bundle, write_test_set
from gate.test_page import Page as StrictPage

from sgseg.dataset.difference import DataDifference
from sgseg.errors import Problem
from sgseg.gate.decision import Decision, read_decision, write_json
from sgseg.inference.bundle import digest
from sgseg.retrain import material, report
from sgseg.retrain.changes import Changes
from sgseg.retrain.report import MOST, write_report

FILES = {"report.html", "report.md", "summary.md"}


class Page(StrictPage):
    """Also of tags that close themselves, as <img />."""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)


NASTY = "a|b @ada #12 <b>x"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two models and the decision between them; no git, no registry."""
    root = tmp_path_factory.mktemp("project")
    images = write_test_set(
        root / "data", {**fields(3, faint=3), "control": empty(7, distractors=1)}
    )
    manifest = pd.read_csv(images.dataset / "manifest.csv", dtype=str, keep_default_na=False)
    manifest["condition"] = ["heat", "heat", "heat", "none|<i>"]
    manifest["replicate"] = ["1", "2", "2", "2"]
    manifest["mean"] = "5.0"
    manifest.to_csv(images.dataset / "manifest.csv", index=False)
    challenger = write_bundle(
        root / "models" / "evaluated",
        middle=1.8,
        facts={"scores": {"out_of_fold": {"object_f1": {"value": 0.77, "low": 0.7, "high": 0.8}}}},
    )
    champion = write_bundle(root / "champion", middle=2.5)
    write_decision(images, challenger, champion, root)
    return root


def write_decision(
    images: TestSet, challenger: Path, champion: Path | None, root: Path
) -> Decision:
    decision = images.decide(challenger, champion, rule=rule_with())
    write_json(root / "reports" / "promotion", decision)
    return decision


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy; the champion lies in the user's cache, where it was fetched to before."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'none.db'}")
    champion = trained / "champion"
    shutil.copytree(champion, cache / "sgseg" / "bundles" / digest(champion))
    return Path(shutil.copytree(trained, tmp_path / "project"))


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a git and a DVC that are not there."""
    data = DataDifference(
        new=("field_1", NASTY),
        relabelled=("field_0",),
        renamed=(("old", "new"),),
        described={"field_0": {"condition": ("heat", "")}},
        settings={"pixel_size_um": (0.1, 0.2)},
    )
    found = Changes(
        base="b" * 40,
        since="a" * 40,
        source="few",
        data=data,
        params={"train.epochs": ("3", "5")},
        recipe={"train.learning_rate": ("0.1", None)},
        code=["src/sgseg/nets/unet.py"],
        commits=[("abc1234", "Mend #7 for @bob")],
    )
    monkeypatch.setattr(material, "find_changes", lambda *_: found)

    def before(root: Path, _: object) -> pd.DataFrame:
        manifest = material.read_manifest(root / "data/dataset").head(1)
        return manifest.assign(n_objects=3, foreground_fraction=0.01)

    monkeypatch.setattr(material, "_manifest_at", before)


def write(project: Path, outcome: str, **options: object) -> dict[str, str]:
    """The texts of the report by file name, and the page as a reader sees it as `page`."""
    folder = project / "reports" / "retrain"
    given = {"base": "HEAD", "branch": "retrain/1", "outcome": outcome, **options}
    write_report(project, folder, **given)  # type: ignore[arg-type]
    assert {path.name for path in folder.iterdir() if path.suffix != ".png"} == FILES
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in FILES}
    return {**texts, "page": Page(texts["report.html"]).text.replace("\u200b", "")}


@pytest.mark.usefixtures("changes")
def test_a_better_model(project: Path) -> None:
    texts = write(project, "promote")
    page = texts["page"]
    decision = read_decision(project / "reports" / "promotion")
    assert "the new model may replace the one in use" in page
    assert "merge the branch retrain/1" in page
    for reason in decision.reasons:
        assert reason in page
    assert decision.champion is not None
    for model in (decision.challenger, decision.champion):
        score = model.scores["object_f1"]
        assert f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]" in page
    assert "0.770 [0.700, 0.800]" in page
    for part in ("By condition", "By replicate", "none|<i>", "train.epochs", "not searched"):
        assert part in page
    for part in ("field_0", NASTY, "old → new", "src/sgseg/nets/unet.py", "Mend #7 for @bob"):
        assert part in page
    assert "What this report lacks" not in page
    # What it says and shows needs nothing else.
    sources = Page(texts["report.html"]).sources
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "<b>" not in texts["report.html"]
    assert "<i>" not in texts["report.html"]


@pytest.mark.usefixtures("changes")
def test_for_a_pull_request(project: Path) -> None:
    texts = write(project, "promote")
    assert "![" in texts["report.md"]
    summary = texts["summary.md"]
    assert "![" not in summary
    assert "Pictures of the best, median and worst test images are in report.html" in summary
    outside_code = re.sub(r"`[^`]*`", "", summary)
    assert not re.search(r"@\w|#\d", outside_code)
    assert len(summary) < MOST


@pytest.mark.usefixtures("changes")
def test_lists_are_shortened_before_anything_is_cut(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = material.find_changes(project, "")
    data = DataDifference(new=tuple(f"image_{n:04d}" for n in range(400)))
    long = replace(found, data=data, commits=[("a", "x" * 300)] * 400)
    monkeypatch.setattr(material, "find_changes", lambda *_: long)
    monkeypatch.setattr(report, "_draw", lambda *_: report.Pictures())
    whole = len(write(project, "promote")["summary.md"])
    monkeypatch.setattr(report, "MOST", whole - 1)
    shorter = write(project, "promote")["summary.md"]
    assert "`image_0009`, … and 390 more" in shorter
    assert "How to reproduce it" in shorter
    monkeypatch.setattr(report, "MOST", 900)
    shortest = write(project, "promote")["summary.md"]
    assert len(shortest) <= 900
    assert shortest.startswith("# Retrain: the new model may replace")
    assert "the rest is in report.html" in shortest


@pytest.mark.usefixtures("changes")
def test_refused_by_validation(project: Path) -> None:
    problems = [
        Problem(f"data/raw/few/images/{NASTY}.png", "no image", "PNG", "Save it again."),
        "data/raw/few/images/b.tif: image without mask; expected one mask. Draw it.",
    ]
    page = write(project, "refused by validation", branch="", problems=problems)["page"]
    assert "found 2 problems" in page
    assert "the model in use is untouched" in page
    for part in (NASTY, "no image", "Save it again.", "b.tif", "image without mask", "Draw it."):
        assert part in page
    # The decision on file is an earlier retrain's.
    assert "The decision" not in page
    assert "Scores" not in page
    assert "dvc repro validate" in page


def test_refused_for_what_validation_left_behind(project: Path) -> None:
    finding = {"file": "few/images/b.tif", "what": "blank", "expected": "more", "remedy": "Look."}
    (project / "data" / "validated").mkdir(parents=True)
    path = project / "data" / "validated" / "findings.json"
    path.write_text(json.dumps({"findings": [finding]}))
    page = write(project, "refused by validation")["page"]
    assert "found 1 problem," in page
    assert "blank" in page


def test_without_git_dvc_or_raw_data(project: Path) -> None:
    page = write(project, "not promoted", branch="", base="")["page"]
    assert "the model in use stays" in page
    assert "git knows no commit" in page
    assert "No training is on record before this one" in page
    assert "It cannot be said: there was no training before." in page


def test_a_first_model(project: Path) -> None:
    decision = TestSet(project / "data").decide(
        project / "models" / "evaluated", None, rule=rule_with()
    )
    write_json(project / "reports" / "promotion", decision)
    texts = write(project, "promote")
    assert "a first model, good enough to be used" in texts["page"]
    assert "| champion" not in texts["summary.md"]
    assert "difference [95 %]" not in texts["summary.md"]
    assert "![Best of the challenger" in texts["report.md"]


def test_a_bundle_that_cannot_be_had(project: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "cache")
    texts = write(project, "not promoted")
    assert "What this report lacks" in texts["page"]
    assert "the bundle in use: " in texts["page"]
    # The challenger is drawn all the same.
    assert "![Best of the challenger" in texts["report.md"]


def test_a_decision_on_another_model(project: Path) -> None:
    shutil.rmtree(project / "models" / "evaluated")
    write_bundle(project / "models" / "evaluated", middle=1.9)
    page = write(project, "promote")["page"]
    assert "it is on another model than the one in models/evaluated" in page
    assert "Scores" not in page


@pytest.mark.parametrize(
    "path",
    [
        "data/dataset/manifest.csv",
        "reports/promotion/decision.json",
        "models/evaluated/bundle.json",
        "models/evaluated/model.onnx",
        "data/dataset/images",
        "params.yaml",
    ],
)
@pytest.mark.parametrize("how", ["gone", "broken"])
def test_nothing_missing_or_broken_raises(project: Path, path: str, how: str) -> None:
    broken = project / path
    if broken.is_dir():
        shutil.rmtree(broken)
    else:
        broken.unlink(missing_ok=True)
    if how == "broken":
        broken.write_bytes(b"\xff{[")
    texts = write(project, "promote")
    assert "Retrain: " in texts["page"]
    assert "How to reproduce it" in texts["page"]


def test_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    for outcome in ("nothing to do", "gave way", "something else"):
        assert "Retrain: " in write(tmp_path, outcome)["page"]


def test_pictures_of_an_earlier_report_go(project: Path) -> None:
    folder = project / "reports" / "retrain"
    folder.mkdir(parents=True)
    for name in ("overlay_9.png", "drift.png"):
        (folder / name).write_bytes(b"old")
    write(project, "refused by validation")
    assert not list(folder.glob("*.png"))
