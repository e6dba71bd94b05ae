"""Files that a run shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgseg.errors import InputError
from sgseg.tracking import CrossValidation, FoldIdentity
from sgseg.tracking.files import (
    Point,
    artifacts,
    content_digest,
    read_history,
    read_system_metrics,
    read_table,
    write_table,
)
from sgseg.tracking.identity import FoldRecord

RECORD = FoldRecord(
    FoldIdentity(CrossValidation(key="k" * 32, name="cv", experiment="sgseg"), 0),
    started_ms=1000,
    ended_ms=1400,
)


def test_history_becomes_points(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(
        "epoch,timestamp_ms,loss,val_auc\n1,1100,0.5,\n2,1200,0.25,0.9\n3,1300,nan,inf\n"
    )
    assert read_history(RECORD, tmp_path) == [
        Point("loss", 0.5, 1100, 1),
        Point("loss", 0.25, 1200, 2),
        Point("val_auc", 0.9, 1200, 2),
    ]


def test_times_are_spread_where_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("epoch,loss\n0,4\n1,3\n2,2\n3,1\n")
    # 400 ms for 4 epochs: each ends 100 ms after the one before
    times = [point.timestamp_ms for point in read_history(RECORD, tmp_path)]
    assert times == [1100, 1200, 1300, 1400]
    known = replace(RECORD, epoch_ms={"1": 1177})
    assert [point.timestamp_ms for point in read_history(known, tmp_path)][1] == 1177
    running = replace(RECORD, ended_ms=None)
    assert {point.timestamp_ms for point in read_history(running, tmp_path)} == {1000}


def test_a_fold_without_curves(tmp_path: Path) -> None:
    assert read_history(RECORD, tmp_path) == read_system_metrics(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("epoch,loss\n1,2\nx,3\n", "line 3"),
        ("loss\n2\n", "no number in column `epoch`"),
        ("epoch,loss\n,2\n", "no number in column `epoch`"),
        ("epoch,loss\n1,2,3\n", "line 2"),
    ],
)
def test_a_table_that_is_none_is_named(tmp_path: Path, text: str, where: str) -> None:
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(InputError, match=rf"history\.csv.*{where}"):
        read_history(RECORD, tmp_path)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["loss", "iou", "a b"]), st.floats(allow_nan=False)),
        max_size=5,
    )
)
def test_a_table_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, float]]
) -> None:
    path = tmp_path_factory.mktemp("table") / "table.csv"
    numbered = [{"step": float(number)} | row for number, row in enumerate(rows)]
    write_table(path, numbered)
    assert read_table(path, key="step") == numbered
    assert [item.name for item in path.parent.iterdir()] == ["table.csv"]


def test_where_files_are_shown(tmp_path: Path) -> None:
    names = "gallery.png gallery_worst.png loss.png curves.csv images.csv history.csv"
    names += " system_metrics.csv report.md run.json model.onnx model.keras .hidden.png"
    names += " galleries/x.png deep/er/y.csv"
    for name in names.split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert {item.shown_as for item in artifacts(tmp_path)} == {
        "galleries/gallery.png",
        "galleries/gallery_worst.png",
        "galleries/x.png",
        "curves/loss.png",
        "curves/curves.csv",
        "images.csv",
        "deep/er/y.csv",
        "history.csv",
        "system_metrics.csv",
        "report.md",
    }


def test_digest_of_files_knows_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1")
    before = content_digest(artifacts(tmp_path))
    (tmp_path / "a.csv").write_text("2")
    changed = content_digest(artifacts(tmp_path))
    (tmp_path / "a.csv").rename(tmp_path / "b.csv")
    assert len({before, changed, content_digest(artifacts(tmp_path))}) == 3
