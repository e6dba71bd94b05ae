"""One command under faults: what it left behind, and what it comes to when it is run again."""

from __future__ import annotations

import importlib
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .cases import Case, fresh
from .faults import KILL, KINDS, Ended, content, damage, run


@dataclass(frozen=True)
class Loss:
    """Something that a fault cost."""

    fault: str
    what: str


class Trial:
    """A case, run undisturbed twice: what it writes, and which of that differs by itself."""

    def __init__(self, name: str, case: Case, folder: Path) -> None:
        self.name, self._case = name, case
        self._prepared, self._work = folder / f"{name} prepared", folder / f"{name} work"
        self._prepared.mkdir(parents=True)
        done = run(lambda: case.prepare(self._prepared), self._prepared)
        assert done.status == 0, done.said
        self._inputs = content(self._prepared)
        fresh(self._prepared, self._work)
        # Imported here, they are there in every child.
        for module in self._run().modules:
            with suppress(ImportError):
                importlib.import_module(module)
        first, second = self._undisturbed(), self._undisturbed()
        assert first.keys() == second.keys(), sorted(first.keys() ^ second.keys())
        self.unstable = {path for path in first if first[path] != second[path]}
        self.expected = {path: md5 for path, md5 in first.items() if path not in self.unstable}
        self._all = set(first)
        fresh(self._prepared, self._work)
        self.operations = self._run().operations

    def fault(self, rng: random.Random) -> Iterator[Loss]:
        """A fault at an operation by chance, sometimes a second one; then undisturbed."""
        fresh(self._prepared, self._work)
        kinds = [rng.choice(KINDS) for _ in range(rng.choice((1, 1, 1, 2)))]
        moments = [rng.randint(1, max(self.operations, 1)) for _ in kinds]
        told = ", ".join(f"{kind} at {at}" for kind, at in zip(kinds, moments, strict=True))
        for kind, at in zip(kinds, moments, strict=True):
            ended = self._run(at=at, kind=kind)
            if kind != KILL and not ended.cleanly:
                yield Loss(told, f"no message but: {ended.said[-600:]}")
        yield from self._whole(told)
        yield from self._ends_the_same(told, self._run())

    def truncated(self, rng: random.Random) -> Iterator[Loss]:
        """A file of finished results cut off, emptied or changed; then run again."""
        fresh(self._prepared, self._work)
        self._run()
        folder = self._work / self._case.outputs[0]
        told = damage(folder, rng)
        yield from self._ends_the_same(told, self._run())

    def twice_at_once(self) -> Iterator[Loss]:
        """Two runs into the same folder: both done, or one refused by a message."""
        fresh(self._prepared, self._work)
        other = os.fork()
        if other == 0:
            os._exit(0 if self._run().cleanly else 1)
        mine = self._run()
        _, status = os.waitpid(other, 0)
        if not mine.cleanly or status:
            yield Loss("two at once", mine.said[-600:] or "the other ended by a stack trace")
        yield from self._ends_the_same("two at once", self._run())

    def _whole(self, told: str) -> Iterator[Loss]:
        """What is there under its own name is what belongs there, and all else is as it was."""
        found = content(self._work)
        for path, md5 in found.items():
            right = {self.expected.get(path, md5), self._inputs.get(path)}
            if md5 not in right and self._final(path):
                yield Loss(told, f"{path} is half-written")
        for path, md5 in self._inputs.items():
            if path not in self.expected and found.get(path) != md5:
                yield Loss(told, f"{path}, which is read only, has changed")

    def _ends_the_same(self, told: str, ended: Ended) -> Iterator[Loss]:
        if ended.status != 0:
            yield Loss(told, f"run again: status {ended.status}: {ended.said[-600:]}")
            return
        found = self._outputs()
        for path in sorted(self.expected):
            if found.get(path) != self.expected[path]:
                what = "differs" if path in found else "is missing"
                yield Loss(told, f"run again: {path} {what}")
        for path in sorted(found.keys() - self._all):
            if not self._case.tidies and path.endswith(".part"):
                continue
            yield Loss(told, f"run again: {path} is left over")

    def _final(self, path: str) -> bool:
        """Whether nothing in a path is hidden, as what is not finished is."""
        return not any(part.startswith(".") for part in Path(path).parts)

    def _undisturbed(self) -> dict[str, str]:
        fresh(self._prepared, self._work)
        ended = self._run()
        assert ended.status == 0, ended.said
        return self._outputs()

    def _run(self, at: int | None = None, kind: str = KILL) -> Ended:
        def command() -> None:
            os.chdir(self._work)
            self._case.command()

        return run(command, self._work, at=at, kind=kind)

    def _outputs(self) -> dict[str, str]:
        return {
            f"{name}/{path}": md5
            for name in self._case.outputs
            for path, md5 in content(self._work / name).items()
        }


@contextmanager
def trial(name: str, case: Case, folder: Path) -> Iterator[Trial]:
    """A trial whose files are removed in the end."""
    try:
        yield Trial(name, case, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
