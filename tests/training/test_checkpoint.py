"""The state of a training on disk: exact, whole or not there."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sgseg.training.checkpoint import Progress, load_progress, save_progress


def progress(epoch: int = 2) -> Progress:
    rng = np.random.default_rng(epoch)
    model = [rng.standard_normal((3, 3), dtype=np.float32), np.array([1, 2], dtype=np.uint32)]
    return Progress(
        epoch=epoch,
        history=[{"loss": 1 / 3, "val_loss": float("nan")}, {"loss": 1e-30, "val_loss": 0.1}],
        best_epoch=1,
        model=model,
        optimizer=[np.array(7, dtype=np.int64), *model, *(np.array(i) for i in range(12))],
        best=model[::-1],
    )


def same(one: Progress, other: Progress) -> bool:
    arrays = [(getattr(one, n), getattr(other, n)) for n in ("model", "optimizer", "best")]
    return (
        (one.epoch, one.best_epoch) == (other.epoch, other.best_epoch)
        and json.dumps(one.history) == json.dumps(other.history)  # nan is not equal to itself
        and all(
            len(a) == len(b)
            and all(
                (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes())
                for x, y in zip(a, b, strict=True)
            )
            for a, b in arrays
        )
    )


def test_what_is_saved_comes_back_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "below" / "fold_0.npz"
    save_progress(path, progress())
    loaded = load_progress(path)
    assert loaded is not None
    assert same(loaded, progress())


def test_nothing_saved_is_nothing_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load_progress(tmp_path / "fold_0.npz") is None
    assert not caplog.records


def test_the_new_state_replaces_the_old_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "fold_0.npz"
    (tmp_path / "fold_1.npz").touch()
    save_progress(path, progress(1))
    save_progress(path, progress(2))
    loaded = load_progress(path)
    assert loaded is not None
    assert loaded.epoch == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fold_0.npz", "fold_1.npz"]


def test_a_full_disk_keeps_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fold_0.npz"
    save_progress(path, progress(1))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_progress(path, progress(2))
    monkeypatch.undo()
    loaded = load_progress(path)
    assert loaded is not None
    assert loaded.epoch == 1
    assert [p.name for p in tmp_path.iterdir()] == ["fold_0.npz"]


def test_what_a_kill_left_behind_does_not_pile_up(tmp_path: Path) -> None:
    path = tmp_path / "fold_0.npz"
    for content in (b"half", b"another half"):
        (tmp_path / ".fold_0.npz.partial").write_bytes(content)
        save_progress(path, progress(1))
        assert [p.name for p in tmp_path.iterdir()] == ["fold_0.npz"]


def test_the_state_can_be_looked_at_with_numpy(tmp_path: Path) -> None:
    path = tmp_path / "fold_0.npz"
    save_progress(path, progress())
    with np.load(path) as file:
        np.testing.assert_array_equal(file["model_0000"], progress().model[0])


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("checkpoint") / "fold_0.npz"
    save_progress(path, progress())
    return path.read_bytes()


def assert_refused(path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    path.write_bytes(content)
    assert load_progress(path) is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert path.name in record.getMessage()


FUZZ = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(
    share: float, archive: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert_refused(tmp_path / "fold_0.npz", archive[: int(share * len(archive))], caplog)


@FUZZ
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused(
    share: float, bit: int, archive: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = bytearray(archive)
    content[int(share * len(content))] ^= 1 << bit
    assert_refused(tmp_path / "fold_0.npz", bytes(content), caplog)


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"not an archive", b"PK\x05\x06"])
def test_other_files_are_refused(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert_refused(tmp_path / "fold_0.npz", content, caplog)
