"""What a run has finished, field by field, so that the next one goes on where it was stopped.

`.fields/<name>/` in the folder of results: record.json with the row of fields.csv (see `Records`),
and both tables as Parquet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sgseg.images.write import replacing
from sgseg.inference.records import Records
from sgseg.inference.records import digest_of as digest_with
from sgseg.quantify.field import Measured

FOLDER = ".fields"
GRANULES, CELLS = "granules.parquet", "cells.parquet"
CODE = ("errors.py", "scores.py", "images", "inference", "quantify")


@dataclass(frozen=True)
class Kept:
    """A field that is done."""

    row: dict[str, Any]
    granules: pd.DataFrame
    cells: pd.DataFrame


class Store:
    """The finished fields in a folder of results."""

    def __init__(self, out: Path) -> None:
        self._records = Records(out, FOLDER)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """See `Records.locked`."""
        with self._records.locked():
            yield

    def is_done(self, name: str, digest: str) -> bool:
        """See `Records.is_done`."""
        return self._records.is_done(name, digest)

    def keep(self, name: str, digest: str, measured: Measured, files: Sequence[Path]) -> None:
        """Remember a field whose files are all written."""
        folder = self._records.of(name)
        tables = {GRANULES: measured.granules_table, CELLS: measured.cells_table}
        for file, table in tables.items():
            with replacing(folder / file) as temporary:
                table.to_parquet(temporary, index=False)
        known = [*files, *(folder / file for file in tables)]
        self._records.keep(name, digest, {"row": measured.row}, known)

    def load(self, name: str) -> Kept:
        """A field that is done."""
        folder, record = self._records.of(name), self._records.load(name)
        return Kept(
            record["row"], pd.read_parquet(folder / GRANULES), pd.read_parquet(folder / CELLS)
        )


def digest_of(shaping: Mapping[str, Any]) -> str:
    """MD5 over all that shapes the result of a field, the code included."""
    return digest_with(shaping, code=CODE)
