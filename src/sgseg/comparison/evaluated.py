"""One side of a comparison: an evaluation's table of images, and what is known of its making."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from sgseg.comparison.paired import COUNTS
from sgseg.errors import InputError, Problem

COLUMNS = ("image_id", "group", "method", "part", "fold", *COUNTS)
USED = {
    "threshold": "threshold",
    "min_area_px": "minimum area (px)",
    "orientations": "predict.orientations",
    "members_in_use": "predict.members",
}
"""Entries of bundle.json that change scores, and how they are shown."""


@dataclass(frozen=True)
class Evaluated:
    """One side of a comparison.

    Parameters
    ----------
    name
        As it is shown.
    table
        images.csv without the rows of the baseline.
    fold
        Only what this fold held out; None: all of it.
    params
        By dotted name; empty where nobody knows.
    data
        Digest of each data set by name; empty where nobody knows.
    origin
        Of `commit` and `code` (digest of what shapes the networks), what is known.
    identity
        The same for the same evaluation.
    run_id, experiment_id
        In the store; empty for a folder.
    notes
        What a reader has to know of it.
    """

    name: str
    table: pd.DataFrame
    identity: str
    fold: int | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    origin: Mapping[str, str] = field(default_factory=dict)
    run_id: str = ""
    experiment_id: str = ""
    notes: tuple[str, ...] = ()


def read_images(text: str, where: str) -> pd.DataFrame:
    """The network's rows of images.csv.

    Raises
    ------
    InputError
        It is no such table.
    """
    remedy = "Restore it with `dvc checkout`, or run `dvc repro evaluate`."
    try:
        table = pd.read_csv(io.StringIO(text), dtype={"image_id": str, "group": str})
        missing = [name for name in COLUMNS if name not in table]
        if missing:
            raise ValueError(f"no column {', '.join(missing)}")
        table = table[table["method"] == "network"]
        table = table.astype(dict.fromkeys(("fold", *COUNTS), "int64"))
    except ValueError as error:
        raise InputError(
            Problem(where, f"cannot be read as scores per image ({error})", remedy=remedy)
        ) from None
    twice = table[table.duplicated(["image_id", "part"])]["image_id"]
    if len(twice):
        raise InputError(Problem(where, f"lists {twice.iloc[0]} twice", remedy=remedy))
    return table.reset_index(drop=True)


def used_settings(text: str) -> dict[str, str]:
    """How the networks are used, from bundle.json; nothing from what is none."""
    try:
        content: Any = json.loads(text)
    except ValueError:
        return {}
    entries = content if isinstance(content, dict) else {}
    return {shown: str(entries[name]) for name, shown in USED.items() if name in entries}


def origin_of(tags: Mapping[str, str]) -> dict[str, str]:
    """Commit and digest of the code, from the tags of a run."""
    names = {"commit": "mlflow.source.git.commit", "code": "sgseg.code_digest"}
    return {shown: tags[name] for shown, name in names.items() if tags.get(name)}


def differing(a: Evaluated, b: Evaluated) -> list[tuple[str, str, str]]:
    """Parameters that differ, with the values of A and B; "-" where one has none."""
    if not (a.params and b.params):
        return []
    names: Iterable[str] = dict.fromkeys([*a.params, *b.params])
    pairs = [(name, a.params.get(name, "-"), b.params.get(name, "-")) for name in names]
    return [row for row in pairs if row[1] != row[2]]
