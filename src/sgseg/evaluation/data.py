"""The canonical images with their roles, and the probability maps that networks gave them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgseg.dataset.manifest import (
    read_canonical_image,
    read_canonical_labels,
    read_manifest,
    shown_channels,
)
from sgseg.inference.preprocess import Preprocessing
from sgseg.inference.watch import as_seen, training_statistics

Labels = NDArray[np.int32]
Probability = NDArray[np.float32]


class DataSet:
    """The canonical images with their roles and groups, read when asked for."""

    def __init__(self, folder: Path, roles: pd.DataFrame, folds: Sequence[int]) -> None:
        self._folder = folder
        manifest = read_manifest(folder).set_index("image_id")
        self._pixel_size = manifest["pixel_size_um"]
        self._pixel_hash = manifest["pixel_hash"]
        self.group: dict[str, str] = dict(zip(roles["image_id"], roles["group"], strict=True))
        self.development_ids: list[str] = roles.loc[
            roles["set"] == "development", "image_id"
        ].tolist()
        self.test_ids: list[str] = roles.loc[roles["set"] == "test", "image_id"].tolist()
        self.fold_of: dict[str, int] = {
            image_id: fold
            for fold in folds
            for image_id in roles.loc[roles[f"role_{fold}"] == "held_out", "image_id"]
        }

    def pixels(self, image_id: str) -> NDArray[np.generic]:
        """(H, W) in camera counts."""
        return read_canonical_image(self._folder, image_id)

    def shown(self, image_id: str) -> NDArray[np.generic]:
        """What the networks are shown: `pixels`, or (H, W, 2) with the second channel."""
        return read_canonical_image(self._folder, image_id, channels=shown_channels(self._folder))

    def truth(self, image_id: str) -> Labels:
        """Label image (H, W)."""
        return read_canonical_labels(self._folder, image_id)

    def pixel_size_um(self, image_id: str) -> float | None:
        """None where unknown."""
        size = self._pixel_size[image_id]
        return None if pd.isna(size) else float(size)

    @property
    def trained_on(self) -> list[str]:
        """`pixel_hash` of every development image, sorted: each has a part in some member."""
        return sorted(set(self._pixel_hash[self.development_ids]))

    def training_statistics(self, preprocessing: Preprocessing) -> dict[str, Any]:
        """What the development images are like, see `watch`."""
        images, areas = [], []
        for image_id in self.development_ids:
            size = self.pixel_size_um(image_id)
            image, scale = as_seen(preprocessing, self.pixels(image_id), size)
            labels = self.truth(image_id)
            images.append(image)
            found = np.bincount(labels[labels > 0])
            areas.append(found[found > 0] * scale**2)
        return training_statistics(images, areas)

    @property
    def median_pixel_size_um(self) -> float | None:
        """Median over the development images of known pixel size."""
        size = self._pixel_size[list(self.fold_of)].median()
        return None if pd.isna(size) else float(size)


@dataclass(frozen=True)
class Maps:
    """Probability maps (H, W) on disk: those of a whole data set would fill the memory."""

    folder: Path

    def save(self, image_id: str, found: Probability, member: int | None = None) -> None:
        """Keep a map: the one that is scored, or that of one member."""
        path = self._path(image_id, member)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, found)

    def load(self, image_id: str, member: int | None = None) -> Probability:
        """The map that is scored, or that of one member."""
        return np.asarray(np.load(self._path(image_id, member)), dtype=np.float32)

    def _path(self, image_id: str, member: int | None) -> Path:
        part = "scored" if member is None else f"member_{member}"
        return self.folder / part / f"{image_id}.npy"
