"""What A and B name: a run, a registered model or a folder."""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from sgseg.comparison.evaluated import Evaluated, origin_of, read_images, used_settings
from sgseg.comparison.paired import COUNTS
from sgseg.errors import InputError, Problem
from sgseg.registry.bundles import NAME as MODEL_URI
from sgseg.registry.models import (
    ALIASES,
    MODEL,
    Version,
    aliases_of,
    find_version,
    open_existing_registry,
    versions,
)
from sgseg.tracking.identity import RUN_FILE, read_evaluation
from sgseg.tracking.lookup import (
    CROSS_VALIDATION,
    FOLD_KIND,
    STUDY,
    TRIAL_KIND,
    FoundRun,
    find_by_id,
    named_runs,
    read_artifact,
    runs_of_kind,
)
from sgseg.tracking.store import Store, failures_named, open_existing_store, without_password

TABLE, BUNDLE = "images.csv", "bundle.json"
REPORT = "reports/evaluation"
EXPECTED = (
    "the id or name of a run, models:/sgseg@champion, champion, challenger, or the folder of an "
    "evaluation"
)
NO_IMAGES = {
    STUDY: "a search keeps scores of its trials, and none per image",
    TRIAL_KIND: "a trial keeps its scores, and none per image",
}
CLOSE = 3
"""Names that are suggested."""


def find_both(a: str, b: str, root: str | Path = ".") -> tuple[Evaluated, Evaluated]:
    """What two names stand for.

    Raises
    ------
    InputError
        A name stands for nothing that can be compared, or both for the same; all are named.
    StoreError
        There is no store, or it cannot be read.
    """
    found: list[Evaluated] = []
    problems: list[Problem] = []
    for name in (a, b):
        try:
            found.append(find(name, root))
        except InputError as error:
            problems += [item for item in error.problems if item not in problems]
    if problems:
        raise InputError(*problems)
    first, second = found
    if first.identity == second.identity:
        raise InputError(
            Problem(
                f"{a} and {b}",
                f"both are {first.name}: they do not differ",
                "two evaluations",
                "A run keeps its newest evaluation only; `sgseg compare --views` lists the runs.",
            )
        )
    return first, second


def find(name: str, root: str | Path = ".") -> Evaluated:
    """What a name stands for.

    Parameters
    ----------
    name
        See `EXPECTED`.
    root
        The project's root, home of the default store.

    Raises
    ------
    InputError
        It stands for nothing, for several runs, or for what has no scores per image.
    StoreError
        There is no store, or it cannot be read.
    """
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return _of_folder(folder)
    if name in ALIASES:
        name = f"models:/{MODEL}@{name}"
    if name.startswith("models:"):
        return _of_model(name, root)
    store = open_existing_store(root)
    candidates = named_runs(store, name)
    if len(candidates) == 1:
        return _of_run(store, candidates[0])
    shown = without_password(store.uri)
    if candidates:
        which = "; ".join(f"{run.id} {run.name}" for run in candidates[:5])
        more = f" and {len(candidates) - 5} more" if len(candidates) > 5 else ""
        raise InputError(
            Problem(name, f"{len(candidates)} runs of {shown} are called so", f"{which}{more}")
        )
    raise InputError(
        Problem(
            name, f"no such folder, and no such run in {shown}", EXPECTED, _nearest(store, name)
        )
    )


def _nearest(store: Store, name: str) -> str:
    known = runs_of_kind(store, CROSS_VALIDATION)
    if not known:
        return "The store has no cross-validation: run `dvc repro`, or `sgseg track`."
    names = {text: run for run in known for text in (run.name, run.name.split()[-1], run.id)}
    close = difflib.get_close_matches(name, names, n=CLOSE, cutoff=0.5)
    runs = {names[text].id: names[text] for text in close}
    if runs:
        return "Is it " + " or ".join(f"`{run.name}` ({run.id[:8]})" for run in runs.values()) + "?"
    newest = ", ".join(f"`{run.name}` ({run.id[:8]})" for run in known[-CLOSE:])
    return f"The newest are {newest}."


def _of_folder(folder: Path) -> Evaluated:
    """An evaluation in files; of a project's root, its own."""
    if not (folder / TABLE).is_file() and (folder / REPORT / TABLE).is_file():
        folder = folder / REPORT
    path = folder / TABLE
    if not path.is_file():
        raise InputError(
            Problem(
                str(folder),
                f"no {TABLE} here",
                "what the stage `evaluate` writes",
                "Run `dvc repro evaluate`, or `dvc pull`.",
            )
        )
    table = read_images(path.read_text(encoding="utf-8"), str(path))
    bundle = folder.resolve().parent.parent / "models" / "evaluated" / BUNDLE
    used = used_settings(bundle.read_text(encoding="utf-8")) if bundle.is_file() else {}
    if not (folder / RUN_FILE).is_file():
        return Evaluated(str(folder), table, str(folder.resolve()), params=used)
    cv = read_evaluation(folder).cv
    return Evaluated(
        name=f"{cv.name} ({folder})",
        table=table,
        identity=str(folder.resolve()),
        params={**cv.params, **used},
        data={item.name: item.digest for item in cv.datasets},
        origin=origin_of(cv.tags),
    )


def _of_run(store: Store, run: FoundRun) -> Evaluated:
    parent = run
    if run.kind == FOLD_KIND:
        found = find_by_id(store, run.parent)
        if found is None:
            raise InputError(Problem(run.name, "its cross-validation is not in the store"))
        parent = found
    elif run.kind != CROSS_VALIDATION:
        raise InputError(
            Problem(
                f"{run.name} ({run.id[:8]})",
                NO_IMAGES.get(run.kind, f"a run of the kind {run.kind!r}"),
                "a cross-validation, or a fold of one",
                "Compare trials in the MLflow UI (`sgseg compare --views`), or write the trial's "
                "values into params.yaml and run `dvc repro evaluate`.",
            )
        )
    where = f"{parent.name} ({parent.id[:8]} in {without_password(store.uri)})"
    text = read_artifact(store, parent, f"report/{TABLE}")
    if text is None:
        raise InputError(
            Problem(
                where,
                f"it has no report/{TABLE}",
                "an evaluated cross-validation",
                "Run `dvc repro evaluate`, or `sgseg track` where its files are.",
            )
        )
    bundle = read_artifact(store, parent, f"bundle/{BUNDLE}")
    return Evaluated(
        name=parent.name if run.fold is None else f"{parent.name}, fold {run.fold}",
        table=read_images(text, f"report/{TABLE} of {where}"),
        identity=run.id,
        fold=run.fold,
        params={**parent.params, **(used_settings(bundle) if bundle else {})},
        data=parent.data,
        origin=origin_of(parent.tags),
        run_id=run.id,
        experiment_id=run.experiment_id,
    )


def _of_model(uri: str, root: str | Path) -> Evaluated:
    """The evaluation of the run that a version of the registered model belongs to."""
    named = MODEL_URI.fullmatch(uri)
    if named is None:
        expected = f"models:/{MODEL}@champion or models:/{MODEL}/3"
        raise InputError(Problem(uri, "not the name of a model", expected))
    registry = open_existing_registry(root, name=named["name"])
    with failures_named(registry.store.uri, afterwards=""):
        known = aliases_of(registry)
        number = int(named["number"]) if named["number"] else known.get(named["alias"] or "")
        version = None if number is None else find_version(registry, number)
        if version is None:
            numbers = ", ".join(str(item.number) for item in versions(registry))
            there = ", ".join(f"{alias} ({n})" for alias, n in sorted(known.items()))
            raise InputError(
                Problem(
                    uri,
                    "no such version or alias",
                    f"of {registry.shown}: versions {numbers or 'none'}; aliases {there or 'none'}",
                    "`sgseg registry list` shows them.",
                )
            )
    run = find_by_id(registry.store, version.run_id)
    if run is None:
        raise InputError(
            Problem(
                f"{uri} (version {version.number})",
                "its run is not in the store",
                "a version whose cross-validation is",
                "Run `sgseg track` where its files are.",
            )
        )
    side = _of_run(registry.store, run)
    return replace(
        side,
        name=f"version {version.number}, {side.name}",
        notes=_since_registered(version, side.table),
    )


def _since_registered(version: Version, table: pd.DataFrame) -> tuple[str, ...]:
    """A run shows its newest evaluation; a version has the scores that it was registered with."""
    noted = version.tags.get("sgseg.score.oof_object_f1", "")
    pooled = table.loc[table["part"] == "out_of_fold", list(COUNTS)].sum()
    whole = 2 * pooled["objects_tp"] + pooled["objects_fp"] + pooled["objects_fn"]
    now = f"{2 * pooled['objects_tp'] / whole if whole else 1.0:.4f}"
    if not re.fullmatch(r"\d\.\d{4}", noted) or noted == now:
        return ()
    return (
        f"The folds of version {version.number} were evaluated again since it was registered "
        f"(object F1 {noted} then, {now} now): compared is the later evaluation.",
    )
