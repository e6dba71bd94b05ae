"""The benchmark of what each step costs: it runs, its arithmetic is right, and counts are close."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from sgseg.config import load_params

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """As `python benchmarks/quantify_accuracy.py` finds it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import quantify_accuracy  # noqa: PLC0415

    return quantify_accuracy


def test_rows_compare_with_the_truth(benchmark: ModuleType) -> None:
    truth = benchmark.Step([np.array([2, 0]), np.array([4])], [np.array([True, False, True])])
    truth.differences, truth.right = [np.zeros(3)], [np.array([2, 0, 4])]
    step = benchmark.Step([np.array([3, 0])], [np.array([True, False])])
    step.differences, step.right = [np.array([1, 0])], [np.array([2, 0])]
    row = step.row(truth)
    assert row["SGs per cell"] == (3 + 0) / 2
    # 1.5 per cell instead of (2 + 0 + 4) / 3 = 2.
    assert row["error %"] == pytest.approx(-25)
    assert row["error"] == pytest.approx(1 / 2 - 2 / 3)
    # In the same two cells 3 instead of 2.
    assert row["bias %"] == pytest.approx(50)
    assert (row["mean |error|"], row["exact"]) == (0.5, 0.5)


def test_counts_with_the_true_granules(
    benchmark: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    # More than 200 cells, 27 fields, are the benchmark itself.
    segmentation, table = benchmark.compare(load_params(), 2)
    segmentation.show()
    assert "nuclei: F1" in capsys.readouterr().out
    assert segmentation.nuclei.f1 > 0.9
    assert np.mean(segmentation.cell_iou) > 0.8
    assert table.loc[("true", "true"), "mean |error|"] == 0
    assert table.loc[("true", "found"), "same cells"] >= 10
    assert abs(table.loc[("true", "found"), "bias %"]) < 10
