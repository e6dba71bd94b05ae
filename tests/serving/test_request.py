"""JSON bodies to images."""

from __future__ import annotations

import base64
import contextlib
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgseg.errors import InputError
from sgseg.serving.options import NAMES, Options
from sgseg.serving.request import MAX_IMAGES, Asked, Request, of_json, of_rows

CONTENT = bytes(range(256))
TEXT = base64.b64encode(CONTENT).decode()


def body(data: Any, columns: Any = ("image",), **others: Any) -> bytes:
    return json.dumps({"dataframe_split": {"columns": columns, "data": data}, **others}).encode()


def test_split_and_records_are_the_same() -> None:
    split = of_json(body([[TEXT, 0.1], [TEXT, None]], ["image", "pixel_size_um"]))
    rows = [{"image": TEXT, "pixel_size_um": 0.1}, {"image": TEXT}]
    assert of_json(json.dumps({"dataframe_records": rows}).encode()) == split
    assert split == Request((Asked(CONTENT, Options(pixel_size_um=0.1)), Asked(CONTENT, Options())))


def test_params_are_for_all_and_columns_for_one() -> None:
    params = {"threshold": 0.4, "returns": "granules"}
    found = of_json(body([[TEXT, None], [TEXT, 0.6]], ["image", "threshold"], params=params))
    thresholds = [asked.options.threshold for asked in found.images if isinstance(asked, Asked)]
    assert thresholds == [0.4, 0.6]


@pytest.mark.parametrize("width", [76, 64])
def test_base64_with_line_breaks(width: int) -> None:
    # `base64` of GNU breaks lines after 76 characters, `openssl base64` after 64.
    lines = "\n".join(TEXT[i : i + width] for i in range(0, len(TEXT), width))
    assert of_json(body([[lines + "\n"]])).images == (Asked(CONTENT, Options()),)


@pytest.mark.parametrize(
    "bad",
    [None, 3, [], {}, True, "nö", "AAA", "AAA=A", "data:image/png;base64,AAAA", "\ud800"],
    ids=repr,
)
def test_a_bad_image_is_a_sentence_and_the_others_are_there(bad: Any) -> None:
    first, second = of_json(body([[bad], [TEXT]])).images
    assert isinstance(first, str)
    assert first.startswith("image: ")
    assert second == Asked(CONTENT, Options())


def test_an_empty_image_is_left_to_the_reader() -> None:
    assert of_json(body([[""]])).images == (Asked(b"", Options()),)


def test_a_wrong_option_of_a_row_is_a_sentence() -> None:
    first, second = of_json(body([[TEXT, 3], [TEXT, 0.3]], ["image", "threshold"])).images
    assert first == "row: threshold: got 3; expected a number in [0, 1]"
    assert isinstance(second, Asked)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"dataframe_split": NaN}', "NaN is no number"),
        (b"1" * 5000, "no JSON"),
        (b"null", "got None"),
        (b"[]", "a list of 0"),
        (b"{}", "neither"),
        (b'{"inputs": []}', "'inputs'"),
        (b'{"dataframe_split": [], "dataframe_records": []}', "'dataframe_split', 'dataframe_r"),
        (b'{"dataframe_split": []}', "a list of 0"),
        (b'{"dataframe_split": {"data": []}}', "no list of columns"),
        (b'{"dataframe_records": {}}', "a mapping of 0"),
        (b'{"dataframe_records": [1]}', "a list of 1"),
        (body([]), "0 images"),
        (body([[TEXT]] * (MAX_IMAGES + 1)), f"{MAX_IMAGES + 1} images"),
        (body([[TEXT]], ["img"]), "'img': unknown"),
        (body([[1]], [{}]), "a mapping of 0: unknown"),
        (body([[TEXT, TEXT]], ["image", "image"]), "one named image"),
        (body([[TEXT, 1]]), "row 0: got a list of 2; expected a list of 1"),
        (body([TEXT]), "row 0: got"),
        (body([[TEXT]], params=[]), "params: got a list of 0"),
        (body([[TEXT]], params={"threshold": 7}), "params: threshold: got 7"),
        (body([[TEXT]], params={"\ud800": 7}), "unknown"),
    ],
)
def test_a_body_that_cannot_be_used(wrong: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        of_json(wrong)


FEW = settings(max_examples=50)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
KEYS = st.sampled_from(["dataframe_split", "dataframe_records", "params", "inputs"])


@given(st.binary() | st.dictionaries(KEYS, JSON).map(lambda value: json.dumps(value).encode()))
def test_any_body_is_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(InputError):
        assert of_json(content).images


@FEW
@given(st.lists(JSON, max_size=4), st.lists(JSON, max_size=4), JSON)
def test_any_table_is_read_or_refused(columns: list[Any], row: list[Any], params: Any) -> None:
    content = body([row], columns, params=params)
    with contextlib.suppress(InputError):
        assert len(of_json(content).images) == 1


@pytest.mark.parametrize("keys", [["x"], ["image", *NAMES]], ids=["unknown", "known"])
def test_a_small_body_stays_small(keys: list[str]) -> None:
    # As many cells as rows x names would be: 40,000 x 3,000 of them take a GB.
    names = [f"{keys[i % len(keys)]}{i // len(keys) or ''}" for i in range(3000)]
    rows = [dict.fromkeys(names, 1), *[{}] * 40_000]
    content = json.dumps({"dataframe_records": rows}).encode()
    assert len(content) < 300_000
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="40001 images; expected 1 to 256"):
            of_json(content)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_unknown_columns_are_named_before_there_are_rows() -> None:
    rows = [{f"x{row}_{i}": 1 for i in range(200)} for row in range(MAX_IMAGES)]
    content = json.dumps({"dataframe_records": rows}).encode()
    with pytest.raises(InputError, match="column 'x0_0': unknown") as caught:
        of_json(content)
    assert len(caught.value.problems) == 10


def test_a_table_of_python_values() -> None:
    assert of_rows(["image"], [[CONTENT]]).images == (Asked(CONTENT, Options()),)


def test_what_is_said_is_short() -> None:
    with pytest.raises(InputError) as caught:
        of_json(body([["x" * 10**5] * 50], ["y" * 10**6] * 50, params={"z" * 10**6: "x" * 10**6}))
    assert len(str(caught.value)) < 3000
