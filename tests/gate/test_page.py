"""The page of a decision says all of it, needs no other file, and lets no name become mark-up."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from sgseg.gate.decision import (
    Check,
    Decision,
    ImageScores,
    Latency,
    LeftOut,
    Model,
    UsedImage,
    read_decision,
)
from sgseg.gate.page import write_decision

from .cases import TestSet, empty, fields, rule_with, write_bundle, write_test_set


def a_model(**changes: Any) -> Model:
    plain = Model(
        digest="d" * 32,
        threshold=0.5,
        min_area_px=4,
        members=1,
        orientations=8,
        trained_on=30,
        facts={"data": "d1", "commit": "c0ffee"},
        scores={"object_f1": {"value": 0.8, "low": 0.7, "high": 0.9}},
    )
    return replace(plain, **changes)


def a_check(**changes: Any) -> Check:
    plain = Check(
        kind="margin",
        score="object_recall",
        challenger=0.8,
        champion=0.9,
        difference={"value": -0.1, "low": -0.2, "high": 0.05},
        limit=0.1,
        passed=True,
        said="Object recall is within its margin.",
    )
    return replace(plain, **changes)


def a_decision(**changes: Any) -> Decision:
    plain = Decision(
        outcome="keep",
        verdict="tie",
        reasons=["A tie goes to the champion (on_tie: keep)."],
        warnings=["Few groups: é."],
        challenger=a_model(),
        champion=a_model(digest="c" * 32, trained_on=0),
        checks=[a_check(), a_check(score="false_per_empty", passed=None, difference=None)],
        images=[
            UsedImage(
                "a", "g", "m1", "m2", 8, ImageScores(0.8, 0.7, 6, 1), ImageScores(1.0, 0.9, 8, 0)
            )
        ],
        left_out=[LeftOut("b", "h", "the champion was trained on it")],
        rule=rule_with().model_dump(),
        settings={"object_iou": 0.3, "resamples": 200, "seed": 1},
        data={"manifest.csv": "m", "roles.csv": "r"},
        latency=Latency(2.0, 1.9, 1.05, 1.5, 7, "some machine"),
    )
    return replace(plain, **changes)


class Page(HTMLParser):
    """Text, tags and addresses of a page; tags that do not close are an error."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.sources: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


Written = tuple[Path, Decision]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("bundles")
    return write_bundle(root / "good"), write_bundle(root / "poor", middle=2.5)


@pytest.fixture(scope="module")
def test_set(tmp_path_factory: pytest.TempPathFactory) -> TestSet:
    # Fields of which the first is the hardest for the one that misses what is faint.
    test = {**fields(1, faint=6), "field_easy": fields(2)["field_1"], "control": empty(20)}
    return write_test_set(tmp_path_factory.mktemp("frozen") / "set", test, pixel_size_um=0.2)


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory, bundles: tuple[Path, Path], test_set: TestSet
) -> Written:
    good, poor = bundles
    decision = test_set.decide(good, poor, rule=rule_with(min_groups=9))
    folder = tmp_path_factory.mktemp("reports") / "promotion"
    write_decision(folder, decision, challenger=good, champion=poor, dataset=test_set.dataset)
    return folder, decision


def test_files_of_a_decision(written: Written) -> None:
    folder, decision = written
    assert sorted(path.name for path in folder.iterdir()) == [
        "decision.html",
        "decision.json",
        "decision.md",
        "differences.png",
        "image_1.png",
    ]
    assert read_decision(folder) == decision


def test_the_page_says_all_and_needs_no_other_file(written: Written) -> None:
    folder, decision = written
    page = Page((folder / "decision.html").read_text(encoding="utf-8"))
    assert page.sources
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not {"script", "link"} & set(page.tags)
    for said in (*decision.reasons, *decision.warnings):
        assert " ".join(said.split()) in page.text
    assert decision.champion is not None
    for word in (decision.challenger.digest, decision.champion.digest, "field_0", "c0ffee"):
        assert word in page.text
    # Challenger: TP 16, F1 1. Champion: TP 2 + 8 of 16, F1 20 / 26 = 0.769.
    assert "0.769 1.000 +0.231" in page.text


def test_the_markdown_says_the_same(written: Written) -> None:
    folder, decision = written
    text = (folder / "decision.md").read_text(encoding="utf-8")
    lines = text.splitlines()
    assert lines[0] == "# " + (
        "The challenger replaces the champion"
        if decision.outcome == "promote"
        else "The champion stays"
    )
    assert "](image_1.png)" in text
    assert "{" not in text
    # Every row of a table has as many cells as its head.
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        widths = {len(re.split(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1, table


def test_the_same_decision_gives_the_same_files(
    written: Written, bundles: tuple[Path, Path], test_set: TestSet, tmp_path: Path
) -> None:
    folder, decision = written
    out = tmp_path / "again"
    out.mkdir()
    (out / "left over").touch()
    good, poor = bundles
    write_decision(out, decision, challenger=good, champion=poor, dataset=test_set.dataset)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {
        p.name: p.read_bytes() for p in folder.iterdir()
    }


def test_a_first_model_and_its_worst_image(
    bundles: tuple[Path, Path], test_set: TestSet, tmp_path: Path
) -> None:
    _, poor = bundles
    decision = test_set.decide(poor, None)
    write_decision(
        tmp_path / "out", decision, challenger=poor, champion=None, dataset=test_set.dataset
    )
    text = (tmp_path / "out" / "decision.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "Its worst images" in page.text
    assert "The challenger becomes the first champion" in page.text
    assert "champion 0" not in page.text.replace("first champion", "")
    assert not (tmp_path / "out" / "differences.png").exists()


def test_without_images_there_is_a_page_as_well(test_set: TestSet, tmp_path: Path) -> None:
    decision = a_decision(images=[], checks=[], verdict="same", latency=None)
    # The bundles are not even looked at.
    write_decision(
        tmp_path / "out",
        decision,
        challenger=tmp_path / "no",
        champion=tmp_path / "none",
        dataset=test_set.dataset,
    )
    page = Page((tmp_path / "out" / "decision.html").read_text(encoding="utf-8"))
    assert "The champion stays" in page.text
    assert "the champion was trained on it" in page.text
    assert page.sources == []


def test_names_do_not_become_mark_up(
    bundles: tuple[Path, Path], test_set: TestSet, tmp_path: Path
) -> None:
    nasty = "<script>x</script> | **b** `c`"
    decision = a_decision(
        images=[],
        left_out=[LeftOut(nasty, nasty, "unlucky")],
        challenger=a_model(facts={"data": nasty, "commit": nasty}),
        reasons=[nasty],
    )
    good, poor = bundles
    write_decision(
        tmp_path / "out", decision, challenger=good, champion=poor, dataset=test_set.dataset
    )
    page = Page((tmp_path / "out" / "decision.html").read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert page.text.count(nasty) == 5
    text = (tmp_path / "out" / "decision.md").read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "**b**" not in text
