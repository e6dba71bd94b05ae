from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from quantify.tables import draw_tables
from sgseg.quantify.figures import Picture
from sgseg.quantify.report import write_report
from sgseg.quantify.report_tables import Cell, cell, findings, number, rows_of, summary_table
from sgseg.quantify.statistics import StatisticsOptions, compare_conditions

EVIL = "<script>alert('x')</script>\"&"
VOID = {"meta", "img", "link", "br", "hr", "input"}
# One figure is enough to look at.
ONE = StatisticsOptions(tested=("granules_per_cell",))


class Page(HTMLParser):
    """What a browser sees: elements, attributes and text; unbalanced tags are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open[-1:] == ["script"] else self.texts).append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def report(folder: Path, **changes: Any) -> Page:
    tables = draw_tables({"control": 0.4, "heat": 5.0}, fields=1)
    cells, granules, fields = changes.pop("tables", tables)
    options = changes.pop("options", ONE)
    content: dict[str, Any] = {
        "parameters": {"cells": {"edge": 0.25, "expansion": None}},
        "model": {"version": "champion"},
        "versions": {"sgseg": "0.1.0"},
    }
    path = write_report(
        folder,
        fields=fields,
        cells=cells,
        granules=granules,
        statistics=compare_conditions(cells, granules, fields, options=options),
        **(content | changes),
    )
    assert path == folder / "report.html"
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("report")
    cells, granules, fields = draw_tables({"control": 0.4, EVIL: 5.0}, fields=1)
    fields["warnings"] = ["dim | saturated"] * 5 + [""] * 3
    failed = {"field": EVIL, "condition": "control", "replicate": "1", "status": f"broken {EVIL}"}
    fields = pd.concat([fields, pd.DataFrame([failed])], ignore_index=True)
    picture = folder / "worst.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(picture)
    return report(
        folder,
        tables=(cells, granules, fields),
        pictures=[Picture(picture, EVIL, "uncertainty 0.7")],
        warnings=[f"Another pixel size {EVIL}"],
        parameters={"cells": {EVIL: EVIL}},
        model={"bundle": EVIL},
        title=EVIL,
    )


def test_names_are_shown_and_never_run(full: Page) -> None:
    assert len(full.scripts) == 1
    assert "alert" not in full.scripts[0]
    # Title, heading, failed field and its reason, picture, warning, parameter twice, model, ...
    assert full.text.count("<script>alert('x')</script>\"&") >= 9
    assert not [a for _, a in full.elements for name in a if name.startswith("on")]


def test_nothing_is_loaded_from_elsewhere(full: Page) -> None:
    (policy,) = [a["content"] for a in full.all("meta") if "http-equiv" in a]
    digest = base64.b64encode(hashlib.sha256(full.scripts[0].encode()).digest()).decode()
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline';"
        f" script-src 'sha256-{digest}'"
    )
    for _, attributes in full.elements:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("data:image/", "#"))


def test_pictures_are_part_of_the_page(full: Page) -> None:
    pictures = full.all("img")
    assert [a["src"].partition(";")[0] for a in pictures] == [
        "data:image/svg+xml",
        "data:image/svg+xml",
        "data:image/png",
    ]
    assert all(a["alt"] for a in pictures)


def test_warnings_and_failures_come_before_the_figures(full: Page) -> None:
    order = [
        full.text.index(piece)
        for piece in (
            "granules per cell: higher in",
            "Another pixel size",
            "dim: control_r1_f1, control_r2_f1, control_r3_f1 and 2 more",
            "saturated: control_r1_f1",
            "broken <script>",
            "Small: cells",
            "Tested measures: against 'control'",
        )
    ]
    assert order == sorted(order)
    assert "8 fields (1 failed)" in full.text


def test_it_can_be_used_without_a_mouse(full: Page) -> None:
    ids = [a["id"] for _, a in full.elements if "id" in a]
    assert len(set(ids)) == len(ids)
    links = [a["href"].removeprefix("#") for a in full.all("a")]
    assert set(links) <= set(ids)
    assert len(links) > 8
    heads = [a for a in full.all("th") if a.get("scope") == "col"]
    assert len(full.all("button")) == len(heads) > 20
    for region in (a for a in full.all("div") if a.get("role") == "region"):
        assert region["tabindex"] == "0"
        assert region["aria-label"]
    assert full.all("html") == [{"lang": "en"}]


def test_the_statistics_say_why(tmp_path: Path) -> None:
    few = draw_tables({"control": 0.4, "heat": 5.0}, replicates=["1", "2"])
    page = report(tmp_path, tables=few)
    reason = "2 pairs of replicates: no p-value or interval below 3"
    assert f"heat, not tested ({reason}): granules per cell." in page.text
    assert "The reference is 'control', by its name." in page.text
    methods = (tmp_path / "methods.txt").read_text(encoding="utf-8")
    assert methods.startswith("Stress granules were segmented with sgseg 0.1.0")
    assert "cells.expansion" in page.text
    assert "not set" in page.text


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        report(tmp_path / name)
    one, two = ((tmp_path / name / "report.html").read_bytes() for name in ("one", "two"))
    assert one == two


def test_no_condition_no_model_no_cells(tmp_path: Path) -> None:
    cells, granules, fields = draw_tables({"": 3.0}, replicates=[""])
    fields = fields.assign(n_granules=4)
    page = report(
        tmp_path,
        tables=(cells.iloc[:0], granules, fields),
        model={},
        versions={},
        parameters={},
        options=StatisticsOptions(tested=("granules_per_field",)),
    )
    assert "There is one condition: nothing to compare." in page.text
    assert "No model: masks were given." in page.text
    assert "granules per field" in page.text


def test_nothing_was_measured(tmp_path: Path) -> None:
    cells, granules, fields = draw_tables({"control": 1.0})
    fields["status"] = "damaged"
    page = report(tmp_path, tables=(cells.iloc[:0], granules.iloc[:0], fields))
    assert "No field was measured: nothing to compare." in page.text
    assert page.text.count("damaged") == len(fields)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (12.0, "12"), (123456.7, "123457"), (1e-6, "1e-06"), (-0.5, "-0.5")],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.12345, Cell("0.123", "0.12345")),
        (np.int64(7), Cell("7", "7.0")),
        (float("nan"), Cell("", "")),
        (None, Cell("", "")),
        (pd.NA, Cell("", "")),
        (np.True_, Cell("yes", "1")),
        (False, Cell("no", "0")),
        ("1e5", Cell("1e5", "1e5")),
    ],
)
def test_cells_keep_what_they_are_sorted_by(value: object, expected: Cell) -> None:
    assert cell(value) == expected


def test_long_tables_are_cut_and_empty_columns_left_out() -> None:
    frame = pd.DataFrame({"field": list("abc"), "n_cells": [1, 2, 3], "group": [None] * 3})
    table = rows_of(frame, list(frame.columns), caption="x", file="fields.csv", most=2)
    assert [head.title for head in table.heads] == ["field", "n cells"]
    assert table.heads[1].definition.startswith("Cells found")
    assert [row[0].text for row in table.rows] == ["a", "b"]
    assert table.note == "The first 2; 1 more in fields.csv."


def test_the_summary_has_means_and_replicates() -> None:
    statistics = compare_conditions(*draw_tables({"control": 0.4, "heat": 5.0}), options=ONE)
    table = summary_table(statistics)
    means = statistics.conditions.set_index(["measure", "condition"]).loc["granules_per_cell"]
    heat = means.loc["heat"]
    assert [head.title for head in table.heads] == ["measure", "control", "heat"]
    assert table.rows[0][2].text == f"{number(heat['mean'])} ± {number(heat['sd'])} (4)"
    (sentence,) = findings(statistics)
    assert re.match(
        r"granules per cell: higher in heat than in control, [\d.]+ against [\d.]+; difference"
        r" [\d.]+ \[[\d.]+, [\d.]+\], p = [\d.]+\.$|.*p < 0\.0001\.$",
        sentence,
    )
