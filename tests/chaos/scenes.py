"""All that is disturbed: which faults, and of how many how many."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .trial import ALONE, BUNDLE, CLOCK, DAMAGED, GROUP, MOUNTED, OPERATION, SMALL, TWICE, Loss

DISK_MB = 300


class LackingError(Exception):
    """Something is not there, without which a scene cannot be."""


class Scene(Protocol):
    """Something that runs, and can be disturbed."""

    def inject(self, kind: str, rng: random.Random) -> list[Loss]:
        """One fault of a kind; what it cost."""


@dataclass(frozen=True)
class Place:
    """Where scenes happen.

    Parameters
    ----------
    folder
        Of this scene alone.
    stage
        Where all of them work, one after the other, and where the project was made: a small disk
        is mounted there.
    project
        The tiny project, if it is there.
    """

    folder: Path
    stage: Path
    project: Path


@dataclass(frozen=True)
class Plan:
    """How a scene is opened, and its share.

    Parameters
    ----------
    opens
        Opens it at a place.
    kinds
        The kinds of its faults, and how many of about 500 there are of each.
    needs_project
        Whether the pipeline has to have run.
    """

    opens: Callable[[Place], AbstractContextManager[Scene]]
    kinds: Mapping[str, int]
    needs_project: bool = False


def _of_case(name: str) -> Callable[[Place], AbstractContextManager[Scene]]:
    @contextmanager
    def opens(place: Place) -> Iterator[Scene]:
        from .cases import CASES  # noqa: PLC0415
        from .disk import small_disk  # noqa: PLC0415
        from .project import cases  # noqa: PLC0415
        from .trial import trial  # noqa: PLC0415

        case = CASES[name] if name in CASES else cases(place.project)[name]
        disk = small_disk(place.stage, megabytes=DISK_MB)
        if disk is None:
            raise LackingError("the right to mount a disk (root)")
        with trial(name, case, place.folder, disk=disk) as opened:
            yield opened

    return opens


@contextmanager
def _workers(place: Place) -> Iterator[Scene]:
    from .workers import workers  # noqa: PLC0415

    with workers(place.folder) as opened:
        yield opened


@contextmanager
def _servers(place: Place) -> Iterator[Scene]:
    from servers.shared import missing  # noqa: PLC0415

    from .servers import servers  # noqa: PLC0415

    if lacking := missing():
        raise LackingError(lacking)
    with servers(place.folder / "servers", place.project) as opened:
        yield opened


@contextmanager
def _repro(place: Place) -> Iterator[Scene]:
    from .disk import small_disk  # noqa: PLC0415
    from .repro import Repro  # noqa: PLC0415
    from .trial import WORK  # noqa: PLC0415

    small_disk(place.stage, megabytes=DISK_MB)  # in memory, if that is allowed
    yield Repro(place.project, place.stage / WORK)


def _plans() -> dict[str, Plan]:
    command = {OPERATION: 22, GROUP: 9, SMALL: 9, MOUNTED: 2, DAMAGED: 9, CLOCK: 5, TWICE: 4}
    stage = {OPERATION: 18, GROUP: 9, SMALL: 7, MOUNTED: 2, CLOCK: 4}
    late = {OPERATION: 6, GROUP: 7, SMALL: 3, MOUNTED: 1, CLOCK: 2}
    found = {
        "predict": Plan(_of_case("predict"), {**command, BUNDLE: 6}),
        "quantify": Plan(_of_case("quantify"), command),
    }
    found["import"] = Plan(_of_case("import"), {k: n for k, n in command.items() if k != DAMAGED})
    found |= {
        name: Plan(_of_case(name), stage) for name in ("simulate", "ingest", "validate", "split")
    }
    found["search"] = Plan(_of_case("search"), {GROUP: 6, ALONE: 6})
    found["workers"] = Plan(
        _workers, {"a Dask worker killed, predict": 12, "a Dask worker killed, quantify": 10}
    )
    for name in ("promote", "quantify (stage)", "evaluate"):
        found[name] = Plan(_of_case(name), late, needs_project=True)
    found["predict (registry)"] = Plan(
        _of_case("predict (registry)"), {OPERATION: 4, DAMAGED: 6, TWICE: 2}, needs_project=True
    )
    found["train"] = Plan(
        _of_case("train"),
        {OPERATION: 4, GROUP: 12, SMALL: 3, MOUNTED: 1, DAMAGED: 4, CLOCK: 2},
        needs_project=True,
    )
    found["tune"] = Plan(_of_case("tune"), {GROUP: 2, ALONE: 2}, needs_project=True)
    found["track"] = Plan(
        _of_case("track"),
        {OPERATION: 5, GROUP: 9, SMALL: 3, CLOCK: 1, TWICE: 3},
        needs_project=True,
    )
    found["dvc repro"] = Plan(
        _repro,
        {
            "dvc repro killed, with its stage": 10,
            "dvc repro killed, alone": 5,
            "dvc repro, two at once": 4,
            "a file of DVC's cache damaged": 4,
        },
        needs_project=True,
    )
    found["servers"] = Plan(
        _servers,
        {
            "mlflow server killed, track": 5,
            "PostgreSQL killed, track": 7,
            "PostgreSQL killed, search": 5,
        },
        needs_project=True,
    )
    return found


PLANS = _plans()


def shared_out(faults: int, plans: Mapping[str, Plan]) -> dict[str, list[str]]:
    """The kinds of the faults of each scene, in their order: so many in all, by their shares.

    The fewer there are, the rather they go to what is quick: what needs a project comes last.
    """
    whole = sum(sum(plan.kinds.values()) for plan in plans.values())
    exact = {
        (name, kind): faults * share / whole
        for name, plan in plans.items()
        for kind, share in plan.kinds.items()
    }
    counts = {key: int(wanted) for key, wanted in exact.items()}
    rest = sorted(exact, key=lambda key: (plans[key[0]].needs_project, counts[key] - exact[key]))
    for key in rest[: faults - sum(counts.values())]:
        counts[key] += 1
    return {
        name: [kind for kind in plan.kinds for _ in range(counts[name, kind])]
        for name, plan in plans.items()
    }
