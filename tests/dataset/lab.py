"""A lab's few images of cells, and a data set in data/raw made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from sgseg.dataset.raw import RawSettings, write_settings


def cell(seed: int, *, size: int = 64) -> NDArray[np.uint8]:
    """A round cell in the middle, textured, with bright spots: all of them look rather alike."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    centre = size / 2 + rng.normal(0, 1, 2)
    radius = np.hypot(y - centre[0], x - centre[1])
    inside = 1 / (1 + np.exp((radius - size * rng.uniform(0.36, 0.42)) / 1.5))
    texture = ndimage.gaussian_filter(rng.normal(size=(size, size)), rng.uniform(2, 4))
    image = inside * (90 + 12 * texture / texture.std())
    for _ in range(rng.integers(2, 7)):
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.33) * size
        spot = np.hypot(
            y - centre[0] - reach * np.sin(angle), x - centre[1] - reach * np.cos(angle)
        )
        image += rng.uniform(30, 80) * np.exp(-((spot / 2.0) ** 2) / 2)
    return np.clip(image + 20 + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


def granules(*places: tuple[int, int], size: int = 64) -> NDArray[np.uint8]:
    """A mask, 0 and 255, with granules of 4 x 4 px whose upper left corners are `places`."""
    mask = np.zeros((size, size), dtype=np.uint8)
    for row, column in places:
        mask[row : row + 4, column : column + 4] = 255
    return mask


def write_raw(
    root: Path,
    images: dict[str, NDArray[Any]],
    masks: dict[str, NDArray[Any]] | None = None,
    **settings: Any,
) -> Path:
    """data/raw/few with TIFF images and masks; every image gets one granule where none is given."""
    raw = root / "data" / "raw" / "few"
    for kind in ("images", "masks"):
        (raw / kind).mkdir(parents=True)
    for number, (name, image) in enumerate(images.items()):
        (raw / "images" / name).parent.mkdir(exist_ok=True)
        (raw / "masks" / name).parent.mkdir(exist_ok=True)
        tifffile.imwrite(raw / "images" / f"{name}.tif", image)
        place = 20 + number % 20
        mask = (masks or {}).get(name, granules((place, place)))
        tifffile.imwrite(raw / "masks" / f"{name}.tif", mask)
    write_settings(raw, RawSettings(name="few", **settings))
    return raw


def manifest_of(**columns: Any) -> pd.DataFrame:
    """Rows of a manifest, one image each, as `split` needs them; what is not given is plain."""
    n = len(next(iter(columns.values())))
    names = [f"image {number}" for number in range(n)]
    plain = {
        "image_id": names,
        "pixel_hash": [f"{name} pixels" for name in names],
        "declared_group": [""] * n,
        "group": names,
        "condition": [""] * n,
        "foreground_fraction": [0.01] * n,
        "n_objects": [1] * n,
    }
    return pd.DataFrame(plain | columns)
