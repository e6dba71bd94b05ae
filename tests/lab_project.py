"""A project of a few images under git and DVC, and folders of images to add to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from sgseg.dataset.importer import import_folder
from sgseg.dataset.registry import start_registry
from sgseg.dataset.source import track

PARAMS = Path(__file__).parents[1] / "params.yaml"
PLACES = ((8, 8), (20, 20), (30, 12))
IDENTITY = {
    f"GIT_{who}_{what}": f"ada{at}"
    for who in ("AUTHOR", "COMMITTER")
    for what, at in (("NAME", ""), ("EMAIL", "@lab.example"))
}


def picture(seed: int, *, size: int = 48) -> NDArray[np.uint8]:
    """Smooth noise: no two of them look alike."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(size, size)), 2)
    return np.clip(120 + 40 * smooth / smooth.std(), 1, 254).astype(np.uint8)


def mask(n_granules: int = 1, *, size: int = 48) -> NDArray[np.uint8]:
    """0 and 255, with that many granules of 4 x 4 px."""
    pixels = np.zeros((size, size), dtype=np.uint8)
    for row, column in PLACES[:n_granules]:
        pixels[row : row + 4, column : column + 4] = 255
    return pixels


def write_pair(
    folder: Path, name: str, image: NDArray[np.uint8], labels: NDArray[np.uint8] | None = None
) -> None:
    """folder/images/NAME.png and folder/masks/NAME.png; one granule where no mask is given."""
    for kind, pixels in (("images", image), ("masks", mask() if labels is None else labels)):
        path = folder / kind / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def write_folder(folder: Path, seeds: range, *, prefix: str = "cell") -> Path:
    """A folder of images `cell 1`, `cell 2`, ... and their masks."""
    for seed in seeds:
        write_pair(folder, f"{prefix} {seed}", picture(seed))
    return folder


def run(root: Path, *command: str) -> str:
    """Run a command in a folder; its output."""
    done = subprocess.run(
        command,
        cwd=root,
        env={**os.environ, **IDENTITY, "DVC_NO_ANALYTICS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def dvc(root: Path, *arguments: str) -> str:
    """Run DVC in a folder."""
    return run(root, sys.executable, "-m", "dvc", *arguments)


def commit_all(root: Path, message: str) -> None:
    """Commit everything."""
    run(root, "git", "add", "--all")
    run(root, "git", "commit", "--quiet", "--message", message)


def make_project(root: Path, *, with_dvc: bool, **options: object) -> Path:
    """A project whose data set `mine` has images `cell 1` to `cell 8`."""
    root.mkdir(parents=True)
    text = PARAMS.read_text(encoding="utf-8").replace("source: simulated", "source: mine", 1)
    (root / "params.yaml").write_text(text, encoding="utf-8")
    if with_dvc:
        run(root, "git", "init", "--quiet")
        dvc(root, "init", "--quiet")
    lab = write_folder(root.parent / f"{root.name}-lab", range(1, 9))
    folder = import_folder(lab, images="images", masks="masks", name="mine", root=root, **options)
    start_registry(root / "splits" / "mine.csv")
    if with_dvc:
        track(folder, root=root)
        commit_all(root, "images")
    return root


def tree(folder: Path) -> dict[str, bytes]:
    """Content of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
