"""One command under faults: what it left behind, and what it comes to when it is run again."""

from __future__ import annotations

import importlib
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sgseg.quiet import without_startup_messages

from .cases import Case, fresh
from .disk import SmallDisk
from .faults import KILL, KINDS, Ended, run
from .files import CUT_OFF, EMPTIED, content, damage, set_clock

OPERATION = "fault at an operation on a file"
GROUP, ALONE = "killed at any moment, with its children", "killed at any moment, alone"
SMALL, MOUNTED = "disk full (a small one)", "disk mounted read-only"
DAMAGED, CLOCK, TWICE = "a file damaged", "clocks set", "two at once"
BUNDLE = "a file of the model damaged"
NEEDS_DISK = {SMALL, MOUNTED}
PAGE = 4096
WORK = "work"
"""Name of the folder that it happens in."""
EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"
SETTLE_S = 60.0


@dataclass(frozen=True)
class Loss:
    """Something that a fault cost."""

    fault: str
    what: str


class Trial:
    """A case, run undisturbed twice: what it writes, and which of that differs by itself.

    Parameters
    ----------
    disk
        Where it works; None: in `folder`, which is never full.
    """

    def __init__(self, name: str, case: Case, folder: Path, disk: SmallDisk | None = None) -> None:
        self.name, self._case, self._disk = name, case, disk
        self._prepared = folder / f"{name} prepared"
        self._work = (folder if disk is None else disk.place) / WORK
        self._prepared.mkdir(parents=True)
        done = run(lambda: case.prepare(self._prepared), self._prepared)
        assert done.status == 0, done.said
        self._inputs = content(self._prepared, without=case.state)
        fresh(self._prepared, self._work)
        # Imported here, they are there in every child.
        modules = self._run().modules
        with without_startup_messages():
            for module in modules:
                with suppress(ImportError):
                    importlib.import_module(module)
        first, second = self._undisturbed(), self._undisturbed()
        assert first.keys() == second.keys(), sorted(first.keys() ^ second.keys())
        self.unstable = {path for path in first if first[path] != second[path]} | set(case.varies)
        self.expected = {path: md5 for path, md5 in first.items() if path not in self.unstable}
        self._all = set(first)
        self._bytes = sum(
            -(-path.stat().st_size // PAGE) * PAGE
            for output in (*case.outputs, *case.state)
            for path in (self._work / output).rglob("*")
        )
        fresh(self._prepared, self._work)
        ended = self._run()
        self.operations, self.seconds = ended.operations, ended.seconds

    def inject(self, kind: str, rng: random.Random) -> list[Loss]:
        """One fault of a kind; then the command again, undisturbed."""
        ways = {
            OPERATION: self.fault,
            GROUP: lambda rng: self.killed(rng, alone=False),
            ALONE: lambda rng: self.killed(rng, alone=True),
            SMALL: self.full,
            MOUNTED: lambda _: self.read_only(),
            DAMAGED: self.truncated,
            CLOCK: self.clock,
            BUNDLE: self.damaged_input,
            TWICE: lambda rng: self.twice_at_once(rng.uniform(0, self.seconds / 2)),
        }
        return list(ways[kind](rng))

    def fault(self, rng: random.Random) -> Iterator[Loss]:
        """A fault at an operation by chance, sometimes a second one; then undisturbed."""
        fresh(self._prepared, self._work)
        kinds = [rng.choice(KINDS) for _ in range(rng.choice((1, 1, 1, 2)))]
        moments = [rng.randint(1, max(self.operations, 1)) for _ in kinds]
        told = ", ".join(f"{kind} at {at}" for kind, at in zip(kinds, moments, strict=True))
        for kind, at in zip(kinds, moments, strict=True):
            ended = self._run(at=at, kind=kind)
            if kind != KILL and not ended.cleanly:
                yield Loss(told, f"no message but: {ended.said[-1500:]}")
        yield from self._whole(told)
        yield from self._ends_the_same(told, self._again(ended))

    def killed(self, rng: random.Random, *, alone: bool) -> Iterator[Loss]:
        """Killed at a moment by chance; what it has started is killed with it, or not."""
        after_s = rng.uniform(0, self.seconds)
        ended = self._killed(after_s, alone=alone)
        told = f"killed{' alone' * alone} after {ended.seconds:.2f} s"
        try:
            if not alone:
                yield from self._whole(told)
            again = self._again(ended)
            if alone and again.status == 2 and again.cleanly:
                # What it had started may go on for a moment, which is said; then it is over.
                _wait_for(ended)
                again = self._again(ended)
            yield from self._ends_the_same(told, again)
        finally:
            ended.end_orphans()

    def _killed(self, after_s: float, *, alone: bool = False) -> Ended:
        """Run it, and kill it: sooner, where it was done before."""
        while True:
            fresh(self._prepared, self._work)
            ended = self._run(after_s=after_s, alone=alone)
            if ended.status == -signal.SIGKILL:
                return ended
            after_s *= 0.7

    def full(self, rng: random.Random) -> Iterator[Loss]:
        """A disk with less room than the results need; then with room."""
        assert self._disk is not None
        fresh(self._prepared, self._work)
        leave = PAGE * rng.randint(0, self._bytes // PAGE)
        told = f"disk with {leave:,} bytes of {self._bytes:,}"
        self._disk.fill(leave=leave)
        try:
            ended = self._run()
        finally:
            self._disk.make_room()
        if not ended.cleanly:
            yield Loss(told, f"no message but: {ended.said[-1500:]}")
        yield from self._whole(told)
        yield from self._ends_the_same(told, self._again(ended))

    def read_only(self) -> Iterator[Loss]:
        """A disk that nobody can write to; then one that all can."""
        assert self._disk is not None
        fresh(self._prepared, self._work)
        with self._disk.read_only():
            ended = self._run()
            yield from self._whole(MOUNTED)
        if not ended.cleanly:
            yield Loss(MOUNTED, f"no message but: {ended.said[-1500:]}")
        yield from self._ends_the_same(MOUNTED, self._run())

    def truncated(self, rng: random.Random) -> Iterator[Loss]:
        """A file of what it has made cut off, emptied or changed; then run again."""
        if self._case.damaged_halfway:
            ended = self._killed(rng.uniform(0.5, 1.0) * self.seconds)
        else:
            fresh(self._prepared, self._work)
            ended = self._run()
        there = [path for path in self._damageable() if any(f.is_file() for f in path.rglob("*"))]
        told = damage(rng.choice(there), rng) if there else "nothing to damage yet"
        yield from self._ends_the_same(told, self._again(ended))

    def damaged_input(self, rng: random.Random) -> Iterator[Loss]:
        """A file of the model cut off: refused, or of no matter; then whole again."""
        fresh(self._prepared, self._work)
        told = damage(self._work / "bundle", rng, (CUT_OFF, EMPTIED))
        ended = self._run()
        if not ended.cleanly:
            yield Loss(told, f"no message but: {ended.said[-1500:]}")
        if ended.status == 0:
            yield from self._ends_the_same(told, ended)
        shutil.copytree(self._prepared / "bundle", self._work / "bundle", dirs_exist_ok=True)
        yield from self._ends_the_same(told, self._run())

    def clock(self, rng: random.Random) -> Iterator[Loss]:
        """Killed, and the clock set meanwhile."""
        ended = self._killed(rng.uniform(0, self.seconds))
        told = set_clock(self._work, rng)
        yield from self._ends_the_same(told, self._again(ended))

    def twice_at_once(self, pause_s: float = 0.0) -> Iterator[Loss]:
        """Two runs into the same folder: both done, or one refused by a message."""
        fresh(self._prepared, self._work)
        other = os.fork()
        if other == 0:
            ended = self._run()
            if not ended.cleanly:
                (self._work / "other.lock").write_text(ended.said[-1500:])
            os._exit(0 if ended.cleanly else 1)
        time.sleep(pause_s)
        mine = self._run()
        _, status = os.waitpid(other, 0)
        if not mine.cleanly:
            yield Loss(TWICE, mine.said[-1500:])
        if status:
            yield Loss(TWICE, f"the other: {(self._work / 'other.lock').read_text()}")
        yield from self._ends_the_same(TWICE, self._run())

    def _damageable(self) -> list[Path]:
        return [self._work / name for name in self._case.damaged or self._case.outputs[:1]]

    def _whole(self, told: str) -> Iterator[Loss]:
        """What is there under its own name is what belongs there, and all else is as it was."""
        aside = (
            self._case.state if self._case.compared else (*self._case.state, *self._case.outputs)
        )
        found = content(self._work, without=aside)
        for path, md5 in found.items():
            right = {self.expected.get(path, md5), self._inputs.get(path)}
            if md5 not in right and self._final(path):
                yield Loss(told, f"{path} is half-written")
        for path, md5 in self._inputs.items():
            if path not in self._all and found.get(path) != md5:
                yield Loss(told, f"{path}, which is read only, has changed")

    def _ends_the_same(self, told: str, ended: Ended) -> Iterator[Loss]:
        if ended.status != 0:
            yield Loss(told, f"run again: status {ended.status}: {ended.said[-1500:]}")
            return
        found = self._outputs()
        for path in sorted(self.expected):
            if found.get(path) != self.expected[path]:
                what = (
                    f"is {found[path]}, not {self.expected[path]}"
                    if path in found
                    else "is missing"
                )
                yield Loss(told, f"run again: {path} {what}")
        for path in sorted(self.unstable):
            if path not in found:
                yield Loss(told, f"run again: {path} is missing")
            elif found[path] == EMPTY_MD5:
                yield Loss(told, f"run again: {path} is empty")
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

    def _run(
        self,
        at: int | None = None,
        kind: str = KILL,
        after_s: float | None = None,
        alone: bool = False,
    ) -> Ended:
        def command() -> None:
            os.chdir(self._work)
            self._case.command()

        if self._case.by_dvc:
            for name in self._case.outputs:
                with suppress(OSError):
                    shutil.rmtree(self._work / name)
        return run(command, self._work, at=at, kind=kind, after_s=after_s, alone=alone)

    def _again(self, ended: Ended) -> Ended:
        """The command once more, unless it had come to its end: then as it is."""
        return replace(ended, status=0) if self._case.finished(self._work) else self._run()

    def _outputs(self) -> dict[str, str]:
        found = {
            f"{name}/{path}": md5
            for name in (self._case.outputs if self._case.compared else ())
            for path, md5 in content(self._work / name).items()
        }
        return found | self._case.facts(self._work)


def _wait_for(ended: Ended) -> None:
    """Until all that a killed command has started has ended."""
    end = time.monotonic() + SETTLE_S
    while time.monotonic() < end:
        try:
            os.killpg(ended.group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)


@contextmanager
def trial(name: str, case: Case, folder: Path, *, disk: SmallDisk | None = None) -> Iterator[Trial]:
    """A trial whose files are removed in the end."""
    try:
        yield Trial(name, case, folder, disk)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
