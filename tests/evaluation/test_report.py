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

from sgseg.evaluation.averaging import GAINS
from sgseg.evaluation.cross_validation import evaluate
from sgseg.evaluation.data import DataSet
from sgseg.evaluation.pages import as_code, as_plain
from sgseg.evaluation.report import write_report
from sgseg.evaluation.table import AVERAGING_COLUMNS, COLUMNS, HEADLINE
from sgseg.evaluation.timing import Timing
from sgseg.inference.bundle import BundleSpec, write_spec
from sgseg.inference.segmenter import Segmenter
from sgseg.training.merge import merge_onnx

from .cases import ROOT, field, params_with, roles, write_dataset

NASTY, NASTY_TAG = "<b>x.png", "<img src=x onerror=alert(1)>"
MILLISECONDS = {"one_1": 40.4, "one_8": 321.0, "all_1": 82.0, "all_8": 640.0}
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
    # Granules are 3 times as bright as the cell: all found by the first, none by the second.
    alone = [root / f"{number}.onnx" for number in range(2)]
    for path, middle in zip(alone, (2.0, 3.3), strict=True):
        write_pointwise_network(path, middle=middle)
    merge_onnx(alone, ["fold_0", "fold_1"], root / "model.onnx")
    params = params_with()
    params = params.model_copy(
        update={"data": params.data.model_copy(update={"source": "<i>lab</i> *one*"})}
    )
    settings = {"normalise": "background"}
    write_spec(root, BundleSpec(["fold_0", "fold_1"], settings, 0.5, 1, 16))
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
        timing=Timing("EPYC <b>", 2, 3, 0.25, 5, MILLISECONDS),
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
    # Out of fold best, median, worst; test best, worst; two curves; uncertainty.
    assert len(links) == 3 + 2 + 2 + 1
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
    row = row_of(written, "object F1")
    assert 0.5 < value < 1
    assert f"{value:.3f}" in row
    for column in COLUMNS:
        assert column in written.markdown
    for title in HEADLINE.values():
        assert f"| {title} |" in written.markdown
    assert row.split(" | ")[-1] == "0.880 |"  # the label ceiling


def test_what_averaging_costs_and_gains(written: Written) -> None:
    section = written.metrics["averaging"]
    assert " | ".join(AVERAGING_COLUMNS) in written.markdown
    out_of_fold = section["one_1_out_of_fold_object_f1"]["value"]
    test = section["one_1_test_object_f1"]
    cells = row_of(written, "1 network, 1 orientation").split(" | ")
    assert cells[1] == f"{out_of_fold:.3f}"
    assert cells[3] == f"{test['value']:.3f} ± {test['std']:.3f}"
    assert cells[5] == "40 (1.0 x) |"
    cells = row_of(written, "**all 2 networks, 8 orientations** (in use)").split(" | ")
    assert cells[1:3] == ["", ""]  # nothing out of fold
    assert cells[3] == f"{section['all_8_test_object_f1']['value']:.3f}"
    assert cells[5] == "640 (15.8 x) |"
    for title in GAINS.values():
        assert f"| {title} |" in written.markdown
    gain = section["gain_members_test_object_f1"]
    shown = f"{gain['value']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]"
    assert shown in row_of(written, GAINS["members_test"])
    assert gain["value"] != 0
    assert "EPYC <b>, 2 cores" in "".join(Page(written.html).texts)


def test_times_are_in_a_file_of_their_own(written: Written) -> None:
    times = json.loads((written.folder / "timing.json").read_text(encoding="utf-8"))
    assert times["milliseconds_per_megapixel"] == MILLISECONDS
    assert "millisecond" not in (written.folder / "metrics.json").read_text(encoding="utf-8")


def test_what_disagreement_tells(written: Written) -> None:
    section = written.metrics["uncertainty"]
    assert (section["images"], section["right_granules"] > 0) == (2, True)
    assert "What the networks' disagreement tells" in written.markdown
    table = pd.read_csv(written.folder / "images.csv")
    shown = table[(table["method"] == "network") & (table["part"] == "test")]["uncertainty"]
    assert ((shown > 0) & (shown <= 1)).all()
    assert table["uncertainty"].count() == 2


def test_what_flatters_is_called_so(written: Written) -> None:
    (line,) = [line for line in written.markdown.splitlines() if line.startswith("Flattering")]
    for part, name in (("tuned_on_itself", "network"), ("baseline_tuned_on_itself", "baseline")):
        f1 = written.metrics[part]["object_f1"]["value"]
        iou = written.metrics[part]["foreground_iou"]["value"]
        shown = f"an object F1 of {f1:.3f} and a foreground IoU of {iou:.3f}"
        assert f"the {name} reaches {shown}" in line


def row_of(written: Written, title: str) -> str:
    """The only row of a table that begins with `title`."""
    (row,) = [li for li in written.markdown.splitlines() if li.startswith(f"| {title} |")]
    return row


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
        page = Page(str(render(f"- {as_code(name)}, end")))
        assert "".join(page.texts).strip() == f"{shown}, end"
        assert page.tags == {"ul", "li", "code"}
    page = Page(str(render(f"is {as_plain(name)} end")))
    assert "".join(page.texts).split() == f"is {shown} end".split()
    assert page.tags == {"p"}
