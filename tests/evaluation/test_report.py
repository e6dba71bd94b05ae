"""The report: complete, and safe whatever files are called."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import mistune
import pandas as pd
import pytest
import yaml
from examples import write_pointwise_network
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sgseg.evaluation.cross_validation import DataSet, evaluate
from sgseg.evaluation.report import _as_code, _as_plain, _best_median_worst, write_report
from sgseg.evaluation.table import COLUMNS, HEADLINE
from sgseg.inference.bundle import BundleSpec, Segmenter, write_spec

from .cases import ROOT, field, image_counts, params_with, roles, write_dataset

NASTY, NASTY_TAG = "<b>x.png", "<img src=x onerror=alert(1)>"
IDS = ["a", NASTY, "c$^$", "d__e", "f|g", "h`i"]


@dataclass(frozen=True)
class Written:
    folder: Path
    metrics: dict[str, Any]
    html: str
    markdown: str


class Page(HTMLParser):
    """Tags, links and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A report on six development and two test images, one of them an empty control."""
    root = tmp_path_factory.mktemp("report")
    for number in (0, 1):
        write_pointwise_network(root / f"{number}.onnx", middle=2.0)
    params = params_with()
    params = params.model_copy(
        update={"data": params.data.model_copy(update={"source": "<i>lab</i> *one*"})}
    )
    settings = {"normalise": "background"}
    write_spec(root, BundleSpec(["0.onnx", "1.onnx"], settings, 0.5, 1, 16))
    fields = {name: field(seed, brightness=3) for seed, name in enumerate([*IDS, "t", "u"])}
    fields["a"] = field(9, granules=[])
    fields["d__e"] = field(8, brightness=1.5)  # too dim for the network: no score is 1 by accident
    dataset = write_dataset(root / "dataset", fields)
    table = roles({name: k % 2 for k, name in enumerate(IDS)}, ["t", "u"])
    data = DataSet(dataset, table, [0, 1])
    evaluation, maps = evaluate(params, data, Segmenter.load(root), root / "maps")
    folder = root / "out"
    metrics = write_report(
        folder,
        evaluation,
        params,
        data,
        maps,
        copies={
            "groups": [[NASTY, "c$^$", "*j*"], ["d__e", "h`i"]],
            "pairs": [],
            "ceiling": {
                "pairs": 1,
                "iou": 0.54,
                "dice": 0.7,
                "object_f1": 0.88,
                "object_iou": 0.3,
            },
        },
        findings={
            "quarantined": ["q"],
            "findings": [
                {
                    "image_id": "q",
                    "file": f"{NASTY_TAG}.tif",
                    "what": "*ends* early",
                },
                {"image_id": "a", "file": "a.tif", "what": "a warning that stops nothing"},
            ],
        },
        data_digest="d" * 32,
        commit="c0ffee",
    )
    return Written(
        folder,
        metrics,
        (folder / "report.html").read_text(encoding="utf-8"),
        (folder / "report.md").read_text(encoding="utf-8"),
    )


def test_names_are_shown_and_never_become_mark_up(written: Written) -> None:
    page = Page(written.html)
    known = {"html", "meta", "title", "style", "h1", "h2", "h3", "p", "strong", "em", "ul", "li"}
    known |= {"table", "thead", "tbody", "tr", "th", "td", "img", "code"}
    assert page.tags <= known
    text = "".join(page.texts)
    for name in [NASTY, "c$^$", "*j*", "d__e", "h`i", f"{NASTY_TAG}.tif", "*ends* early"]:
        assert name in text
    assert "<i>lab</i> *one*: how well the model finds stress granules" in text
    assert "sgseg: <i>lab</i> *one*" in text


def test_every_picture_of_the_page_is_there(written: Written) -> None:
    links = Page(written.html).links
    assert len(links) == 3 + 2 + 2  # out of fold best, median, worst; test best, worst; two curves
    for link in links:
        assert Image.open(written.folder / link).size[0] > 100


def test_dvc_finds_what_it_is_to_show(written: Written) -> None:
    content = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    named = set(content["metrics"])
    for plot in content["plots"]:
        if isinstance(plot, str):
            named.add(plot)
        else:
            for settings in plot.values():
                named |= settings["y"].keys() | settings["x"].keys()
    for path in named:
        assert (written.folder / Path(path).relative_to("reports/evaluation")).is_file(), path


def test_the_numbers_of_the_page_are_those_of_metrics_json(written: Written) -> None:
    on_disk = json.loads((written.folder / "metrics.json").read_text(encoding="utf-8"))
    assert on_disk == written.metrics
    value = on_disk["out_of_fold"]["object_f1"]["value"]
    (row,) = [line for line in written.markdown.splitlines() if line.startswith("| object F1 |")]
    assert 0.5 < value < 1
    assert f"{value:.3f}" in row
    for column in COLUMNS:
        assert column in written.markdown
    for title in HEADLINE.values():
        assert f"| {title} |" in written.markdown
    assert row.split(" | ")[-1] == "0.880 |"  # the label ceiling


def test_what_was_set_aside_is_said_first(written: Written) -> None:
    assert "**Set aside by `validate`: 1 file**" in written.markdown
    assert "a warning that stops nothing" not in written.markdown
    assert written.markdown.index("Set aside") < written.markdown.index("## Scores")


def test_a_row_per_image_and_method_in_images_csv(written: Written) -> None:
    table = pd.read_csv(written.folder / "images.csv")
    assert len(table) == 2 * (len(IDS) + 2)
    own = table[(table["method"] == "network") & (table["part"] == "out_of_fold")]
    assert sorted(own["image_id"]) == sorted(IDS)
    pooled = own[["objects_tp", "objects_fp", "objects_fn"]].sum()
    tp, fp, fn = pooled
    expected = written.metrics["out_of_fold"]["object_f1"]["value"]
    assert 2 * tp / (2 * tp + fp + fn) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["curves.csv", "curves_test.csv"])
def test_curves_are_single_lines_of_rates(name: str, written: Written) -> None:
    table = pd.read_csv(written.folder / name)
    assert table["recall"].is_monotonic_increasing
    assert table["false_positive_rate"].is_monotonic_increasing
    assert table.min().min() >= 0
    assert table.max().max() <= 1
    assert table.iloc[-1][["recall", "false_positive_rate"]].tolist() == [1, 1]
    assert not table.duplicated().any()


NAMES = st.text(st.sampled_from("ab`*_[]()<>#|~&\\! $é-.1\n"), min_size=1, max_size=12)


@given(NAMES)
def test_any_name_comes_through_markdown(name: str) -> None:
    shown = " ".join(name.split())
    render = mistune.create_markdown(plugins=["table"])
    if shown:
        page = Page(str(render(f"- {_as_code(name)}, end")))
        assert "".join(page.texts).strip() == f"{shown}, end"
        assert page.tags == {"ul", "li", "code"}
    page = Page(str(render(f"is {_as_plain(name)} end")))
    assert "".join(page.texts).split() == f"is {shown} end".split()
    assert page.tags == {"p"}


@given(st.integers(1, 30), st.integers(1, 6))
def test_no_image_is_shown_twice(images: int, number: int) -> None:
    counts = [
        image_counts((k, images - k, 0, 1), (k, images - k, 0, 1.0), image_id=str(k))
        for k in range(1, images + 1)
    ]
    chosen = _best_median_worst(counts, number)
    shown = [c.image_id for part in chosen.values() for c in part]
    assert len(set(shown)) == len(shown)
    assert all(0 < len(part) <= number for part in chosen.values())
    # F1 grows with the number: the last is the best, the first the worst, as far as both are there.
    assert chosen["best"][0].image_id == str(images)
    assert images == 1 or chosen["worst"][0].image_id == "1"
    assert set(chosen) == {"best", "median", "worst"} if images > 2 else "median" not in chosen
    if images > 2:
        middle = int(chosen["median"][len(chosen["median"]) // 2].image_id)
        assert abs(middle - (images + 1) / 2) <= 1
