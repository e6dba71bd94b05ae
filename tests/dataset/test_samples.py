"""Sample tables as spreadsheets write them, and patterns in names."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from sgseg.dataset.samples import compile_pattern, match_pattern, read_samples, write_samples
from sgseg.errors import InputError

A, B, C = (PurePosixPath(name) for name in ("1 (2).png", "day 1/caf\u00e9.ome.tif", "day 2/x.tif"))


def table(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "samples.csv"
    path.write_bytes(text.encode(encoding))
    return path


def refusals(path: Path, *names: PurePosixPath) -> list[str]:
    with pytest.raises(InputError) as caught:
        read_samples(path, names)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_separators_encodings_and_line_ends(
    tmp_path: Path, separator: str, encoding: str, newline: str
) -> None:
    lines = ["image,group,condition", "1 (2).png,001,μM", "", "café,2,"]
    text = newline.join(line.replace(",", separator) for line in lines) + newline
    assert read_samples(table(tmp_path, text, encoding), [A, B]) == {
        # Text, not numbers: 001 is the name of a group.
        A: {"group": "001", "condition": "μM"},
        B: {"group": "2", "condition": ""},
    }


@pytest.mark.parametrize(
    "image",
    ["caf\u00e9", "cafe\u0301.ome.tif", "day 1/caf\u00e9", "day 1\\caf\u00e9.ome.tif", "CAF\u00c9"],
)
def test_an_image_may_be_named_by_name_stem_or_path(tmp_path: Path, image: str) -> None:
    assert read_samples(table(tmp_path, f"image,group\n{image},1\n"), [B]) == {B: {"group": "1"}}


def test_a_stem_that_fits_two_images_is_refused(tmp_path: Path) -> None:
    other = PurePosixPath("day 3/x.tif")
    said = refusals(table(tmp_path, "image,group\nx,1\n"), C, other)
    assert "line 2: 'x' fits several images (day 2/x.tif, day 3/x.tif)" in said[0]


def test_every_bad_row_is_named(tmp_path: Path) -> None:
    text = "image,pixel_size_um\nx,0.1\nx.tif,0.1\nnone,1\n1 (2).png,65\ncafé,a\n"
    said = refusals(table(tmp_path, text), A, B, C)
    assert [
        text in item
        for text, item in zip(
            [
                "line 3: a second row for day 2/x.tif",
                "line 4: no image 'none'",
                "line 5: pixel_size_um '65'; expected micrometres",
                "line 6: pixel_size_um 'a'",
            ],
            said,
            strict=True,
        )
    ] == [True] * 4


def test_images_without_a_row_are_named(tmp_path: Path) -> None:
    said = refusals(table(tmp_path, "image,group\nx,1\n"), A, B, C)
    assert len(said) == 2
    assert "no row for image 1 (2).png" in said[0]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "empty table"),
        (b"\n\n", "empty table"),
        (b"PK\x03\x04\xff\xfe\x80", "Excel: 'CSV UTF-8'"),
        (b"image,condition\nx,\xb5M\n", "Excel: 'CSV UTF-8'"),
        (b"file,group\nx,1\n", "expected `image` and at least one of group"),
        (b"image,day\nx,1\n", "expected `image` and at least one of group"),
        (b"image,group,Group\nx,1,2\n", "each once"),
    ],
)
def test_no_table(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "samples.csv"
    path.write_bytes(content)
    assert text in refusals(path, C)[0]


def test_missing_table(tmp_path: Path) -> None:
    assert "No such file" in refusals(tmp_path / "none.csv", C)[0]


def test_written_and_read_again(tmp_path: Path) -> None:
    samples = {A: {"group": "a,b", "condition": '"'}, C: {"group": "", "condition": "x"}}
    write_samples(tmp_path / "out.csv", samples)
    assert read_samples(tmp_path / "out.csv", [A, C]) == samples


def test_pattern() -> None:
    found = match_pattern(r"day (?P<replicate>\d)/(?P<condition>x)?", [B, C])
    assert found == {
        B: {"replicate": "1", "condition": ""},
        C: {"replicate": "2", "condition": "x"},
    }
    with pytest.raises(InputError, match=r"1 \(2\).png: the pattern does not fit"):
        match_pattern(r"day (?P<replicate>\d)", [A, B])


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("(", "unterminated"), ("a.b", "names nothing"), ("(?P<day>a)", "names day")],
)
def test_wrong_patterns(pattern: str, text: str) -> None:
    with pytest.raises(InputError, match=text):
        compile_pattern(pattern)
