"""Small fields as files, and runs over them; run as a program, a run that a test can kill."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from sgseg.images.write import write_labels
from sgseg.inference.predict import Task
from sgseg.quantify.nuclei import NucleusOptions
from sgseg.quantify.run import Plan
from sgseg.quantify.samples import Sample
from sgseg.quantify.settings import Channels, Settings
from sgseg.quantify.sources import ByMasks

PIXEL_SIZE_UM = 0.5
SETTINGS = Settings(nuclei=NucleusOptions(diameter_um=6.0))  # 12 px
# Two cells, one of them with granules: their middles, and those of squares of 3 x 3 px.
CELLS = ((24, 22), (24, 62))
GRANULES = ((14, 14), (14, 30), (36, 20))


def disk(shape: tuple[int, int], middle: tuple[int, int], radius: float) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    found: NDArray[np.bool_] = np.hypot(rows - middle[0], columns - middle[1]) <= radius
    return found


def draw(seed: int = 0) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Channels SG marker and nuclei (2, 48, 84), and the granules' label image.

    Two cells of 17 px radius with nuclei of 6, 200 counts above a background of 100 with a noise of
    3; granules in the left one, 1000 counts.
    """
    rng = np.random.default_rng(seed)
    shape = (48, 84)
    marker, nuclei = np.full(shape, 100.0), np.full(shape, 50.0)
    labels = np.zeros(shape, np.int32)
    for middle in CELLS:
        marker[disk(shape, middle, 17)] = 300
        nuclei[disk(shape, middle, 6)] = 800
    for number, (row, column) in enumerate(GRANULES, 1):
        place = np.s_[row - 1 : row + 2, column - 1 : column + 2]
        marker[place], labels[place] = 1000, number
    image = np.stack([marker, nuclei]) + rng.normal(0, 3, (2, *shape))
    return np.rint(image).astype(np.uint16), labels


def write_image(
    path: Path, image: NDArray[Any], *, pixel_size_um: float | None = PIXEL_SIZE_UM
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"imagej": True, "metadata": {"axes": "CYX"}}
    if pixel_size_um is not None:
        options["resolution"] = (1 / pixel_size_um, 1 / pixel_size_um)
        options["metadata"]["unit"] = "um"
    tifffile.imwrite(path, image, **options)


def write_fields(folder: Path, names: list[str]) -> list[Task]:
    """`images/<name>.tif` and `masks/<name>.tif` of each field, each with its own noise."""
    tasks = []
    for seed, name in enumerate(names):
        image, labels = draw(seed)
        write_image(folder / "images" / f"{name}.tif", image)
        write_labels(folder / "masks" / f"{name}.tif", labels)
        tasks.append(Task(folder / "images" / f"{name}.tif", name))
    return tasks


def plan(folder: Path, tasks: list[Task], **changes: Any) -> Plan:
    """Masks given, cells around nuclei; conditions by the first letter of a name."""
    conditions = {"c": "control", "h": "heat"}
    samples = {task.name: Sample(conditions[task.name[0]], "1") for task in tasks}
    content: dict[str, Any] = {
        "source": ByMasks({task.name: folder / "masks" / f"{task.name}.tif" for task in tasks}),
        "channels": Channels(granules=0, nuclei=1),
        "settings": SETTINGS,
        "samples": samples,
    }
    return Plan(**(content | changes))


def content(out: Path) -> dict[str, str]:
    """MD5 of each file of results, also the hidden ones."""
    return {
        path.relative_to(out).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def main() -> None:
    from sgseg.quantify.run import quantify_files  # noqa: PLC0415

    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    tasks = [Task(path, path.stem) for path in sorted((folder / "images").glob("*.tif"))]
    quantify_files(tasks, out, plan(folder, tasks))


if __name__ == "__main__":
    main()
