from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quantify.tables import draw_tables
from sgseg.quantify.figures import write_figures
from sgseg.quantify.measures import Found
from sgseg.quantify.sizes import MIN_GRANULES, size_distribution, sizes_of
from sgseg.quantify.statistics import Statistics, StatisticsOptions, compare_conditions
from sgseg.quantify.superplot import MOST_DOTS, dots_of, in_words, superplot

STRESS = {"control": 0.5, "high": 8.0}


@pytest.fixture(scope="module")
def found() -> Statistics:
    return compare_conditions(*draw_tables(STRESS, day=0.3))


def measure(statistics: Statistics, name: str) -> Found:
    return next(each for each in statistics.measures if each.name == name)


def test_files_are_complete_and_the_same_again(tmp_path: Path) -> None:
    options = StatisticsOptions(tested=("granules_per_cell",))
    statistics = compare_conditions(*draw_tables(STRESS), options=options)
    pictures = write_figures(tmp_path / "one", statistics)
    assert [picture.path.name for picture in pictures] == [
        "granules_per_cell.svg",
        "granule_sizes.svg",
    ]
    write_figures(tmp_path / "two", statistics)
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
        if path.suffix == ".svg":
            # Well-formed, and nothing in it points to another file.
            for element in ET.parse(path).iter():
                for name, value in element.attrib.items():
                    assert not name.endswith("href") or value.startswith(("data:", "#"))
        else:
            assert np.asarray(Image.open(path)).std() > 0
    assert "95 % interval" in pictures[0].caption
    assert "Thin lines join the same replicate" in pictures[0].caption


def test_the_large_dots_are_the_means_that_are_tested(found: Statistics) -> None:
    figure = superplot(found, measure(found, "granules_per_cell"))
    axis = figure.axes[0]
    large = np.concatenate(
        [points.get_offsets()[:, 1] for points in axis.collections if points.get_zorder() == 6]
    )
    expected = found.replicates["granules_per_cell"]
    assert sorted(large) == pytest.approx(sorted(expected))
    texts = [text.get_text() for text in axis.texts]
    p = found.comparisons.set_index("measure")["p"]["granules_per_cell"]
    assert texts == ["reference", in_words(p)]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["control\nn = 4", "high\nn = 4"]
    # One look per replicate, by shape as well as by colour.
    small = [points for points in axis.collections if points.get_rasterized()]
    assert len({points.get_paths()[0].vertices.tobytes() for points in small}) == 4


def test_the_bar_is_the_interval_of_the_condition(found: Statistics) -> None:
    row = found.conditions[
        (found.conditions["measure"] == "granules_per_cell")
        & (found.conditions["condition"] == "high")
    ].iloc[0]
    expected = {
        "ci": row["mean_high"] - row["mean"],
        "sem": row["sd"] / np.sqrt(4),
        "sd": row["sd"],
    }
    for bars, reach in expected.items():
        axis = superplot(found, measure(found, "granules_per_cell"), bars=bars).axes[0]
        _, high = axis.containers
        ((low_end, high_end),) = high.lines[2][0].get_segments()
        assert high_end[1] - low_end[1] == pytest.approx(2 * reach)


def test_dots_of_positive_cells_are_fields(found: Statistics) -> None:
    dots = dots_of(found, measure(found, "positive_fraction"))
    # 2 conditions x 4 replicates x 2 fields.
    assert len(dots) == 16
    assert dots["value"].between(0, 1).all()


def test_names_hold_no_formula_and_few_replicates_no_p(tmp_path: Path) -> None:
    tables = draw_tables({"control": 1.0, "a $\\frac{$ <b>": 3.0}, replicates=["$1", "2$"])
    statistics = compare_conditions(*tables)
    axis = superplot(statistics, measure(statistics, "granules_per_cell")).axes[0]
    assert [text.get_text() for text in axis.texts] == ["reference", "no p"]
    write_figures(tmp_path, statistics)
    assert (tmp_path / "granules_per_cell.png").stat().st_size > 0


def test_one_condition_without_replicates(tmp_path: Path) -> None:
    statistics = compare_conditions(*draw_tables({"": 3.0}, replicates=[""]))
    axis = superplot(statistics, measure(statistics, "granules_per_cell")).axes[0]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["all fields\nn = 1"]
    assert not axis.texts


def test_many_cells_are_thinned_and_it_is_said(tmp_path: Path) -> None:
    options = StatisticsOptions(tested=("granules_per_cell",))
    tables = draw_tables({"control": 0.0}, fields=2, cells=MOST_DOTS // 8 + 10)
    statistics = compare_conditions(*tables, options=options)
    axis = superplot(statistics, measure(statistics, "granules_per_cell")).axes[0]
    drawn = sum(len(each.get_offsets()) for each in axis.collections if each.get_rasterized())
    assert MOST_DOTS / 3 < drawn <= MOST_DOTS
    (picture,) = write_figures(tmp_path, statistics)
    assert f"Of more than {MOST_DOTS}" in picture.caption


def test_sizes_are_shares_of_replicates(found: Statistics) -> None:
    area = measure(found, "mean_granule_area_um2")
    figure = size_distribution(found, area)
    left, right = figure.axes
    for line in left.lines:
        assert line.get_ydata().sum() == pytest.approx(1)
    for line in right.lines:
        assert (line.get_ydata()[0], line.get_ydata()[-1]) == pytest.approx((0, 1))
    # A thin line per replicate with enough granules, a thick one per condition.
    rows = sizes_of(found, area)
    replicates = rows.groupby(["condition", "replicate"]).size()
    assert (replicates >= MIN_GRANULES).all()
    assert len(left.lines) == len(replicates) + rows["condition"].nunique()


def test_unknown_bars_are_refused(tmp_path: Path, found: Statistics) -> None:
    with pytest.raises(ValueError, match="expected one of ci, sem, sd"):
        write_figures(tmp_path, found, bars="iqr")


@pytest.mark.parametrize(
    ("p", "text"), [(0.5, "p = 0.5"), (0.01234, "p = 0.012"), (9e-5, "p < 0.0001")]
)
def test_p_in_words(p: float, text: str) -> None:
    assert in_words(p) == text
