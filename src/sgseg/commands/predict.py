"""`sgseg predict`: outline the granules in image files."""

from __future__ import annotations

import argparse
import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgseg.cluster.options import add_cluster_options, refuse_cluster, wants_cluster
from sgseg.errors import InputError, Problem, without_password

if TYPE_CHECKING:
    from sgseg.client import RemoteSegmenter
    from sgseg.inference.predict import Task
    from sgseg.inference.run import Attempts
    from sgseg.inference.segmenter import Segmenter

log = logging.getLogger(__name__)

MODEL = "models/evaluated"
PREDICTORS = (
    *("members", "orientations", "threshold", "min_area_px", "uncertainty"),
    "second_channel",
)
"""Options that only a model has."""
ONLY_MEASURED = (
    *("nuclei_channel", "cell_channel", "marker_channel", "unit", "cells", "nuclei"),
    *("nucleus_diameter_um", "split", "min_positive", "count_border_cells", "samples"),
    *("reference", "design", "ome_tiff"),
)
"""Options that say nothing without --quantify."""


def add_parser(subparsers: Any) -> None:
    """Add `predict` to the commands."""
    parser = subparsers.add_parser(
        "predict",
        help="outline the granules in images",
        description="Outline the granules in image files or in all images of folders. Writes a "
        "label image <name>_mask.tif per image (0 is background, every granule has its number), a "
        "table of the images (fields.csv) and one of all granules (granules.csv).",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="image file or folder")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for the results")
    add_model_options(parser)
    parser.add_argument("--channel", help="number (from 0) or name of the stress-granule channel")
    parser.add_argument("--overlay", action="store_true", help="also write <name>_overlay.png")
    parser.add_argument(
        "--quantify",
        action="store_true",
        help="write the tables and the report of `sgseg quantify` in place of the two tables; "
        "touching granules are then cut apart in the masks as well",
    )
    parser.add_argument(
        "--into-plate",
        action="store_true",
        help="also write the labels into the OME-Zarr given: labels/granules of each image",
    )
    # Both commands know the options of the other.
    from sgseg.commands.quantify import add_measuring_options  # noqa: PLC0415

    add_measuring_options(parser)
    add_cluster_options(parser)
    parser.set_defaults(run=run)


def add_model_options(parser: argparse.ArgumentParser) -> Any:
    """Add a model, how it is used, and how files are read; the group of what excludes a model."""
    model = parser.add_mutually_exclusive_group()
    model.add_argument(
        "--model",
        default=MODEL,
        metavar="MODEL",
        help="folder of an evaluated model, or one of the registry: models:/NAME@ALIAS or "
        "models:/NAME/VERSION (default: %(default)s)",
    )
    model.add_argument(
        "--url",
        metavar="URL",
        help="a model that is served (mlflow models serve) instead of one on this machine, such as "
        "http://127.0.0.1:5001; the token of a proxy in front of it is taken from SGSEG_TOKEN",
    )
    parser.add_argument(
        "--second-channel",
        metavar="N",
        help="number or name of the channel that the model is shown beside the granules, if it was "
        "trained with one (ingest.second_channel)",
    )
    parser.add_argument(
        "--projection",
        choices=["max", "mean", "sum", "min", "median"],
        help="how a Z-stack becomes one image",
    )
    parser.add_argument(
        "--pixel-size-um",
        type=positive,
        metavar="UM",
        help="side of a pixel in micrometres, instead of what the file says",
    )
    parser.add_argument(
        "--members",
        type=_members,
        metavar="{all,one,N}",
        help="how many of the model's networks are averaged: all, or the first N; more are better "
        "and slower (default: as the model says)",
    )
    parser.add_argument(
        "--orientations",
        type=int,
        choices=[1, 8],
        help="8 averages over mirrored and turned images, 1 is eight times as fast (default: as "
        "the model says)",
    )
    parser.add_argument(
        "--threshold",
        type=_probability,
        metavar="P",
        help="what is more probable than this is granule (default: as chosen for the model)",
    )
    parser.add_argument(
        "--min-area-px",
        type=whole,
        metavar="N",
        help="smaller granules are dropped (default: as chosen for the model)",
    )
    parser.add_argument(
        "--uncertainty",
        action="store_true",
        help="also write a TIFF per image: where the networks disagree",
    )
    return model


def positive(text: str) -> float:
    """A number above 0, as an option."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"a number above 0 is needed. Received: {text}")
    return value


def _probability(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"a number in [0, 1] is needed. Received: {text}")
    return value


def whole(text: str) -> int:
    """A whole number above 0, as an option."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"a whole number above 0 is needed. Received: {text}")
    return value


def _members(text: str) -> str | int:
    if text in {"all", "one"}:
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"all, one or a number is needed. Received: {text}")
    return int(text)


def as_channel(text: str | None) -> int | str | None:
    """The number or name of a channel, as an option."""
    return int(text) if text is not None and text.isdecimal() else text


def run(arguments: argparse.Namespace) -> int:
    """Carry out `sgseg predict`."""
    from sgseg.inference.predict import Job, Reading, find_tasks, predict_files  # noqa: PLC0415
    from sgseg.inference.run import continue_files  # noqa: PLC0415

    if arguments.quantify:
        from sgseg.commands.quantify import beside_masks  # noqa: PLC0415

        if arguments.into_plate:
            raise InputError(
                Problem("--into-plate", "not with --quantify", remedy="Leave out one.")
            )
        return beside_masks(arguments, find_tasks(arguments.paths, arguments.out))
    _refuse_measuring(arguments)
    reading = Reading(
        channel=as_channel(arguments.channel),
        second_channel=as_channel(arguments.second_channel),
        projection=arguments.projection,
        pixel_size_um=arguments.pixel_size_um,
    )
    options: dict[str, Any] = {
        "threshold": arguments.threshold,
        "min_area_px": arguments.min_area_px,
        "with_overlay": arguments.overlay,
        "with_uncertainty": arguments.uncertainty,
    }
    if arguments.url is None:
        folder = model_folder(arguments.model)
        segmenter = local_predictor(arguments, folder)
        tasks = find_tasks(arguments.paths, arguments.out)
        _check_plate(arguments, tasks)
        identity = _identity(segmenter, folder)
        into_plate = arguments.into_plate
        job = Job(arguments.out, reading, **options, into_plate=into_plate, identity=identity)
        with _on_cluster(arguments, folder) as attempts:
            problems = continue_files(segmenter, tasks, job, attempts=attempts)
    else:
        refuse_cluster(arguments)
        if arguments.into_plate:
            raise InputError(Problem("--into-plate", "not with --url", remedy="Leave out one."))
        predictor = remote_predictor(arguments)
        tasks = find_tasks(arguments.paths, arguments.out)
        problems = predict_files(predictor, tasks, arguments.out, reading=reading, **options)
    bad, n = len(problems), len(tasks)
    log.info("%d of %d images segmented into %s by %s", n - bad, n, arguments.out, _by(arguments))
    if problems:
        raise InputError(*problems, title=f"{bad} of {n} images could not be segmented:")
    return 0


def _check_plate(arguments: argparse.Namespace, tasks: Sequence[Task]) -> None:
    """Refuse images that are in no OME-Zarr where labels are to be written into it."""
    if arguments.into_plate:
        problems = [
            Problem(str(task.path), "no image of OME-Zarr", remedy="Leave out --into-plate.")
            for task in tasks
            if not task.path.is_dir()
        ]
        if problems:
            raise InputError(*problems)


def _identity(segmenter: Segmenter, folder: Path) -> dict[str, Any]:
    """What a model is known by, as it is used."""
    from sgseg.inference.bundle import networks_digest  # noqa: PLC0415

    spec = segmenter.spec
    return {
        # Not what it is called, nor what is told of it.
        "networks": networks_digest(folder),
        "members": spec.members,
        "orientations": spec.orientations,
    }


@contextmanager
def _on_cluster(arguments: argparse.Namespace, folder: Path) -> Iterator[Attempts | None]:
    """What spreads the images over the workers asked for; None where they are done here."""
    if not wants_cluster(arguments):
        yield None
        return
    from sgseg.cluster.connection import connect, threads_per_task  # noqa: PLC0415
    from sgseg.cluster.images import image_attempts  # noqa: PLC0415

    where = {"workers": arguments.workers, "scheduler": arguments.scheduler}
    options = {"members": arguments.members, "orientations": arguments.orientations}
    with (
        connect(**where) as client,
        image_attempts(client, folder, **options, threads=threads_per_task(**where)) as attempts,
    ):
        yield attempts


def _by(arguments: argparse.Namespace) -> str:
    """Which model it was, for a person."""
    return without_password(arguments.url) if arguments.url else f"the model {arguments.model}"


def _refuse_measuring(arguments: argparse.Namespace) -> None:
    problems = [
        Problem(f"--{name.replace('_', '-')}", "nothing is measured", remedy="Add --quantify.")
        for name in ONLY_MEASURED
        if getattr(arguments, name)
    ]
    if problems:
        raise InputError(*problems)


def model_folder(model: str) -> Path:
    """The folder of a model: as given, or of one of the registry."""
    if not model.startswith("models:"):
        return Path(model)
    from sgseg.registry.bundles import bundle_of  # noqa: PLC0415

    return bundle_of(model)


def local_predictor(arguments: argparse.Namespace, folder: Path) -> Segmenter:
    """A model on this machine, used as the options say."""
    from sgseg.inference.segmenter import Segmenter  # noqa: PLC0415

    segmenter = Segmenter.load(
        folder, members=arguments.members, orientations=arguments.orientations
    )
    if segmenter.n_members == 1:
        if arguments.uncertainty:
            raise InputError(
                Problem(
                    "--uncertainty",
                    "one network has nobody to disagree with",
                    "a model of several networks",
                    "Use all of them (--members all), or a model that has several.",
                )
            )
        log.info("One network alone: no uncertainty in the tables.")
    return segmenter


def remote_predictor(arguments: argparse.Namespace) -> RemoteSegmenter:
    """A model that is served, used as its server says."""
    from sgseg.client import RemoteSegmenter  # noqa: PLC0415

    problems = [
        Problem(f"--{name}", "the server decides", remedy=f"Leave out --{name}, or --url.")
        for name in ("members", "orientations")
        if getattr(arguments, name) is not None
    ]
    if problems:
        raise InputError(*problems)
    return RemoteSegmenter(arguments.url, token=os.environ.get("SGSEG_TOKEN"))
