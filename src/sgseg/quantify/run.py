"""A run over many fields: each measured and kept, then tables, statistics and report of all."""

from __future__ import annotations

import importlib.metadata
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from tqdm import tqdm

from sgseg.errors import InputError, Problem
from sgseg.images.write import replacing
from sgseg.inference.predict import Task
from sgseg.inference.records import content_md5
from sgseg.inference.run import Outcome, Steps, overlapped, through
from sgseg.quantify.dictionary import write_dictionary
from sgseg.quantify.field import measure_field, read_field
from sgseg.quantify.fields import DONE
from sgseg.quantify.figures import Picture
from sgseg.quantify.files import Outputs, Paths, write_field
from sgseg.quantify.given import read_given
from sgseg.quantify.overlays import legend, write_shown
from sgseg.quantify.report import write_report
from sgseg.quantify.report_tables import number
from sgseg.quantify.resume import Store, digest_of
from sgseg.quantify.samples import Sample
from sgseg.quantify.settings import Channels, Settings
from sgseg.quantify.sources import Source
from sgseg.quantify.statistics import Statistics, StatisticsOptions, compare_conditions
from sgseg.quantify.tables import RunTables, collect, write_table

log = logging.getLogger(__name__)

PARAMETERS = "parameters.json"
PACKAGES = ("sgseg", "numpy", "scipy", "scikit-image", "pandas")
WORST = 6
"""Pictures of fields in the report."""


@dataclass(frozen=True)
class Plan:
    """What is done to every field of a run.

    Attributes
    ----------
    source
        Where granules come from.
    samples
        Condition, replicate, group and pixel size by the name of the field.
    cells, nuclei
        Label images made elsewhere, by the name of the field; {}: found here.
    """

    source: Source
    channels: Channels = field(default_factory=Channels)
    settings: Settings = field(default_factory=Settings)
    samples: Mapping[str, Sample] = field(default_factory=dict)
    cells: Mapping[str, Path] = field(default_factory=dict)
    nuclei: Mapping[str, Path] = field(default_factory=dict)
    statistics: StatisticsOptions = field(default_factory=StatisticsOptions)
    outputs: Outputs = field(default_factory=Outputs)
    title: str = "Stress granules"

    @property
    def model(self) -> Mapping[str, Any]:
        """What the report says of the model, see `methods_of`; {} for masks made elsewhere."""
        return self.source.facts

    def check(self) -> None:
        """Refuse before the first field what would be refused after the last.

        Raises
        ------
        InputError
            See `Settings.check`; or the reference is no condition.
        """
        problems: list[Problem] = []
        try:
            self.settings.check(
                self.channels,
                cells=bool(self.cells),
                nuclei=bool(self.nuclei),
                probability=self.source.has_probability,
            )
        except InputError as error:
            problems += error.problems
        reference = self.statistics.reference
        known = dict.fromkeys(s.condition for s in self.samples.values() if s.condition)
        if reference is not None and reference not in known:
            what = f"no condition is called {reference!r}"
            expected = ", ".join(map(repr, known)) or "conditions, in a table of samples"
            problems.append(Problem("reference", what, expected))
        if problems:
            raise InputError(*problems)


Attempts = Callable[[Sequence[Task], Path, Plan], Iterator[Outcome]]
"""Attempts all fields, see `attempt`, in any order; perhaps on other machines."""


def quantify_files(
    tasks: Sequence[Task], out: Path, plan: Plan, *, attempts: Attempts | None = None
) -> list[Problem]:
    """Measure the granules, cells and fields of image files.

    Writes into `out` the files of each field (`write_field`), granules, cells, fields, replicates
    and conditions as CSV and Parquet, data_dictionary.csv, parameters.json, and the report
    (`write_report`). The same files and settings give the same bytes, whether in one run or in
    several that were stopped.

    Parameters
    ----------
    attempts
        Carries the tasks out, see `sgseg.cluster`; None: here, see `overlapped`.

    Returns
    -------
    list of Problem
        One for each field that failed; all others are finished. They have a row in fields.csv.

    Raises
    ------
    InputError
        The plan contradicts itself, or another run is writing into `out`.
    """
    plan.check()
    store = Store(out)
    failed: dict[int, Problem] = {}
    with store.locked():
        for place, problem in (attempts or _here)(tasks, out, plan):
            if problem is not None:
                failed[place] = problem
        names = [task.name for task in tasks]
        done = {name: store.load(name) for place, name in enumerate(names) if place not in failed}
        why = {names[place]: _status(problem) for place, problem in failed.items()}
        tables = collect(names, done, why, plan.samples)
        _write_run(out, tasks, plan, tables)
    return [failed[place] for place in sorted(failed)]


def _here(tasks: Sequence[Task], out: Path, plan: Plan) -> Iterator[Outcome]:
    disable = len(tasks) < 2
    # Wherever it is interrupted, nothing is written any more once it has ended.
    with closing(overlapped(_steps(task, out, plan) for task in tasks)) as found:
        yield from tqdm(found, total=len(tasks), unit="field", desc="quantify", disable=disable)


def attempt(task: Task, out: Path, plan: Plan) -> Problem | None:
    """Measure a field and keep it, unless that is done; what is wrong with it."""
    return through(_steps(task, out, plan))


def _steps(task: Task, out: Path, plan: Plan) -> Steps:
    try:
        yield from _measure(Store(out), task, out, plan)
    except InputError as error:
        return _of_file(task.path, error)
    except (OSError, KeyboardInterrupt):
        # A full disk would fail every other field as well.
        raise
    except Exception as error:
        # A defect of sgseg's own: it must not cost the fields of a night.
        log.exception("%s", task.path)
        what = f"{type(error).__name__}: {error}"
        return Problem(str(task.path), what, remedy="This is a defect of sgseg: please report it.")
    return None


def _measure(store: Store, task: Task, out: Path, plan: Plan) -> Iterator[int]:
    sample = plan.samples.get(task.name, Sample())
    given = {
        what: files[task.name]
        for what, files in (("cells", plan.cells), ("nuclei", plan.nuclei))
        if files
    }
    digest = digest_of(
        {
            "image": content_md5(task.path),
            "pixel_size_um": sample.pixel_size_um,
            "source": plan.source.identity(task),
            "given": {what: content_md5(path) for what, path in given.items()},
            "channels": asdict(plan.channels),
            "settings": asdict(plan.settings),
            "outputs": asdict(plan.outputs),
            "versions": versions(),
        }
    )
    if store.is_done(task.name, digest):
        return
    images = read_field(task.path, plan.channels, pixel_size_um=sample.pixel_size_um)
    height, width = images.pixels.shape
    labels = {
        what: read_given(path, shape=(height, width), what=what).labels
        for what, path in given.items()
    }
    yield images.pixels.size
    found = plan.source.find(task, images.granules)
    yield images.pixels.size
    measured = measure_field(task.name, images, found, settings=plan.settings, **labels)
    written = write_field(out, task, images, found=found, measured=measured, outputs=plan.outputs)
    store.keep(task.name, digest, measured, written)


def versions() -> dict[str, str]:
    """Of sgseg and the packages that shape the numbers."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def _of_file(path: Path, error: InputError) -> Problem:
    """All that is wrong with a file as one problem that names it."""
    text = "; ".join(str(problem) for problem in error.problems)
    return Problem(str(path), text.removeprefix(f"{path}: "))


def _status(problem: Problem) -> str:
    return " ".join(str(problem).removeprefix(f"{problem.where}: ").split())


def _write_run(out: Path, tasks: Sequence[Task], plan: Plan, tables: RunTables) -> None:
    """Tables, parameters and report of all fields; without any that was measured, fields.csv."""
    write_table(out, "fields", tables.fields)
    if not (tables.fields["status"] == DONE).any():
        return
    found = compare_conditions(
        tables.cells, tables.granules, tables.fields, options=plan.statistics
    )
    others = {
        "granules": tables.granules,
        "cells": tables.cells,
        "replicates": found.replicates,
        "conditions": found.conditions_table,
    }
    for stem, table in others.items():
        write_table(out, stem, table)
    named = {**others, "fields": tables.fields}
    order = ("granules", "cells", "fields", "replicates", "conditions")
    write_dictionary(out, {f"{stem}.csv": named[stem] for stem in order})
    parameters = plan.settings.sections(
        plan.channels, cells=bool(plan.cells), nuclei=bool(plan.nuclei)
    )
    _write_parameters(out, plan, parameters)
    _report(out, tasks, plan, tables, found=found, parameters=parameters)


def _write_parameters(out: Path, plan: Plan, parameters: Mapping[str, Any]) -> None:
    content = {
        **parameters,
        "statistics": asdict(plan.statistics),
        "model": dict(plan.model),
        "versions": versions(),
    }
    with replacing(out / PARAMETERS) as temporary:
        temporary.write_text(
            json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def _report(
    out: Path,
    tasks: Sequence[Task],
    plan: Plan,
    tables: RunTables,
    *,
    found: Statistics,
    parameters: Mapping[str, Mapping[str, Any]],
) -> None:
    warnings = [] if plan.model else ["Granules are from masks made elsewhere: no model was used."]
    colours = legend(
        cells=plan.settings.unit in {"cells", "foreground"},
        nuclei=bool(plan.nuclei) or plan.channels.nuclei is not None,
    )
    with TemporaryDirectory() as scratch:
        pictures = []
        for place, (task, why) in enumerate(_worst(tasks, tables)):
            source = Paths.of(out, task, plan.outputs).overlays
            if source.is_file():
                shown = Path(scratch, f"{place}.jpg")
                write_shown(shown, source)
                pictures.append(Picture(shown, task.name, f"{why}; {colours}."))
        write_report(
            out,
            fields=tables.fields,
            cells=tables.cells,
            granules=tables.granules,
            statistics=found,
            pictures=pictures,
            parameters=parameters,
            model=plan.model,
            versions=versions(),
            warnings=warnings,
            title=plan.title,
        )


def _worst(tasks: Sequence[Task], tables: RunTables) -> list[tuple[Task, str]]:
    """The fields to look at first, and why: where networks disagree, else of little contrast."""
    of_name = {task.name: task for task in tasks}
    doubt = tables.fields.set_index("field")["uncertainty"].dropna()
    doubt = doubt.sort_values(ascending=False, kind="stable")
    text = "uncertainty {}"
    if doubt.empty and len(tables.granules):
        contrast = tables.granules.groupby("field", sort=False)["contrast_to_noise"].median()
        doubt = contrast.dropna().sort_values(kind="stable")
        text = "median contrast to noise {}"
    chosen: pd.Series = doubt.head(WORST)
    return [(of_name[str(name)], text.format(number(value))) for name, value in chosen.items()]
