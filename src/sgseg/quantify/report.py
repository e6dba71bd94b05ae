"""One self-contained HTML page per run, for the screen, paper and screen readers."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from sgseg.images.write import replacing
from sgseg.quantify.dictionary import dictionary
from sgseg.quantify.fields import DONE, SEVERAL
from sgseg.quantify.figures import Picture, write_figures
from sgseg.quantify.methods import methods_of
from sgseg.quantify.report_tables import (
    FIELD_COLUMNS,
    MOST_CELLS,
    MOST_FIELDS,
    Table,
    comparison_table,
    findings,
    rows_of,
    summary_table,
)
from sgseg.quantify.statistics import Statistics

FILE = "report.html"
FIGURES = "figures"
METHODS = "methods.txt"
MOST_FAILED = 50
NAMED = 3
"""Fields named with a warning that several have."""


def write_report(
    folder: str | Path,
    *,
    fields: pd.DataFrame,
    cells: pd.DataFrame,
    granules: pd.DataFrame,
    statistics: Statistics,
    pictures: Sequence[Picture] = (),
    parameters: Mapping[str, Mapping[str, Any]],
    model: Mapping[str, Any],
    versions: Mapping[str, str],
    warnings: Sequence[str] = (),
    title: str = "Stress granules",
) -> Path:
    """Write `report.html`, `methods.txt` and the folder `figures`.

    The page needs no other file and no network: figures and pictures are part of it, its one script
    sorts tables, and a policy in it forbids all else. The same input gives the same bytes.

    Parameters
    ----------
    fields, cells, granules
        The tables of the run, all rows.
    statistics
        Of these tables, see `compare_conditions`.
    pictures
        Worst cases, the worst first: PNG, JPEG or SVG.
    parameters, model, versions
        See `methods_of`; each is listed as well.
    warnings
        About the run as a whole; those of fields are in `fields`.

    Returns
    -------
    Path of the page.

    Raises
    ------
    OSError
        A picture cannot be read.
    """
    folder = Path(folder)
    methods = methods_of(statistics, parameters=parameters, model=model, versions=versions)
    with replacing(folder / METHODS) as temporary:
        temporary.write_text(str(methods), encoding="utf-8")
    figures = write_figures(folder / FIGURES, statistics)
    failed = list(_failed(fields))
    context = {
        "title": title,
        "counted": _counted(fields, cells, granules, statistics),
        "findings": findings(statistics),
        "warnings": [*warnings, *_field_warnings(fields)],
        "failed": failed[:MOST_FAILED],
        "more_failed": max(0, len(failed) - MOST_FAILED),
        "figures": figures,
        "notes": statistics.notes,
        "pictures": list(pictures),
        "methods": methods,
        "model": [(name, str(value)) for name, value in model.items()],
        "parameters": [
            (f"{section}.{name}", "not set" if value is None else str(value))
            for section, values in parameters.items()
            for name, value in values.items()
        ],
        "versions": list(versions.items()),
        **_tables(fields, cells, granules, statistics),
    }
    path = folder / FILE
    with replacing(path) as temporary:
        temporary.write_text(_page(context), encoding="utf-8")
    return path


def _page(context: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sgseg.quantify"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline"] = _inline
    script = resources.files("sgseg.quantify").joinpath("templates", "sort.js").read_text("utf-8")
    digest = hashlib.sha256(script.encode()).digest()
    return environment.get_template("report.html.jinja").render(
        context,
        sections=list(_sections(context)),
        script=script,
        script_hash=base64.b64encode(digest).decode("ascii"),
    )


def _inline(picture: Picture) -> str:
    kind = mimetypes.guess_type(picture.path.name)[0] or "image/png"
    content = base64.b64encode(picture.path.read_bytes()).decode("ascii")
    return f"data:{kind};base64,{content}"


def _sections(context: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "summary", "Summary"
    for id, name in (("warnings", "Warnings"), ("failed", "Failed fields"), ("figures", "Figures")):
        if context[id]:
            yield id, name
    yield "statistics", "Statistics"
    if context["pictures"]:
        yield "cases", "Worst cases"
    for name in ("fields", "methods", "parameters"):
        yield name, name.capitalize()
    yield "dictionary", "Data dictionary"


def _tables(
    fields: pd.DataFrame, cells: pd.DataFrame, granules: pd.DataFrame, statistics: Statistics
) -> dict[str, Table]:
    done = fields[_is_done(fields)]
    tables = {
        "granules.csv": granules,
        "cells.csv": cells,
        "fields.csv": fields,
        "replicates.csv": statistics.replicates,
        "conditions.csv": statistics.conditions_table,
    }
    names = dictionary(tables)
    return {
        "summary": summary_table(statistics),
        "comparisons": comparison_table(statistics, tested=True),
        "others": comparison_table(statistics, tested=False),
        "conditions": rows_of(
            statistics.conditions[["measure", *statistics.conditions.columns.drop("measure")]],
            ("measure", *statistics.conditions.columns.drop("measure")),
            caption="Conditions, over replicates",
            file="conditions.csv",
        ),
        "replicates": rows_of(
            statistics.replicates,
            list(statistics.replicates.columns),
            caption="Replicates: mean of each measure",
            file="replicates.csv",
        ),
        "fields": rows_of(
            done, FIELD_COLUMNS, caption="Fields", file="fields.csv", most=MOST_FIELDS
        ),
        "cells": rows_of(
            cells, list(cells.columns), caption="Cells", file="cells.csv", most=MOST_CELLS
        ),
        "dictionary": rows_of(
            names[["column", "file", "unit", "definition"]],
            ("column", "file", "unit", "definition"),
            caption="Every column of every file",
            file="data_dictionary.csv",
        ),
    }


def _is_done(fields: pd.DataFrame) -> pd.Series:
    if "status" not in fields:
        return pd.Series(True, index=fields.index)
    return fields["status"] == DONE


def _failed(fields: pd.DataFrame) -> Iterator[tuple[str, str]]:
    for row in fields[~_is_done(fields)].to_dict("records"):
        yield str(row["field"]), str(row["status"])


def _field_warnings(fields: pd.DataFrame) -> Iterator[str]:
    """Each warning once, with how many fields have it and which."""
    if "warnings" not in fields:
        return
    having: dict[str, list[str]] = {}
    for row in fields[_is_done(fields)].to_dict("records"):
        for warning in str(row["warnings"] or "").split(SEVERAL) if row["warnings"] else ():
            having.setdefault(warning, []).append(str(row["field"]))
    for warning, names in having.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield f"{warning}: {', '.join(names[:NAMED])}{more}"


def _counted(
    fields: pd.DataFrame, cells: pd.DataFrame, granules: pd.DataFrame, statistics: Statistics
) -> str:
    failed = int((~_is_done(fields)).sum())
    counted = len(statistics.tables.cells)
    parts = [
        _many(len(statistics.names), "condition"),
        _many(len(fields) - failed, "field") + (f" ({failed} failed)" if failed else ""),
        _many(len(cells), "cell") + (f" ({counted} counted)" if counted < len(cells) else ""),
        _many(len(granules), "granule"),
    ]
    return ", ".join(parts) + "."


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
