"""`sgseg predict`: outline the granules in image files."""

from __future__ import annotations

import argparse
import logging
import math
from pathlib import Path
from typing import Any

from sgseg.errors import InputError, Problem

log = logging.getLogger(__name__)


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
    parser.add_argument(
        "--model",
        type=Path,
        default=Path("models/evaluated"),
        metavar="DIR",
        help="folder of an evaluated model (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for the results")
    parser.add_argument("--channel", help="number (from 0) or name of the stress-granule channel")
    parser.add_argument(
        "--projection",
        choices=["max", "mean", "sum", "min", "median"],
        help="how a Z-stack becomes one image",
    )
    parser.add_argument(
        "--pixel-size-um",
        type=_positive,
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
    parser.add_argument("--overlay", action="store_true", help="also write <name>_overlay.png")
    parser.add_argument(
        "--uncertainty",
        action="store_true",
        help="also write <name>_uncertainty.tif: where the networks disagree",
    )
    parser.set_defaults(run=run)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"a number above 0 is needed. Received: {text}")
    return value


def _members(text: str) -> str | int:
    if text in {"all", "one"}:
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"all, one or a number is needed. Received: {text}")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Carry out `sgseg predict`."""
    from sgseg.inference.predict import Reading, find_tasks, predict_files  # noqa: PLC0415
    from sgseg.inference.segmenter import Segmenter  # noqa: PLC0415

    segmenter = Segmenter.load(
        arguments.model, members=arguments.members, orientations=arguments.orientations
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
    tasks = find_tasks(arguments.paths, arguments.out)
    channel = arguments.channel
    problems = predict_files(
        segmenter,
        tasks,
        arguments.out,
        reading=Reading(
            channel=int(channel) if channel is not None and channel.isdecimal() else channel,
            projection=arguments.projection,
            pixel_size_um=arguments.pixel_size_um,
        ),
        with_overlay=arguments.overlay,
        with_uncertainty=arguments.uncertainty,
    )
    bad, n = len(problems), len(tasks)
    log.info("%d of %d images segmented into %s", n - bad, n, arguments.out)
    if problems:
        raise InputError(*problems, title=f"{bad} of {n} images could not be segmented:")
    return 0
