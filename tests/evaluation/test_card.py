"""The model card: numbers from files, names that stay names, and what must not be hidden."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sgseg.dataset.manifest import write_manifest
from sgseg.errors import InputError
from sgseg.evaluation.card import SHORT_LENGTH, summary_text, write_card
from sgseg.inference.bundle import digest, read_spec

NASTY, NASTY_ID = "<b>heat|shock*", "<img src=x onerror=alert(1)>`"
OOF, TEST = "out_of_fold", "test"

# Image, condition, replicate, part, fold; granules found, found but not there, missed; object F1.
IMAGES = (
    ("a1", "arsenite", "1", OOF, 0, (6, 1, 2), 0.8),  # 2 x 6 / (2 x 6 + 1 + 2)
    ("a2", "arsenite", "2", OOF, 1, (3, 0, 3), 0.666667),
    ("c1", "control", "1", OOF, 0, (0, 0, 0), 1.0),
    (NASTY_ID, NASTY, "2", OOF, 1, (0, 2, 0), 0.0),
    ("t1", "arsenite", "3", TEST, -1, (4, 1, 0), 0.888889),
    ("t2", "control", "3", TEST, -1, (0, 3, 0), 0.0),
)
METRICS: dict[str, Any] = {
    "cv": {"object_f1": {"mean": 0.711, "std": 0.022}},
    "out_of_fold": {
        "object_f1": {"value": 0.6923, "low": 0.51, "high": 0.83},
        "foreground_iou": {"value": 0.5432, "low": 0.42, "high": 0.66},
    },
    "test": {
        "object_f1": {"value": 0.6667, "low": 0.33, "high": 0.91},
        "foreground_iou": {"value": 0.4999, "low": 0.31, "high": 0.71},
    },
    "baseline_out_of_fold": {"object_f1": {"value": 0.4444}, "foreground_iou": {"value": 0.3}},
    "baseline_test": {"object_f1": {"value": 0.5111}, "foreground_iou": {"value": 0.5001}},
    "label_ceiling": {"pairs": 3, "iou": 0.5278, "dice": 0.6816, "object_f1": 0.9023},
    "uncertainty": {"granule_auc": {"value": 0.7123, "low": 0.45, "high": 0.95}},
}
RUN = {
    "cv": {
        "name": "cv unet-dice-adam 0123456",
        "params": {
            "network.architecture": "unet",
            "network.width": "16",
            "network.depth": "3",
            "evaluate.object_iou": "0.3",
        },
    },
    "evaluated_ms": 1_700_000_000_000,  # 2023-11-14, 22:13:20 UTC
}


@dataclass(frozen=True)
class Lab:
    """The files of an evaluated model, to be changed before a card is made of them."""

    model: Path
    evaluation: Path
    dataset: Path

    def write(
        self,
        *,
        metrics: Mapping[str, Any] = METRICS,
        images: tuple[Any, ...] = IMAGES,
        source: str = "lab_one",
        pixel_size_um: float | str = 0.108,
    ) -> None:
        for folder in (self.evaluation, self.dataset):
            folder.mkdir(exist_ok=True)
        (self.evaluation / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
        rows = [
            {
                "image_id": name,
                "group": f"group of {name}",
                "method": method,
                "part": part,
                "fold": fold,
                "foreground_iou": 0.25,
                "object_f1": f1 if method == "network" else 0.0,
                "objects_tp": tp,
                "objects_fp": fp,
                "objects_fn": fn,
            }
            for method in ("network", "baseline")
            for name, _, _, part, fold, (tp, fp, fn), f1 in images
        ]
        pd.DataFrame(rows).to_csv(self.evaluation / "images.csv", index=False)
        shared = {"source": source, "height": 64, "width": 80, "bit_depth": 12, "channel": "green"}
        write_manifest(
            self.dataset,
            [
                {"image_id": name, "condition": condition, "replicate": replicate}
                | {"pixel_size_um": pixel_size_um}
                | shared
                for name, condition, replicate, *_ in images
            ],
        )

    def card(self, folder: Path, **about: str) -> tuple[str, str]:
        """card.md and card.html."""
        write_card(
            folder, model=self.model, evaluation=self.evaluation, dataset=self.dataset, **about
        )
        return (
            (folder / "card.md").read_text(encoding="utf-8"),
            (folder / "card.html").read_text(encoding="utf-8"),
        )

    def summary(self) -> str:
        return summary_text(model=self.model, evaluation=self.evaluation, dataset=self.dataset)


@pytest.fixture
def lab(tmp_path: Path, make_bundle: Callable[..., Path]) -> Lab:
    facts = {"data": "d" * 32, "commit": "c0ffee"}
    statistics = {"images": 4, "noise": [0.0123, 0.2], "diameter_px": [4.25, 11.0]}
    model = make_bundle(
        2.0, 2.2, threshold=0.45, min_area_px=7, orientations=8, facts=facts, statistics=statistics
    )
    made = Lab(model, tmp_path / "evaluation", tmp_path / "dataset")
    made.write()
    (made.evaluation / "run.json").write_text(json.dumps(RUN), encoding="utf-8")
    timing = {"machine": "EPYC", "cores": 2, "milliseconds_per_megapixel": {"all_8": 2345.6}}
    (made.evaluation / "timing.json").write_text(json.dumps(timing), encoding="utf-8")
    for number, part in enumerate((OOF, TEST)):
        picture = Image.new("L", (9, 9), 40 * (number + 1))
        picture.save(made.evaluation / f"gallery_{part}_worst.png")
    return made


class Page(HTMLParser):
    """Tags, pictures and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.pictures: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.pictures += [value or "" for name, value in attrs if name == "src"]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def row_of(card: str, start: str) -> list[str]:
    """The cells of the only row of a table that begins with `start`."""
    (row,) = [line for line in card.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in row.strip("|").split(" | ")]


def test_scores_stand_beside_baseline_and_ceiling(lab: Lab, tmp_path: Path) -> None:
    card, _ = lab.card(tmp_path / "card")
    assert row_of(card, "object F1") == [
        "object F1",
        "0.711 ± 0.022",
        "0.692 [0.51, 0.83]",
        "0.667 [0.33, 0.91]",
        "0.444",
        "0.511",
        "0.902",
    ]
    assert row_of(card, "foreground IoU, mean of images")[-1] == "0.528"
    assert "| Dice" not in card  # no score without any value
    lead = card.split("\n\n")[1].replace("\n", " ")
    for shown in ("**0.692 [0.51, 0.83]**", "**0.667 [0.33, 0.91]**", "0.444", "0.511", "0.902"):
        assert shown in lead


def test_what_it_is(lab: Lab, tmp_path: Path) -> None:
    card, _ = lab.card(tmp_path / "card")
    assert row_of(card, "granule")[1].startswith(
        "where the probability exceeds **0.45**, of at least **7 px**"
    )
    assert row_of(card, "made of")[1] == (
        "the mean of 2 networks (unet, width 16, depth 3), each in 8 mirrorings and turns"
    )
    assert row_of(card, "cost")[1] == "2.3 s per megapixel on EPYC, 2 cores"
    assert f"`{digest(lab.model)}`" in row_of(card, "bundle")[1]
    assert f"`{'d' * 32}`" in row_of(card, "data")[1]
    assert "`c0ffee`" in row_of(card, "code")[1]
    assert row_of(card, "trained as")[1].endswith("evaluated 2023-11-14")
    assert "Apache-2.0" in row_of(card, "licence")[1]


def test_what_it_was_trained_on(lab: Lab, tmp_path: Path) -> None:
    card, _ = lab.card(tmp_path / "card", stain="G3BP1", data_licence="CC-BY-4.0")
    # Development: 6 + 2, 3 + 3, 0 and 0 granules in the truth; test: 4 + 0 and 0.
    assert "4 images in 4 groups with 14 granules, in 2 folds; the test set has" in card
    assert "2 images in 2 groups with 4 granules." in card
    shown = {"data set": r"lab\_one", "stain": "G3BP1", "channel": "green"}
    shown |= {"size of images": "64 x 80 px", "bit depth": "12 bits", "pixel size": "0.108 µm"}
    shown |= {"noise, share of the brightness range": "0.0123 to 0.2"}
    shown |= {"median diameter of granules, px": "4.25 to 11"}
    for name, value in shown.items():
        assert row_of(card, name)[1] == value
    assert "from the 2 % to the 98 % quantile" in card
    assert "of the images: CC-BY-4.0" in card


def test_each_condition_and_replicate(lab: Lab, tmp_path: Path) -> None:
    card, _ = lab.card(tmp_path / "card")
    # TP 6 + 3 = 9, FP 1, FN 2 + 3 = 5: F1 18/24, precision 9/10, recall 9/14; test: 8/9.
    expected = ["arsenite", "2", "14", "0.750", "0.900", "0.643", "1", "0.889"]
    assert row_of(card, "arsenite") == expected
    # Nothing there and nothing found, so that nothing can be said; in the test 3 false ones.
    assert row_of(card, "control") == ["control", "1", "0", "", "", "", "1", "0.000"]
    # Replicate 2: TP 3, FP 0 + 2, FN 3.
    expected = ["2", "2", "6", "0.545", "0.600", "0.500", "0", ""]
    assert row_of(card, "2") == expected


def test_limits_are_said(lab: Lab, tmp_path: Path) -> None:
    card, _ = lab.card(tmp_path / "card")
    limits = card[card.index("## Limits") : card.index("## Known failures")]
    for said in (
        "The test set is 2 images in 2 groups",
        "2 images without granules out of fold: 2 granules were found there",
        "1 image without granules in the test set: 3 granules were found there",
        "Granules under 7 px are never reported",
        "with a chance of 0.712 [0.45, 0.95]",
        # Out of fold it is better in both scores, in the test in one of them.
        "**On the test set it does no better than the classical method** in foreground IoU, "
        "mean of images: 0.500 against 0.500.",
    ):
        assert said in limits
    assert limits.count("no better") == 1


@pytest.mark.parametrize(
    ("replicates", "said"),
    [
        ("112233", "No replicate was on both sides of a split"),
        ("121233", "2 of 3 replicates have images on both sides"),
        ("112213", "1 of 3 replicates have images on both sides"),  # of development and test
        ("      ", "Replicates are unknown: whether the scores hold"),
    ],
)
def test_whether_a_new_day_was_tried(lab: Lab, tmp_path: Path, replicates: str, said: str) -> None:
    folds = (0, 0, 1, 1, -1, -1)
    parts = zip(IMAGES, replicates, folds, strict=True)
    lab.write(images=tuple((*i[:2], r.strip(), i[3], f, *i[5:]) for i, r, f in parts))
    assert said in lab.card(tmp_path / "card")[0]


def test_the_worst_images_come_first(lab: Lab, tmp_path: Path) -> None:
    card, _ = lab.card(tmp_path / "card")
    failures = card[card.index("## Known failures") : card.index("### Out of fold: worst")]
    rows = [line.split(" | ") for line in failures.splitlines() if line.startswith("| ")][2:]
    # By object F1; not c1, where all is right, and none of the test set.
    assert [row[-2] for row in rows] == ["0.000", "0.667", "0.800"]
    # Condition; granules 3 + 3, of which found, missed, and found but not there; the scores.
    assert rows[1][1:] == ["arsenite", "6", "3", "3", "0", "0.667", "0.250 |"]


def test_the_page_needs_no_other_file(lab: Lab, tmp_path: Path) -> None:
    card, page = lab.card(tmp_path / "card")
    names = [f"gallery_{part}_worst.png" for part in (OOF, TEST)]
    inlined = Page(page).pictures
    start = "data:image/png;base64,"
    assert all(picture.startswith(start) for picture in inlined)
    contents = [base64.b64decode(picture.removeprefix(start)) for picture in inlined]
    assert contents == [(lab.evaluation / name).read_bytes() for name in names]
    assert re.findall(r"\]\((\w+\.png)\)", card) == names
    for name, content in zip(names, contents, strict=True):
        assert (tmp_path / "card" / name).read_bytes() == content


def test_in_the_folder_of_the_evaluation(lab: Lab, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in lab.evaluation.iterdir()}
    assert lab.card(lab.evaluation) == lab.card(tmp_path / "card")
    after = {path.name: path.read_bytes() for path in lab.evaluation.iterdir()}
    assert after.keys() - before.keys() == {"card.md", "card.html"}
    assert after.items() >= before.items()


def test_names_never_become_mark_up(lab: Lab, tmp_path: Path) -> None:
    lab.write(source="<i>lab</i> *one*")
    page = Page(lab.card(tmp_path / "card", stain="<u>G3BP1</u>")[1])
    known = {"html", "meta", "title", "style", "h1", "h2", "h3", "p", "strong", "em", "ul", "li"}
    known |= {"table", "thead", "tbody", "tr", "th", "td", "img", "code", "pre", "a"}
    assert page.tags <= known
    text = "".join(page.texts)
    for name in (NASTY, NASTY_ID, "<i>lab</i> *one*", "<u>G3BP1</u>"):
        assert name in text


def test_a_lab_that_knows_little(lab: Lab, tmp_path: Path) -> None:
    """No test set, no conditions, no pixel size, no ceiling, no run, no pictures."""
    for path in lab.evaluation.iterdir():
        path.unlink()
    few = {key: METRICS[key] for key in ("cv", OOF, "baseline_out_of_fold")}
    images = tuple((i[0], "", "", *i[3:]) for i in IMAGES if i[3] == OOF)
    lab.write(metrics=few, images=images, pixel_size_um="")
    card, page = lab.card(tmp_path / "card")
    for said in (
        "There is no test set",
        "Conditions are unknown.",
        "Replicates are unknown.",
        "the ceiling is unknown",
        "No pictures were made.",
        "the mean of 2 networks, each in 8",
        "| pixel size | unknown |",
        "Whether `uncertainty` tells right granules from wrong ones has not been measured.",
    ):
        assert said in card
    assert Page(page).pictures == []
    assert len(lab.summary()) <= SHORT_LENGTH


def test_no_number_is_made_up(lab: Lab, tmp_path: Path) -> None:
    card, _ = lab.card(tmp_path / "card")
    others = {key: _shifted(value) for key, value in METRICS.items()}
    lab.write(metrics=others)
    changed, _ = lab.card(tmp_path / "card")
    shown = re.compile(r"\d\.\d+ (?:\[[^]]*\]|± \d\.\d+)")
    before, after = shown.findall(card), shown.findall(changed)
    assert len(before) == len(after) == 8
    assert not set(before) & set(after)


def _shifted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _shifted(inner) for key, inner in value.items()}
    return value + 0.03125 if isinstance(value, float) else value


def test_twice_the_same(lab: Lab, tmp_path: Path) -> None:
    assert lab.card(tmp_path / "one") == lab.card(tmp_path / "two")


def test_what_is_missing_is_named_all_at_once(lab: Lab, tmp_path: Path) -> None:
    (lab.evaluation / "metrics.json").unlink()
    (lab.dataset / "manifest.csv").unlink()
    with pytest.raises(InputError) as error:
        lab.card(tmp_path / "card")
    assert "metrics.json: no such file" in str(error.value)
    assert "manifest.csv: no such file" in str(error.value)
    assert "dvc repro" in str(error.value)
    assert not (tmp_path / "card").exists()


def test_an_evaluation_of_other_images(lab: Lab, tmp_path: Path) -> None:
    write_manifest(lab.dataset, [{"image_id": "a1"}])
    with pytest.raises(InputError, match=r"5 images, such as <img.* are not in .*dataset;"):
        lab.card(tmp_path / "card")


def test_unreadable_metrics(lab: Lab, tmp_path: Path) -> None:
    (lab.evaluation / "metrics.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"metrics\.json: unreadable"):
        lab.card(tmp_path / "card")


def test_the_summary(lab: Lab) -> None:
    text = lab.summary()
    assert row_of(text, "object F1") == [
        "object F1",
        "0.692 [0.51, 0.83]",
        "0.667 [0.33, 0.91]",
        "0.511",
        "0.902",
    ]
    for shown in ("4 images in 4 groups with 14 granules, 2 folds; 2 test images", "0.108 µm"):
        assert shown in text
    for shown in ("threshold 0.45", "at least 7 px", f"`{digest(lab.model)}`", "`c0ffee`"):
        assert shown in text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@given(source=st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=80))
def test_the_summary_is_short(lab: Lab, source: str) -> None:
    lab.write(source=source)
    text = lab.summary()
    assert len(text) <= SHORT_LENGTH
    assert text.rstrip().endswith(f"bundle `{digest(lab.model)}`.")


def test_one_member_in_one_orientation(
    lab: Lab, tmp_path: Path, make_bundle: Callable[..., Path]
) -> None:
    make_bundle(2.0, 2.2, members_in_use="one")
    assert read_spec(lab.model).orientations == 1
    card, _ = lab.card(tmp_path / "card")
    assert row_of(card, "made of")[1] == "the mean of 1 network (unet, width 16, depth 3)"
    assert "| cost |" not in card  # timing.json says nothing about it
