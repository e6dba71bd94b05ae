"""`sgseg quantify`: numbers per granule, cell, field and condition from image files."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgseg.cluster.options import add_cluster_options, refuse_cluster, wants_cluster
from sgseg.commands.predict import (
    PREDICTORS,
    add_model_options,
    as_channel,
    local_predictor,
    model_folder,
    positive,
    remote_predictor,
    whole,
)
from sgseg.errors import InputError, Problem, without_password

if TYPE_CHECKING:
    from sgseg.inference.predict import Task
    from sgseg.quantify.files import Outputs
    from sgseg.quantify.run import Attempts, Plan
    from sgseg.quantify.settings import Counted
    from sgseg.quantify.sources import Source

log = logging.getLogger(__name__)

DESCRIPTION = """\
Measure the stress granules in image files: one row per granule (granules.csv), cell (cells.csv),
field (fields.csv), replicate and condition, as CSV and Parquet, with report.html, text for the
methods of a paper, label images and outlines for Fiji. A run that was stopped goes on where it was
when the same command is given again. See docs/quantify.md.
"""


def add_parser(subparsers: Any) -> None:
    """Add `quantify` to the commands."""
    parser = subparsers.add_parser(
        "quantify", help="measure granules, cells and conditions", description=DESCRIPTION
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="image file or folder")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for the results")
    model = add_model_options(parser)
    model.add_argument(
        "--masks",
        type=Path,
        metavar="FOLDER",
        help="granules segmented elsewhere instead of by a model: a label image, mask or ImageJ "
        "outlines for each image, named after it",
    )
    parser.add_argument(
        "--sg-channel", metavar="N", help="number (from 0) or name of the stress-granule channel"
    )
    add_measuring_options(parser)
    parser.add_argument(
        "--no-overlay",
        action="store_true",
        help="write no overlays; the report is then without pictures",
    )
    add_cluster_options(parser)
    parser.set_defaults(run=run)


def add_measuring_options(parser: argparse.ArgumentParser) -> None:
    """Add what `sgseg predict --quantify` knows as well."""
    add = parser.add_argument_group("what is measured").add_argument
    add("--nuclei-channel", metavar="N", help="number or name of the nuclear channel")
    add("--cell-channel", metavar="N", help="of a cell stain, to see cells by")
    add("--marker-channel", metavar="N", help="of a second marker, for colocalisation")
    add(
        "--unit",
        choices=["cells", "nuclei", "image", "foreground"],
        help="what granules are counted in: cells around nuclei; nuclei, where granules are in "
        "them; image: each image is one cell; foreground: cells, nobody knows how many (default: "
        "cells)",
    )
    add("--cells", type=Path, metavar="FOLDER", help="cells segmented elsewhere, as with --masks")
    add("--nuclei", type=Path, metavar="FOLDER", help="nuclei segmented elsewhere")
    add(
        "--nucleus-diameter-um",
        type=positive,
        metavar="UM",
        help="typical diameter of a nucleus (default: 12)",
    )
    add(
        "--split",
        choices=["distance", "probability", "none"],
        help="how touching granules are cut apart (default: distance)",
    )
    add(
        "--min-positive",
        type=whole,
        metavar="N",
        help="a cell is SG-positive with at least so many granules (default: 1)",
    )
    add(
        "--count-border-cells",
        action="store_true",
        help="count cells that the border of the image cuts, too",
    )
    add(
        "--samples",
        type=Path,
        metavar="CSV",
        help="table with a row for each image: image, condition, replicate, group, pixel_size_um",
    )
    add("--reference", metavar="CONDITION", help="that others are compared with")
    add(
        "--design",
        choices=["auto", "paired", "independent"],
        help="paired: within replicates of the same name (default: auto)",
    )
    add("--ome-tiff", action="store_true", help="also write image and labels as OME-TIFF")


def run(arguments: argparse.Namespace) -> int:
    """Carry out `sgseg quantify`."""
    from sgseg.inference.predict import find_tasks  # noqa: PLC0415
    from sgseg.quantify.files import Outputs  # noqa: PLC0415

    tasks = find_tasks(arguments.paths, arguments.out)
    source = _source(arguments, tasks)
    outputs = Outputs(
        overlay=not arguments.no_overlay,
        uncertainty=arguments.uncertainty,
        ome_tiff=arguments.ome_tiff,
    )
    return quantify(arguments, tasks, source, outputs, channel=arguments.sg_channel)


def beside_masks(arguments: argparse.Namespace, tasks: Sequence[Task]) -> int:
    """Carry out `sgseg predict --quantify`: masks as it names them, and the tables beside them."""
    from sgseg.quantify.files import Outputs  # noqa: PLC0415

    outputs = Outputs(
        overlay=arguments.overlay,
        uncertainty=arguments.uncertainty,
        ome_tiff=arguments.ome_tiff,
        beside=True,
    )
    source = _by_model(arguments)
    return quantify(arguments, tasks, source, outputs, channel=arguments.channel)


def quantify(
    arguments: argparse.Namespace,
    tasks: Sequence[Task],
    source: Source,
    outputs: Outputs,
    *,
    channel: str | None,
) -> int:
    """Measure; an error names the fields that failed, after all others are finished."""
    from sgseg.quantify.run import quantify_files  # noqa: PLC0415

    plan = _plan(arguments, tasks, source, outputs, channel)
    with _on_cluster(arguments) as attempts:
        problems = quantify_files(tasks, arguments.out, plan, attempts=attempts)
    bad, n = len(problems), len(tasks)
    log.info("%d of %d fields measured into %s", n - bad, n, arguments.out)
    if problems:
        raise InputError(*problems, title=f"{bad} of {n} fields could not be measured:")
    return 0


@contextmanager
def _on_cluster(arguments: argparse.Namespace) -> Iterator[Attempts | None]:
    """What spreads the fields over the workers asked for; None where they are done here."""
    if not wants_cluster(arguments):
        yield None
        return
    from sgseg.cluster.connection import connect, threads_per_task  # noqa: PLC0415
    from sgseg.cluster.fields import field_attempts  # noqa: PLC0415

    # `predict --quantify` knows no --masks.
    folder = None if getattr(arguments, "masks", None) else model_folder(arguments.model)
    where = {"workers": arguments.workers, "scheduler": arguments.scheduler}
    options = {"members": arguments.members, "orientations": arguments.orientations}
    with (
        connect(**where) as client,
        field_attempts(client, folder, **options, threads=threads_per_task(**where)) as attempts,
    ):
        yield attempts


def _plan(
    arguments: argparse.Namespace,
    tasks: Sequence[Task],
    source: Source,
    outputs: Outputs,
    channel: str | None,
) -> Plan:
    # pandas and scikit-image take a second: not for --help.
    from sgseg.quantify.given import find_given  # noqa: PLC0415
    from sgseg.quantify.nuclei import NucleusOptions  # noqa: PLC0415
    from sgseg.quantify.per_cell import PerCellOptions  # noqa: PLC0415
    from sgseg.quantify.run import Plan  # noqa: PLC0415
    from sgseg.quantify.samples import read_samples  # noqa: PLC0415
    from sgseg.quantify.settings import Channels, Settings  # noqa: PLC0415
    from sgseg.quantify.split import SplitOptions  # noqa: PLC0415
    from sgseg.quantify.statistics import StatisticsOptions  # noqa: PLC0415

    names = [task.name for task in tasks]
    unit: Counted = arguments.unit or "cells"
    diameter = arguments.nucleus_diameter_um
    return Plan(
        source,
        Channels(
            as_channel(channel),
            as_channel(arguments.nuclei_channel),
            as_channel(arguments.cell_channel),
            as_channel(arguments.marker_channel),
            arguments.projection,
            arguments.pixel_size_um,
            as_channel(arguments.second_channel),
        ),
        Settings(
            unit,
            split=SplitOptions(arguments.split or "distance"),
            nuclei=NucleusOptions() if diameter is None else NucleusOptions(diameter_um=diameter),
            per_cell=PerCellOptions(arguments.min_positive or 1, arguments.count_border_cells),
        ),
        samples={} if arguments.samples is None else read_samples(arguments.samples, tasks),
        cells={} if arguments.cells is None else find_given(arguments.cells, names),
        nuclei={}
        if arguments.nuclei is None
        else find_given(arguments.nuclei, names, what="nuclei"),
        statistics=StatisticsOptions(
            reference=arguments.reference, design=arguments.design or "auto"
        ),
        outputs=outputs,
    )


def _source(arguments: argparse.Namespace, tasks: Sequence[Task]) -> Source:
    if arguments.masks is None:
        return _by_model(arguments)
    from sgseg.quantify.given import find_given  # noqa: PLC0415
    from sgseg.quantify.sources import ByMasks  # noqa: PLC0415

    problems = [
        Problem(f"--{name.replace('_', '-')}", "there is no model: masks are given")
        for name in PREDICTORS
        if getattr(arguments, name)
    ]
    if problems:
        raise InputError(*problems)
    names = [task.name for task in tasks]
    return ByMasks(find_given(arguments.masks, names, what="granules"))


def _by_model(arguments: argparse.Namespace) -> Source:
    from sgseg.quantify.sources import ByModel, of_bundle  # noqa: PLC0415

    point = {"threshold": arguments.threshold, "min_area_px": arguments.min_area_px}
    if arguments.url is None:
        folder = model_folder(arguments.model)
        return of_bundle(
            local_predictor(arguments, folder),
            folder,
            version=arguments.model,
            with_deviation=arguments.uncertainty,
            **point,
        )
    refuse_cluster(arguments)
    predictor = remote_predictor(arguments)
    # It is kept beside the results, which are passed on.
    url = without_password(arguments.url)
    facts: dict[str, Any] = {"version": _served_version(arguments.url), "url": url}
    facts |= {name: value for name, value in point.items() if value is not None}
    return ByModel(predictor, facts, **point, with_deviation=arguments.uncertainty)


def _served_version(url: str) -> str:
    """Which model a server has: a run that goes on must not take another one for it."""
    import numpy as np  # noqa: PLC0415

    from sgseg.client import predict  # noqa: PLC0415

    (answer,) = predict(url, [np.zeros((16, 16), np.uint8)], token=os.environ.get("SGSEG_TOKEN"))
    return answer.model_version
