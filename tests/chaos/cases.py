"""The commands that are disturbed: what they need, how they are called, what they write."""

from __future__ import annotations

import os
import runpy
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml
from dataset import lab
from examples import draw_field, write_pointwise_network
from quantify import runs
from test_pipeline import TINY

from sgseg.cli import parser
from sgseg.errors import exit_with_message
from sgseg.images.write import write_labels
from sgseg.inference.bundle import BundleSpec, write_spec
from sgseg.training.merge import merge_onnx

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Case:
    """A command.

    Parameters
    ----------
    prepare
        Writes what it reads into a folder.
    command
        Runs it there.
    outputs
        What it writes, below that folder; all other files have to stay as they are.
    mends
        Whether, run again, it makes good what was damaged in its outputs.
    tidies
        Whether, run again, it removes the hidden file of a name that a kill left half-written.
    by_dvc
        Whether its outputs are removed before each run, as DVC does.
    state
        Files and folders that it writes to beside its outputs: the store, checkpoints.
    damaged
        Folders of which files are damaged, instead of the first of `outputs`.
    damaged_halfway
        Whether that happens to what a killed run leaves, not to what is finished.
    compared
        Whether its outputs have to be the same; otherwise `facts` alone.
    varies
        Files among the outputs that tell of times, and so differ each time or may.
    facts
        What else must be the same in the end, by name, such as what stands in the store.
    finished
        Whether a command that was disturbed had come to its end for all that, where it is not to be
        run once more: a stage that runs again is a training of its own.
    """

    prepare: Callable[[Path], None]
    command: Callable[[], None]
    outputs: tuple[str, ...]
    mends: bool = True
    tidies: bool = True
    by_dvc: bool = False
    state: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    damaged_halfway: bool = False
    compared: bool = True
    varies: tuple[str, ...] = ()
    facts: Callable[[Path], dict[str, str]] = lambda _: {}
    finished: Callable[[Path], bool] = lambda _: False


def sgseg(*words: str) -> Callable[[], None]:
    """A command of sgseg, as it is called in a shell."""

    def command() -> None:
        arguments = parser().parse_args(list(words))
        exit_with_message(lambda: arguments.run(arguments))

    return command


def stage(name: str, *words: str) -> Callable[[], None]:
    """A stage of the pipeline, as DVC calls it: without the outputs of an earlier run."""

    def command() -> None:
        sys.argv = [f"pipelines/{name}.py", *words]
        runpy.run_path(str(ROOT / "pipelines" / f"{name}.py"), run_name="__main__")

    return command


def _fields(folder: Path) -> None:
    """Three fields as files, and a bundle that finds their granules."""
    for number in range(3):
        pixels, _ = draw_field([(10, 10 + 4 * number), (30, 20)], seed=number)
        write_labels(folder / "images" / f"f{number}.tif", pixels, pixel_size_um=0.2)
    make_bundle(folder / "bundle")


def make_bundle(folder: Path) -> None:
    """A model of one network that calls bright what is bright."""
    folder.mkdir()
    alone = folder / "fold_0.onnx"
    write_pointwise_network(alone)
    merge_onnx([alone], ["fold_0"], folder / "model.onnx")
    alone.unlink()
    write_spec(folder, BundleSpec(["fold_0"], {"normalise": "background"}, 0.5, 4, 16))


def _stained(folder: Path) -> None:
    """Two fields with nuclei, masks of their granules and a table of samples."""
    rows = ["image,condition,replicate"]
    for number in range(2):
        image, labels = runs.draw(number)
        runs.write_image(folder / "images" / f"c{number}.tif", image)
        write_labels(folder / "granules" / f"c{number}.tif", labels)
        rows.append(f"c{number}.tif,control,{number + 1}")
    (folder / "samples.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def _handed_over(folder: Path) -> None:
    """Images and masks of a lab."""
    source = folder / "lab"
    for number in range(3):
        pixels = lab.cell(number)
        write_labels(source / "images" / f"c{number}.tif", pixels)
        write_labels(source / "masks" / f"c{number}.tif", (pixels > 150).astype("uint8"))


def _project(folder: Path) -> None:
    """The parameters of a small project."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, values in TINY.items():
        params[section] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (folder / "splits").mkdir()
    (folder / "splits/simulated.csv").write_text("image_id,pixel_hash,group,set\n")


def _after(*names: str) -> Callable[[Path], None]:
    """A project in which these stages have run."""

    def prepare(folder: Path) -> None:
        _project(folder)
        here = Path.cwd()
        os.chdir(folder)
        try:
            for name in names:
                with suppress(SystemExit):
                    stage(name)()
        finally:
            os.chdir(here)

    return prepare


def _search() -> None:
    from .search import search  # noqa: PLC0415

    search()


CASES = {
    "predict": Case(
        _fields,
        sgseg("predict", "images", "--model", "bundle", "--out", "found", "--overlay"),
        ("found",),
    ),
    "quantify": Case(
        _stained,
        sgseg(
            *("quantify", "images", "--sg-channel", "0", "--nuclei-channel", "1"),
            *("--masks", "granules", "--samples", "samples.csv", "--out", "measured"),
        ),
        ("measured",),
    ),
    "import": Case(
        _handed_over,
        sgseg(
            "import",
            "lab",
            "--images",
            "images",
            "--masks",
            "masks",
            "--name",
            "x",
            "--no-dvc",
            "--replace",
        ),
        ("data",),
        mends=False,
    ),
    "simulate": Case(_project, stage("simulate"), ("data/raw/simulated",)),
    "ingest": Case(_after("simulate"), stage("ingest"), ("data/dataset",)),
    "split": Case(
        _after("simulate", "ingest", "validate"),
        stage("split"),
        ("data/split", "splits"),
        tidies=False,
    ),
    "validate": Case(_after("simulate", "ingest"), stage("validate"), ("data/validated",)),
    "search": Case(lambda _: None, _search, ("found",), state=("tuning",)),
}


def fresh(prepared: Path, folder: Path) -> None:
    """The prepared files as a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(prepared, folder)
