from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

import pytest

from quantify.tables import draw_tables
from sgseg.quantify.cells import CellOptions
from sgseg.quantify.granules import GranuleOptions
from sgseg.quantify.methods import REFERENCES, Methods, methods_of
from sgseg.quantify.nuclei import NucleusOptions
from sgseg.quantify.per_cell import PerCellOptions
from sgseg.quantify.split import SplitOptions
from sgseg.quantify.statistics import Statistics, StatisticsOptions, compare_conditions

PARAMETERS: dict[str, dict[str, Any]] = {
    "split": asdict(SplitOptions(min_depth=0.3)),
    "granules": asdict(GranuleOptions()),
    "nuclei": asdict(NucleusOptions()),
    "cells": asdict(CellOptions()),
    "per_cell": asdict(PerCellOptions(min_granules=2)),
}
MODEL = {"version": 7, "bundle": "c0ffee", "members": 4, "threshold": 0.55, "min_area_px": 4}
VERSIONS = {"sgseg": "0.1.0", "numpy": "2.4.6", "pandas": "3.1.1"}


@pytest.fixture(scope="module")
def found() -> Statistics:
    return compare_conditions(*draw_tables({"control": 1.0, "heat": 5.0}))


def write(statistics: Statistics, **changes: Any) -> Methods:
    settings = {"parameters": PARAMETERS, "model": MODEL, "versions": VERSIONS}
    return methods_of(statistics, **(settings | changes))


def test_versions_parameters_and_replicates_are_named(found: Statistics) -> None:
    text = str(write(found))
    for piece in (
        "with sgseg 0.1.0, a U-Net [1] ensemble of 4 networks, model version 7 (MD5 c0ffee)",
        "a probability above 0.55",
        "below 4 px were discarded",
        "watershed [2] on the distance to their outline, where the pass between two peaks was lower"
        " than the lower peak by more than 30 %.",
        "fell to 25 % of that around the nucleus",
        "A cell with at least 2 granules was counted as SG-positive.",
        "Cells cut by the border of the image were left out.",
        "0.8 µm wide and 0.4 µm away from any granule",
        "Replicates: 4 of control, 4 of heat.",
        "compared with 'control' by a paired t-test within replicates",
        "over all 4 tests of the run",
        "No p-value is given with fewer than three replicates.",
        "numpy 2.4.6 [",
        "pandas 3.1.1.",
        "min_contrast 5.0",
    ):
        assert piece in text


def test_what_was_not_done_is_not_said(found: Statistics) -> None:
    plain = str(write(found, parameters={}, model={}, versions={}))
    for piece in ("U-Net", "Nuclei", "watershed", "Software", "Parameters", "SG-positive cell"):
        assert piece not in plain
    assert plain.startswith("Given masks of stress granules were quantified with sgseg")
    one = str(write(compare_conditions(*draw_tables({"": 2.0}, replicates=[""]))))
    for piece in ("t-test", "Holm", "Hedges"):
        assert piece not in one
    none = write(found, parameters={"split": asdict(SplitOptions(method="none"))})
    assert "Touching granules were not separated." in str(none)


def test_the_other_ways_are_said(found: Statistics) -> None:
    cells = asdict(CellOptions(method="expansion"))
    text = str(write(found, parameters={"cells": cells}))
    assert "a rim of 0.5 nuclear diameters around each nucleus" in text
    options = StatisticsOptions(design="independent", family="measure")
    tables = draw_tables({"control": 1.0, "heat": 5.0})
    text = str(write(compare_conditions(*tables, options=options)))
    assert "Welch's t-test" in text
    assert "over the comparisons of each measure" in text
    in_px = compare_conditions(*draw_tables({"control": 1.0, "heat": 5.0}, unit="px"))
    assert "4.0 px wide and 2.0 px away" in str(write(in_px))


def test_colocalisation_is_said_where_there_is_a_second_marker() -> None:
    cells, granules, fields = draw_tables({"control": 1.0, "heat": 5.0})
    statistics = compare_conditions(cells, granules, fields.assign(pearson_all=0.4))
    text = str(write(statistics, parameters={"colocalisation": {"threshold": "costes"}}))
    assert re.search(r"Manders' coefficients \[\d\].*, with Costes' thresholds \[\d\]\.", text)


def test_references_are_numbered_in_the_order_of_the_text(found: Statistics) -> None:
    methods = write(found)
    cited = [int(n) for n in re.findall(r"\[(\d+)\]", " ".join(methods.paragraphs))]
    firsts = list(dict.fromkeys(cited))
    assert firsts == list(range(1, len(methods.references) + 1))
    assert len(set(methods.references)) == len(methods.references)
    assert "SuperPlots" in methods.references[firsts.index(5)]
    # Each can be found: by a DOI, but for Holm 1979, which has none.
    assert [name for name, text in REFERENCES.items() if "doi:10." not in text] == ["holm"]


def test_sentences_are_whole(found: Statistics) -> None:
    for methods in (write(found), write(found, model={}, parameters={}, versions={})):
        for paragraph in methods.paragraphs:
            assert paragraph.endswith(".")
            assert "  " not in paragraph
            assert not re.search(r" [.,;:]|\.\.|,,|\( |\{|\}|None|Undefined", paragraph)
