"""`sgseg track`: every run that the files know, put into the store that lacks it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from sgseg.errors import InputError, Problem
from sgseg.tracking import runs
from sgseg.tracking.evaluation import put_evaluation
from sgseg.tracking.identity import RUN_FILE, read_evaluation, read_fold, read_tuning
from sgseg.tracking.process import is_gone
from sgseg.tracking.quantify import put_quantification
from sgseg.tracking.restore import Restored, put_fold
from sgseg.tracking.store import Store, StoreError, failures_named, open_store
from sgseg.tracking.tuning import put_tuning

FOLDS, EVALUATION, EVALUATED = "models/folds", "reports/evaluation", "models/evaluated"
TUNING, QUANTIFICATION = "reports/tuning", "reports/quantify"


def track(
    root: str | Path = ".", *, say: Callable[[Restored], None] = lambda _: None
) -> list[Restored]:
    """Put back what the store lacks: runs of the search, all folds, evaluation, quantification.

    Run again it finds nothing to do. Runs that somebody has deleted in MLflow stay deleted. Folds
    that are being trained are left alone; the run of a training that was killed is marked so.

    Parameters
    ----------
    root
        The project's root.
    say
        Called with what was done to each run, at once.

    Returns
    -------
    list of Restored
        One for each search (with its trials), fold, evaluation and quantification found.

    Raises
    ------
    InputError
        Files that cannot be read, all of them named, after the others have been put back; or
        `StoreError`, at once.
    """
    root = Path(root)
    stores: dict[str, Store] = {}
    done: list[Restored] = []
    problems: list[Problem] = []

    def store_of(experiment: str) -> Store:
        if experiment not in stores:
            stores[experiment] = open_store(root, experiment)
        return stores[experiment]

    def attempt(work: Callable[[], Restored]) -> None:
        try:
            done.append(work())
        except StoreError:
            raise
        except InputError as error:
            problems.extend(error.problems)
        else:
            say(done[-1])

    if (root / TUNING / RUN_FILE).is_file():
        attempt(partial(_put_tuning, store_of, root / TUNING))
    for folder in _folds(root, problems):
        attempt(partial(_put_fold, store_of, folder))
    if (root / EVALUATION / RUN_FILE).is_file():
        attempt(partial(_put_evaluation, store_of, root))
    if (root / QUANTIFICATION / RUN_FILE).is_file():
        attempt(partial(_put_quantification, store_of, root / QUANTIFICATION))
    for store in stores.values():
        with failures_named(store.uri):
            runs.end_the_killed(store)
    if problems:
        raise InputError(*problems)
    return done


def _folds(root: Path, problems: list[Problem]) -> list[Path]:
    """Folders of folds in the order in which they were trained, so that runs are created in it."""
    found: list[tuple[int, Path]] = []
    for path in sorted((root / FOLDS).glob(f"*/{RUN_FILE}")):
        try:
            found.append((read_fold(path.parent).started_ms, path.parent))
        except InputError as error:
            problems += error.problems
    return [folder for _, folder in sorted(found)]


def _put_tuning(store_of: Callable[[str], Store], folder: Path) -> Restored:
    record = read_tuning(folder)
    return put_tuning(store_of(record.experiment), record, folder)


def _put_fold(store_of: Callable[[str], Store], folder: Path) -> Restored:
    record = read_fold(folder)
    store = store_of(record.identity.cv.experiment)
    if record.status == "RUNNING":
        state = "was interrupted" if is_gone(record.process) else "is being trained"
        return Restored(str(folder), "not finished", record.mlflow_run_id or "", note=state)
    return put_fold(store, record, folder)


def _put_evaluation(store_of: Callable[[str], Store], root: Path) -> Restored:
    record = read_evaluation(root / EVALUATION)
    store = store_of(record.cv.experiment)
    return put_evaluation(store, record, root / EVALUATION, root / EVALUATED)


def _put_quantification(store_of: Callable[[str], Store], folder: Path) -> Restored:
    record = read_evaluation(folder)
    return put_quantification(store_of(record.cv.experiment), record, folder)
