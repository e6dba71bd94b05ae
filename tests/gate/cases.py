"""Frozen test images and bundles that find what is bright, for the tests of the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from evaluation.cases import ROOT, Field, field
from examples import write_pointwise_network
from numpy.typing import NDArray

from sgseg.config import Promote, load_params
from sgseg.dataset.copies import pixel_hash
from sgseg.dataset.manifest import COLUMNS
from sgseg.gate.decide import decide
from sgseg.gate.decision import Decision
from sgseg.gate.images import file_md5
from sgseg.inference.bundle import BundleSpec, write_spec

SPOTS = [(8, 8), (8, 20), (8, 32), (8, 44), (24, 8), (24, 20), (24, 32), (24, 44)]


def rule_with(**changes: Any) -> Promote:
    """The project's rule for few groups, with the changes given, at dotted keys."""
    content = load_params(ROOT / "params.yaml").promote.model_dump() | {"min_groups": 1}
    for key, value in changes.items():
        section, _, leaf = key.partition("__")
        if leaf:
            content[section][leaf] = value
        else:
            content[section] = value
    return Promote.model_validate(content)


def fields(number: int, *, faint: int = 0, distractors: int = 0) -> dict[str, Field]:
    """So many fields of 8 granules, of which some are faint, with some bright squares.

    Of a bundle of the middles 1.5, 2.0 and 2.5 the first finds all granules and the squares (2.2
    times the cell), the second those of the squares, and the third neither squares nor faint ones.
    """
    made = {}
    for seed in range(number):
        pixels, labels = field(
            seed,
            granules=SPOTS,
            distractors=[(row + 12, column) for row, column in SPOTS[:distractors]],
        )
        dim, _ = field(seed, granules=SPOTS, brightness=2.2)
        is_dim = (labels > 0) & (labels <= faint)
        made[f"field_{seed}"] = (np.where(is_dim, dim, pixels).astype(np.uint16), labels)
    return made


def empty(seed: int, distractors: int = 0) -> Field:
    """A field without granules, with some bright squares."""
    return field(seed, granules=[], distractors=SPOTS[:distractors])


@dataclass(frozen=True)
class TestSet:
    """Folders like data/dataset, data/split and data/raw, with the data set `few`."""

    __test__ = False
    root: Path

    @property
    def dataset(self) -> Path:
        return self.root / "dataset"

    @property
    def split(self) -> Path:
        return self.root / "split"

    @property
    def raw(self) -> Path:
        return self.root / "raw"

    def hash(self, image_id: str) -> str:
        """As in the manifest."""
        manifest = pd.read_csv(self.dataset / "manifest.csv", dtype=str).set_index("image_id")
        return str(manifest.loc[image_id, "pixel_hash"])

    def decide(self, challenger: Path, champion: Path | None, **options: Any) -> Decision:
        """With a clock that always ticks alike."""
        ticks = iter(range(10**9))
        standard = {
            "dataset": self.dataset,
            "split": self.split,
            "rule": rule_with(),
            "object_iou": 0.3,
            "resamples": 200,
            "seed": 1,
            "clock": lambda: float(next(ticks)),
        }
        return decide(challenger, champion, **(standard | options))


def write_test_set(
    root: Path,
    test: Mapping[str, Field],
    *,
    development: Mapping[str, Field] | None = None,
    groups: Mapping[str, str] | None = None,
    pixel_size_um: float | str = "",
) -> TestSet:
    """Write test images and development images; each is a group of its own unless told."""
    made = TestSet(root)
    for folder in (made.dataset, made.raw / "few"):
        (folder / "images").mkdir(parents=True)
        (folder / "masks").mkdir()
    made.split.mkdir()
    rows, roles = [], []
    everything = {**(development or {}), **test}
    for image_id, (pixels, labels) in everything.items():
        group = (groups or {}).get(image_id, image_id)
        row = _row(made, image_id, pixels, labels)
        rows.append(row | {"group": group, "pixel_size_um": pixel_size_um})
        side = "test" if image_id in test else "development"
        roles.append({"image_id": image_id, "group": group, "set": side, "role_0": ""})
    pd.DataFrame(rows).to_csv(made.dataset / "manifest.csv", index=False, float_format="%.9g")
    pd.DataFrame(roles).to_csv(made.split / "roles.csv", index=False)
    return made


def _row(
    made: TestSet, image_id: str, pixels: NDArray[Any], labels: NDArray[np.int32]
) -> dict[str, Any]:
    name = f"{image_id}.tif"
    tifffile.imwrite(made.dataset / "images" / name, pixels)
    tifffile.imwrite(made.dataset / "masks" / name, labels.astype(np.uint16))
    # As it was handed over: other bytes, the same pixels.
    raw = made.raw / "few"
    tifffile.imwrite(raw / "images" / name, pixels, compression="zlib")
    tifffile.imwrite(raw / "masks" / name, labels.astype(np.uint8))
    return dict.fromkeys(COLUMNS, "") | {
        "image_id": image_id,
        "image_file": f"images/{name}",
        "mask_file": f"masks/{name}",
        "source": "few",
        "image_md5": file_md5(raw / "images" / name),
        "mask_md5": file_md5(raw / "masks" / name),
        "pixel_hash": pixel_hash(pixels),
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "foreground_fraction": float((labels > 0).mean()),
        "n_objects": int(labels.max()),
    }


def write_bundle(
    folder: Path, *, middle: float = 2.0, weights: tuple[float, ...] = (1.0,), **changes: Any
) -> Path:
    """A bundle that calls granule what is brighter than `middle` times the cell.

    With several `weights` it is shown as many channels, and looks at their sum.
    """
    folder.mkdir(parents=True)
    write_pointwise_network(folder / "model.onnx", middle=middle, weights=weights)
    content: dict[str, Any] = {
        "members": ["probability"],
        "preprocessing": {
            "normalise": "background",
            "target_pixel_size_um": None,
            "resize": None,
        },
        "threshold": 0.5,
        "min_area_px": 4,
        "margin_px": 16,
        "trained_on": ["0000000000000000"],
        "facts": {"data": "d1", "commit": "c0ffee", "scores": {"test": {}}},
    }
    write_spec(folder, BundleSpec(**(content | changes)))
    return folder


def names(items: Sequence[Any]) -> list[str]:
    """Of images used or left out."""
    return [item.image_id for item in items]
