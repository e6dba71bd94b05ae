"""A tiny project in which the whole pipeline has run, and its later stages as cases."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from test_pipeline import TINY, call

from sgseg.preview.tiny import shrink

from .cases import ROOT, Case, sgseg, stage

STORE = ("mlflow.db", "mlruns", "registry")
HISTORY = ("tuning", "checkpoints")
# In the order of the pipeline: what each stage makes.
STAGES = {
    "simulate": ("data/raw/simulated",),
    "ingest": ("data/dataset",),
    "validate": ("data/validated",),
    "split": ("data/split",),
    "tune": ("reports/tuning",),
    "train@0": ("models/folds/0",),
    "train@1": ("models/folds/1",),
    "evaluate": ("models/evaluated", "reports/evaluation"),
    "promote": ("reports/promotion",),
    "quantify": ("reports/quantify",),
}
COPIED = ("pipelines", "src")
# How fast the model is, among else.
CARD = ("reports/evaluation/card/card.md", "reports/evaluation/card/card.html")


def make_project(folder: Path) -> None:
    """Make one, with git and DVC, and run its pipeline.

    The store knows the folder where it was made: a copy belongs there as well.
    """
    folder.mkdir(parents=True)
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore", ".gitignore", "params.yaml"):
        shutil.copy(ROOT / name, folder / name)
    shrink(folder / "params.yaml", TINY)
    (folder / "splits").mkdir()
    (folder / "splits" / "simulated.csv").write_text("image_id,pixel_hash,group,set\n")
    # What it runs is its own: the project may be worked on meanwhile.
    os.environ["PYTHONPATH"] = str(folder / "src")
    call("git", "init", "-q", cwd=folder)
    call("dvc", "init", "-q", cwd=folder)
    call("dvc", "repro", "-q", cwd=folder)


def cases(project: Path) -> dict[str, Case]:
    """The stages from the search on, and `sgseg track`, in copies of a project."""
    by_dvc = {"by_dvc": True, "mends": False, "facts": in_store}
    found = {
        "tune": Case(
            _before(project, "tune"),
            stage("tune"),
            STAGES["tune"],
            **(by_dvc | {"facts": _of_search}),
            state=STORE + HISTORY,
            compared=False,
        ),
        "train": Case(
            _before(project, "train@0", "train@1"),
            stage("train", "0"),
            STAGES["train@0"],
            **by_dvc,
            state=STORE + HISTORY,
            damaged=("checkpoints",),
            damaged_halfway=True,
            finished=_is_trained,
        ),
    }
    for name in ("evaluate", "promote", "quantify"):
        varies = CARD if name == "evaluate" else ()
        found["quantify (stage)" if name == "quantify" else name] = Case(
            _before(project, name), stage(name), STAGES[name], **by_dvc, state=STORE, varies=varies
        )
    found["predict (registry)"] = Case(
        lambda folder: copy_project(project, folder),
        _predict_with_challenger,
        ("found",),
        state=(*STORE, "cache"),
        damaged=("cache/sgseg/bundles",),
    )
    found["track"] = Case(
        _without_runs(project),
        sgseg("track"),
        (),
        state=STORE,
        facts=in_store,
    )
    return found


def _is_trained(folder: Path) -> bool:
    """Whether the store has the run of fold 0 to its end."""
    try:
        return in_store(folder).get("the store: fold 0, 1", "").startswith("FINISHED")
    except sqlite3.OperationalError:  # killed while it wrote, which only a writer can undo
        return False


def _of_search(folder: Path) -> dict[str, str]:
    """What a search has found. A trial that was killed is repeated under another number."""
    report = folder / "reports/tuning"
    table = (report / "trials.csv").read_text(encoding="utf-8").splitlines()
    told = [row.split(",") for row in table]
    left_out = [told[0].index(name) for name in ("number", "seconds")]
    rows = [[cell for n, cell in enumerate(row) if n not in left_out] for row in told]
    runs = Counter(
        name.rpartition(",")[0].rstrip("0123456789") + status.partition(",")[0]
        for name, status in in_store(folder).items()
        # A trial that was killed stays in the store as such, beside the one that repeats it.
        if not name.endswith("values") and status.startswith("FINISHED")
    )
    recipe = (report / "recipe.yaml").read_text(encoding="utf-8")
    return {
        "recipe": recipe,
        "trials": str(sorted(rows[1:])),
        "the store": str(sorted(runs.items())),
    }


def _predict_with_challenger() -> None:
    """A model of the registry: fetched from the store, and kept in the user's cache."""
    os.environ["XDG_CACHE_HOME"] = str(Path("cache").absolute())
    images = ("data/raw/simulated/images", "--channel", "0")
    sgseg("predict", *images, "--model", "models:/sgseg@challenger", "--out", "found")()


def in_store(folder: Path) -> dict[str, str]:
    """What stands in the SQLite store of a project, see `told`."""
    if not (folder / "mlflow.db").is_file():
        return {}
    with closing(sqlite3.connect(f"file:{folder / 'mlflow.db'}?mode=ro", uri=True)) as store:
        return told(lambda query: store.execute(query).fetchall())


def told(ask: Callable[[str], list[tuple[Any, ...]]]) -> dict[str, str]:
    """Runs with their metrics, models and aliases, without numbers and times, by name."""
    points: dict[str, list[tuple[Any, ...]]] = {}
    for run, *point in ask(
        "select run_uuid, key, step, value from metrics where key not like 'system/%' "
        "order by run_uuid, key, step, value"
    ):
        points.setdefault(run, []).append(tuple(point))
    found: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for run, name, status in ask(
        "select run_uuid, name, status from runs where lifecycle_stage = 'active' "
        "order by name, start_time"
    ):
        seen[name] += 1
        of_run = points.get(run, [])
        number = f"the store: {name}, {seen[name]}"
        found[number] = f"{status}, {Counter(key for key, _, _ in of_run)}"
        found[f"{number}: values"] = hashlib.md5(repr(of_run).encode()).hexdigest()
    for table, columns in (
        ("model_versions", "name, version"),
        ("registered_model_aliases", "name, alias, version"),
    ):
        for row in ask(f"select {columns} from {table} order by 1, 2"):
            found[f"the store: {table} {tuple(row)}"] = ""
    return found


def _before(project: Path, *stages: str) -> Callable[[Path], None]:
    """A copy in which some stages, and all after them, have not run."""

    def prepare(folder: Path) -> None:
        copy_project(project, folder)
        names = list(STAGES)
        later = names[names.index(stages[-1]) + 1 :]
        # The first of several is meant; the others of its kind stay.
        for name in [stages[0], *later]:
            for output in STAGES[name]:
                shutil.rmtree(folder / output, ignore_errors=True)
        for name in HISTORY:
            shutil.rmtree(folder / name, ignore_errors=True)

    return prepare


def _without_runs(project: Path) -> Callable[[Path], None]:
    """A copy whose store is empty, but for its tables and its experiment."""

    def prepare(folder: Path) -> None:
        copy_project(project, folder)
        shutil.rmtree(folder / "mlruns", ignore_errors=True)
        with closing(sqlite3.connect(folder / "mlflow.db")) as store, store:
            for (table,) in store.execute("select name from sqlite_master where type = 'table'"):
                if table not in ("alembic_version", "experiments"):
                    store.execute(f'delete from "{table}"')

    return prepare


def copy_project(project: Path, folder: Path, *, whole: bool = False) -> None:
    """A copy in place of what is there; `whole` with git and DVC and its cache."""
    if whole:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(project, folder, symlinks=True)
        return
    ignored = shutil.ignore_patterns(".git", ".dvc", "__pycache__", "*.lock.lock")
    shutil.copytree(project, folder, ignore=ignored, dirs_exist_ok=True)
