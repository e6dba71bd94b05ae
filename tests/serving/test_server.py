"""`mlflow models serve` as its users see it: over HTTP, in a process of its own."""

from __future__ import annotations

import base64
import csv
import io
import socket
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import requests
import tifffile
from examples import draw_field
from numpy.typing import NDArray

from serving.fuzz import JSON, PARQUET, bodies
from serving.served import Served
from sgseg.cli import parser
from sgseg.inference.segmenter import Segmenter

FIELD = draw_field([(10, 10), (30, 20), (40, 30)])[0]
FUZZED = 400  # docs/serving.md tells of 10,000
MOST_BYTES = 2.5e9


def tiff(pixels: NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def post(server: Served, body: Any, content_type: str | None = JSON) -> requests.Response:
    headers = {} if content_type is None else {"Content-Type": content_type}
    return requests.post(f"{server.url}/invocations", data=body, headers=headers, timeout=60)


def split(*images: bytes, **params: Any) -> str:
    rows = [[base64.b64encode(image).decode()] for image in images]
    frame = pd.DataFrame(rows, columns=["image"])
    return (
        f'{{"dataframe_split": {frame.to_json(orient="split")}, "params": {params_json(params)}}}'
    )


def params_json(params: dict[str, Any]) -> str:
    return pd.Series(params, dtype=object).to_json()


@pytest.fixture(scope="module")
def segmenter(model: Path) -> Segmenter:
    return Segmenter.load(next((model / "artifacts").iterdir()))


def test_a_mask_that_opens(server: Served, segmenter: Segmenter) -> None:
    scale = {"imagej": True, "resolution": (10, 10), "metadata": {"unit": "um"}}
    response = post(server, split(tiff(FIELD, **scale)))
    assert response.headers["content-type"] == "application/json"
    (answer,) = response.json()["predictions"]
    expected = segmenter.predict(FIELD, pixel_size_um=0.1)
    mask = imagecodecs.png_decode(base64.b64decode(answer["mask"]))
    assert mask.dtype == np.uint16
    np.testing.assert_array_equal(mask, expected.labels)
    assert (answer["n_granules"], answer["area_px"]) == (3, 27)  # three of 3 x 3 px
    assert answer["area_um2"] == 0.27  # 27 x 0.1^2
    assert answer["area_fraction"] == 0.005625  # 27 of 60 x 80
    assert answer["error"] is None


def test_parquet_is_the_same(server: Served) -> None:
    images = [tiff(FIELD), tiff(FIELD.astype(np.float32))]
    buffer = io.BytesIO()
    pd.DataFrame({"image": images}).to_parquet(buffer)
    answers = post(server, buffer.getvalue(), PARQUET).json()["predictions"]
    assert answers == post(server, split(*images)).json()["predictions"]
    assert [answer["n_granules"] for answer in answers] == [3, 3]


@pytest.mark.parametrize("uncertainty", [True, False])
def test_over_http_the_same_files_as_locally(
    server: Served, model: Path, tmp_path: Path, uncertainty: bool
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    scale = {"imagej": True, "resolution": (10, 10), "metadata": {"unit": "um"}}
    tifffile.imwrite(images / "a.tif", FIELD, **scale)
    tifffile.imwrite(images / "b.tif", rng.normal(300, 50, (50, 70)).astype(np.float32))
    (images / "c.png").write_bytes(imagecodecs.png_encode((FIELD >> 2).astype(np.uint8)))
    bundle = next((model / "artifacts").iterdir())
    results = []
    for name, *where in (("here", "--model", str(bundle)), ("there", "--url", server.url)):
        out = tmp_path / name
        arguments = ["predict", str(images), "--out", str(out), "--overlay", *where]
        arguments += ["--threshold", "0.4", "--min-area-px", "2", *["--uncertainty"] * uncertainty]
        parsed = parser().parse_args(arguments)
        assert parsed.run(parsed) == 0
        results.append(
            {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.is_file()}
        )
    here, there = results
    assert there.keys() == here.keys() >= {"a_mask.tif", "c_overlay.png", "granules.csv"}
    assert ("a_uncertainty.tif" in here) == uncertainty
    assert [name for name in here if here[name] != there[name]] == []
    with io.StringIO(here["fields.csv"].decode()) as file:
        counts = {Path(row["image"]).name: row["n_granules"] for row in csv.DictReader(file)}
    assert counts["a.tif"] == counts["c.png"] == "3"


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        (None, b"", 415),
        (None, split(tiff(FIELD)), 415),
        ("image/png", b"\x89PNG", 415),
        (JSON, b"", 400),
        (JSON, b'{"dataframe_split": ', 400),
        (JSON, b"[" * 200_000, 400),
        (JSON, b"\x80abc", 400),
        (JSON, b'{"inputs": [1, 2]}', 400),
        (JSON, b'{"dataframe_split": {"columns": ["image"], "data": [[NaN]]}}', 400),
        (JSON, split(tiff(FIELD), threshold=3), 400),
        (JSON, split(tiff(FIELD), unknown=1), 400),
        (PARQUET, b"", 400),
        (PARQUET, b"PAR1" * 100, 400),
        (JSON, split(), 400),
    ],
)
def test_a_bad_request_is_a_sentence(
    server: Served, content_type: str | None, body: bytes, status: int
) -> None:
    response = post(server, body, content_type)
    assert response.status_code == status
    assert response.json()["message"]
    assert len(response.text) < 1000
    assert "Traceback" not in response.text
    assert "stack_trace" not in response.text


def test_other_ways_and_methods(server: Served) -> None:
    assert requests.get(f"{server.url}/invocations", timeout=10).status_code == 405
    assert requests.post(f"{server.url}/nothing", timeout=10).status_code == 404
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(b"NONSENSE\r\n\r\n")
        assert b" 400 " in line.recv(1000).splitlines()[0]


def test_whoever_hangs_up_does_no_harm(server: Served) -> None:
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(head + b"Content-Length: 1000000\r\n\r\n{")
    assert post(server, split(tiff(FIELD))).ok


def test_fuzzed_bodies(server: Served) -> None:
    statuses: set[int] = set()
    middle = 0
    for number, (content_type, body) in enumerate(bodies(FUZZED)):
        response = post(server, body, content_type)
        statuses.add(response.status_code)
        assert response.status_code < 500, (content_type, body[:500], response.text)
        assert "Traceback" not in response.text
        response.json()
        if number == FUZZED // 2:
            middle = server.resident_bytes()
    assert statuses == {200, 400, 415}
    # What is kept for good is kept after the first half.
    assert server.resident_bytes() - middle < 100e6
    # A colour picture of 32 megapixels takes 1 GB; the records, as tables, would take 5.
    assert server.peak_bytes() < MOST_BYTES
    assert post(server, split(tiff(FIELD))).json()["predictions"][0]["n_granules"] == 3
