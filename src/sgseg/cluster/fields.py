"""`sgseg quantify` on a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sgseg.cluster.attempts import attempts_on
from sgseg.cluster.model import Model
from sgseg.errors import Problem
from sgseg.inference.predict import Task
from sgseg.inference.run import Outcome
from sgseg.quantify.run import Attempts, Plan, attempt
from sgseg.quantify.sources import ByMasks, ByModel, Source

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class _Measure:
    """Measures a field; travels."""

    plan: Plan

    def __call__(self, task: Task, out: Path) -> Problem | None:
        return attempt(task, out, self.plan)


@contextmanager
def field_attempts(
    client: Client,
    folder: Path | None,
    *,
    members: str | int | None = None,
    orientations: int | None = None,
    threads: int = 1,
) -> Iterator[Attempts]:
    """What `quantify_files` spreads its fields with; see `image_attempts`.

    Parameters
    ----------
    folder
        The bundle on this machine; None where granules come from masks.
    """
    from sgseg.cluster.delivery import delivered  # noqa: PLC0415

    with ExitStack() as stack:
        model = None
        if folder is not None:
            bundle = stack.enter_context(delivered(client, folder))
            model = Model(bundle, members, orientations, threads)

        def attempts(tasks: Sequence[Task], out: Path, plan: Plan) -> Iterator[Outcome]:
            def attempt_of(task: Task) -> _Measure:
                return _Measure(_only(plan, task, model))

            yield from attempts_on(client, tasks, out, attempt_of, unit="field", desc="quantify")

        yield attempts


def _only(plan: Plan, task: Task, model: Model | None) -> Plan:
    """The plan of one field: what is said of thousands of others need not travel with it."""

    def own(files: Mapping[str, Path]) -> dict[str, Path]:
        return {task.name: files[task.name].absolute()} if files else {}

    source: Source = plan.source
    if isinstance(source, ByModel) and model is not None:
        source = replace(source, predictor=model)
    elif isinstance(source, ByMasks):
        source = ByMasks(own(source.files))
    return replace(
        plan,
        source=source,
        samples={name: sample for name, sample in plan.samples.items() if name == task.name},
        cells=own(plan.cells),
        nuclei=own(plan.nuclei),
    )
