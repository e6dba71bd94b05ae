"""A simulated data set as a lab would hand it over: TIFF files, masks and a sample table."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
import yaml
from numpy.typing import NDArray

from sgseg.config import Simulate
from sgseg.dataset.simulate.field import simulate_field
from sgseg.errors import InputError, Problem
from sgseg.images.write import write_labels

TRUTH_FILE = "truth.csv"  # only a simulated data set has it
CHANNELS = ("G3BP1", "DNA")

log = logging.getLogger(__name__)


def simulate_dataset(out: Path, params: Simulate) -> None:
    """Write a whole simulated data set; the same parameters give the same bytes.

    Parameters
    ----------
    out : Path
        Folder to write, `data/raw/simulated` in the pipeline. A simulated data set that is there is
        replaced, once the new one is complete. It gets

        - `images/<stem>.tif`: (2, H, W) uint16, ImageJ hyperstack with pixel size; channel 0 is the
          stress-granule marker, channel 1 the nuclei; stem `<condition>_r<replicate>_f<field>`;
        - `masks/<stem>.tif`, `cells/<stem>.tif`, `nuclei/<stem>.tif`: label images;
        - `samples.csv`: image, condition, replicate, group (each field is one), pixel_size_um;
        - `truth.csv`: one row per granule, see `Field.table`;
        - `dataset.yaml`: how to read it.
    params : Simulate
        The section `simulate` of params.yaml.

    Raises
    ------
    InputError
        `out` is there and is something else than a simulated data set.
    """
    out = Path(out)
    if out.exists() and not _replaceable(out):
        raise InputError(
            Problem(
                str(out),
                "is there and is no simulated data set",
                remedy="Move it away, or choose another folder.",
            )
        )
    unfinished = out.with_name(f".{out.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        _write(unfinished, params, name=out.name)
        _move(unfinished, out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(folder: Path, params: Simulate, *, name: str) -> None:
    samples, truth = [], []
    (folder / "images").mkdir(parents=True)
    for condition in params.conditions:
        for replicate in range(1, params.replicates + 1):
            for number in range(1, params.fields_per_replicate + 1):
                field = simulate_field(
                    params, condition=condition, replicate=replicate, field=number
                )
                stem = f"{condition}_r{replicate}_f{number:02d}"
                file = f"{stem}.tif"
                _write_image(folder / "images" / file, field.image, params.pixel_size_um)
                for kind, labels in (
                    ("masks", field.granules),
                    ("cells", field.cells),
                    ("nuclei", field.nuclei),
                ):
                    write_labels(folder / kind / file, labels, pixel_size_um=params.pixel_size_um)
                samples.append((file, condition, replicate, stem, params.pixel_size_um))
                truth.append(field.table.assign(image=file))
    columns = ["image", "condition", "replicate", "group", "pixel_size_um"]
    _write_table(folder / "samples.csv", pd.DataFrame(samples, columns=columns))
    granules = pd.concat(truth, ignore_index=True)
    granules.insert(0, "image", granules.pop("image"))
    _write_table(folder / TRUTH_FILE, granules)
    reading = {
        "name": name,
        "channel": 0,
        "projection": None,
        "pixel_size_um": params.pixel_size_um,
        "bit_depth": 16,
        "masks": "labels",
        "pattern": None,
    }
    (folder / "dataset.yaml").write_text(yaml.safe_dump(reading, sort_keys=False), encoding="utf-8")
    log.info("simulated %d fields with %d granules", len(samples), len(granules))


def _write_image(path: Path, image: NDArray[np.uint16], pixel_size_um: float) -> None:
    """Write channels (2, H, W) as Fiji would save them."""
    tifffile.imwrite(
        path,
        image,
        imagej=True,
        photometric="minisblack",
        resolution=(1 / pixel_size_um, 1 / pixel_size_um),
        metadata={
            "axes": "CYX",
            "unit": "micron",
            "mode": "composite",
            "Labels": list(CHANNELS),
        },
    )


def _write_table(path: Path, table: pd.DataFrame) -> None:
    table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n", encoding="utf-8")


def _replaceable(out: Path) -> bool:
    return out.is_dir() and ((out / TRUTH_FILE).is_file() or not any(out.iterdir()))


def _move(folder: Path, out: Path) -> None:
    """Put a complete folder in the place of an old one; there is no moment with half of it."""
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    folder.rename(out)
    shutil.rmtree(old, ignore_errors=True)
