"""Damaged files of every kind: refused by a message that names the file, never by a stack trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sgseg.errors import InputError
from sgseg.images.files import MASK_SUFFIXES
from sgseg.images.masks import read_mask
from sgseg.images.read import read_image

from .examples import valid_files

VALID = valid_files()
SHAPE = (20, 30)
FUZZ = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def both(path: Path) -> dict[str, np.ndarray]:
    """What is read of a file as an image and as a mask; nothing but InputError may be raised."""
    read: dict[str, np.ndarray] = {}
    refused: list[str] = []
    try:
        read["image"] = read_image(path, channel=0, max_pixels=100_000).pixels
    except InputError as error:
        refused.append(str(error))
    from_memory(path, read.get("image"), "".join(refused))
    try:
        read["mask"] = read_mask(path, shape=SHAPE, rule="auto", max_pixels=100_000).labels
    except InputError as error:
        refused.append(str(error))
    assert all(str(path) in said for said in refused)
    return read


def from_memory(path: Path, expected: np.ndarray | None, refused: str) -> None:
    """The bytes of a file are read, or refused, like the file."""
    content, options = path.read_bytes(), {"name": str(path), "channel": 0, "max_pixels": 100_000}
    if expected is None:
        with pytest.raises(InputError) as caught:
            read_image(content, **options)
        assert str(caught.value) == refused
    else:
        pixels = read_image(content, **options).pixels
        assert pixels.dtype == expected.dtype
        assert np.array_equal(pixels, expected)


@FUZZ
@given(content=st.binary(max_size=300), suffix=st.sampled_from(sorted(MASK_SUFFIXES)))
def test_random_bytes(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"random{suffix}"
    path.write_bytes(content)
    assert both(path) == {}


@FUZZ
@given(name=st.sampled_from(sorted(VALID)), share=st.floats(0, 1, exclude_max=True))
def test_truncated_files_are_refused_or_read_exactly(
    tmp_path: Path, name: str, share: float
) -> None:
    whole, part = tmp_path / name, tmp_path / f"part {name}"
    whole.write_bytes(VALID[name])
    part.write_bytes(VALID[name][: int(share * len(VALID[name]))])
    expected = both(whole)
    # What is missing at the very end may be trailing metadata; pixels are never made up.
    for kind, pixels in both(part).items():
        assert np.array_equal(pixels, expected[kind])


@FUZZ
@given(
    name=st.sampled_from(sorted(VALID)),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    suffix=st.sampled_from([*sorted(MASK_SUFFIXES), ""]),
)
def test_changed_bytes(
    tmp_path: Path, name: str, changes: list[tuple[float, int]], suffix: str
) -> None:
    content = bytearray(VALID[name])
    for share, value in changes:
        content[int(share * len(content))] = value
    path = tmp_path / (f"changed{suffix}" if suffix else name)
    path.write_bytes(content)
    both(path)


@FUZZ
@given(
    name=st.sampled_from(sorted(VALID)),
    place=st.integers(0, 600),
    value=st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\x10\0"]),
)
def test_forged_headers(tmp_path: Path, name: str, place: int, value: bytes) -> None:
    content = bytearray(VALID[name])
    content[place : place + 4] = value
    path = tmp_path / name
    path.write_bytes(content[: len(VALID[name])])
    both(path)


@pytest.mark.parametrize("name", sorted(VALID))
def test_every_valid_file_is_read_one_way_or_the_other(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(VALID[name])
    assert both(path)


@pytest.mark.parametrize("suffix", sorted(MASK_SUFFIXES))
def test_empty_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"empty{suffix}"
    path.touch()
    with pytest.raises(InputError, match=r"empty file \(0 bytes\)"):
        read_mask(path, shape=SHAPE)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(InputError, match="not a file"):
        read_image(tmp_path)


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "locked.png"
    path.write_bytes(VALID["gray.png"])

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"cannot be opened \(Permission denied\)"):
        read_image(path)
