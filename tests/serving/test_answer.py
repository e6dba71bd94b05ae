"""What one image is answered with."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from sgseg.errors import InputError
from sgseg.images.rois import read_rois
from sgseg.inference.segmenter import Prediction
from sgseg.inference.uncertainty import Disagreement
from sgseg.serving.answer import answered, in_a_request, refuse_unanswerable, refused
from sgseg.serving.encode import labels_png
from sgseg.serving.options import RETURNS, Options

# Granule 1 is one pixel, granule 2 is three: 4 of 12 pixels.
LABELS = np.array([[1, 0, 0, 0], [0, 0, 2, 2], [0, 0, 0, 2]], np.int32)
PROBABILITY = np.where(LABELS > 0, 0.75, 0.125).astype(np.float32)
FOUND = Prediction(
    LABELS,
    PROBABILITY,
    Disagreement(np.array([0.5, 0.25]), 0.3),
    np.full(LABELS.shape, 0.1, np.float32),
    ("too dim",),
)
ALL = Options(returns=RETURNS)


def test_numbers() -> None:
    answer = answered(FOUND, 0.5, Options(), "sgseg/3")
    mask = answer.pop("mask")
    assert answer == {
        "n_granules": 2,
        "area_px": 4,
        "area_um2": 1.0,  # 4 x 0.5^2
        "area_fraction": round(4 / 12, 8),
        "uncertainty": 0.3,
        "pixel_size_um": 0.5,
        "warnings": ["too dim"],
        "model_version": "sgseg/3",
        "error": None,
        "retry": False,
    }
    with PillowImage.open(io.BytesIO(base64.b64decode(mask))) as image:
        assert image.mode == "I;16"
        np.testing.assert_array_equal(np.asarray(image), LABELS)


def test_what_is_unknown_is_null() -> None:
    found = Prediction(np.zeros((2, 3), np.int32), np.zeros((2, 3), np.float32), None, None, ())
    answer = answered(found, None, ALL, "v")
    assert (answer["area_um2"], answer["uncertainty"], answer["pixel_size_um"]) == (None,) * 3
    assert (answer["n_granules"], answer["area_fraction"], answer["granules"]) == (0, 0.0, [])
    json.dumps(answer, allow_nan=False)


def test_no_nan_in_json() -> None:
    nan = float("nan")
    probability = np.full(LABELS.shape, nan, np.float32)
    found = Prediction(LABELS, probability, Disagreement(np.array([nan, 0.1]), nan), None, ())
    answer = answered(found, None, Options(returns=("granules",)), "v")
    json.dumps(answer, allow_nan=False)
    assert answer["uncertainty"] is None
    assert [row["uncertainty"] for row in answer["granules"]] == [None, 0.1]


def test_only_what_is_asked_for() -> None:
    extra = {"probability", "rois", "granules", "maps"}
    assert not extra & answered(FOUND, None, Options(), "v").keys()
    answer = answered(FOUND, None, Options(returns=("granules",)), "v")
    assert extra & answer.keys() == {"granules"}
    assert answer["mask"] is None


def test_probability_as_png() -> None:
    text = answered(FOUND, None, ALL, "v")["probability"]
    found = imagecodecs.png_decode(base64.b64decode(text))
    # 0.125 x 65535 = 8191.875, 0.75 x 65535 = 49151.25
    assert found.dtype == np.uint16
    assert np.unique(found).tolist() == [8192, 49151]


def test_maps_to_the_bit() -> None:
    text = answered(FOUND, None, ALL, "v")["maps"]
    pages = tifffile.imread(io.BytesIO(base64.b64decode(text)))
    np.testing.assert_array_equal(pages, [PROBABILITY, FOUND.deviation])


def test_rois_are_the_labels(tmp_path: Path) -> None:
    path = tmp_path / "granules.zip"
    path.write_bytes(base64.b64decode(answered(FOUND, None, ALL, "v")["rois"]))
    np.testing.assert_array_equal(read_rois(path, LABELS.shape), LABELS)


def test_granules() -> None:
    first, second = answered(FOUND, 0.5, ALL, "v")["granules"]
    assert first == {
        "label": 1,
        "area_px": 1,
        "area_um2": 0.25,
        "centroid_row": 0.0,
        "centroid_col": 0.0,
        "mean_probability": 0.75,
        "uncertainty": 0.5,
    }
    # Rows 1, 1, 2 and columns 2, 3, 3.
    assert (second["centroid_row"], second["centroid_col"]) == (1.333, 2.667)


@pytest.mark.parametrize("returns", [("labels",), (), ("granules",), ("rois",)], ids=str)
def test_more_granules_than_a_mask_can_number(returns: tuple[str, ...]) -> None:
    labels = np.arange(65_536, dtype=np.int32).reshape(256, 256)
    np.testing.assert_array_equal(imagecodecs.png_decode(labels_png(labels)), labels)
    too_many = Prediction(labels + 1, np.ones((256, 256), np.float32), None, None, ())
    with pytest.raises(InputError, match="65536 granules; expected at most 65535"):
        answered(too_many, None, Options(returns=returns), "v")


@pytest.mark.parametrize("returns", [("maps",), ("labels", "probability")], ids=str)
def test_maps_have_a_largest_size(returns: tuple[str, ...]) -> None:
    refuse_unanswerable((5000, 5000), Options(returns=returns))
    with pytest.raises(InputError, match=r"25\.0 million pixels with .*; expected at most 25"):
        refuse_unanswerable((5000, 5001), Options(returns=returns))
    refuse_unanswerable((10_000, 10_000), Options(returns=("labels", "rois", "granules")))


def test_a_refusal_has_the_same_keys() -> None:
    answer = refused("image: a Z-stack. Give --projection, or --pixel-size-um.", "v")
    assert answer.keys() == answered(FOUND, None, Options(), "v").keys()
    assert answer["error"] == "image: a Z-stack. Give projection, or pixel_size_um."
    assert in_a_request("--channels and --out") == "--channels and --out"
