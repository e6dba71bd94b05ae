"""Where a command does its work, as options. Nothing here imports Dask."""

from __future__ import annotations

import argparse

from sgseg.errors import InputError, Problem


def add_cluster_options(parser: argparse.ArgumentParser) -> None:
    """Add where the work is done."""
    group = parser.add_argument_group("where it is done")
    where = group.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=_at_least_one,
        default=1,
        metavar="N",
        help="processes on this machine, which share its cores; the results are the same (default: "
        "%(default)s)",
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="a Dask cluster that sees the same folders, such as tcp://host:8786; see "
        "docs/cluster.md",
    )


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"1 or more is needed. Received: {text}")
    return value


def wants_cluster(arguments: argparse.Namespace) -> bool:
    """Whether the work is to be spread."""
    return arguments.workers > 1 or arguments.scheduler is not None


def refuse_cluster(arguments: argparse.Namespace) -> None:
    """Refuse to spread what a server does."""
    if wants_cluster(arguments):
        name = "--workers" if arguments.scheduler is None else "--scheduler"
        raise InputError(
            Problem(name, "the server computes", remedy=f"Leave out {name}, or --url.")
        )
