"""Fuzzing in earnest: `python tests/fuzz/long.py --inputs 100000`.

Each reader is fuzzed by a process of its own, with a limit to its memory and to the time of one
input: half of the inputs by Atheris, which looks for those that reach new code, half by chance
alone. A process that dies is a crash as well; the next one goes on after the input that ended it.
One that falls silent, as Atheris does after an error of its own, is killed.
What crashed is kept in the folder of `--keep`, with the stack trace beside it.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import importlib.util
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from types import FrameType

TESTS = Path(__file__).parents[1]
SLOWEST_S = 20
# Longer than a process needs to begin, and than an input that ends it.
SILENT_S = 6 * SLOWEST_S
# Beyond what the process needs for itself.
MEMORY_BYTES = 3_000_000_000
KEPT_OF_A_KIND = 3
INSTRUMENTED = ["sgseg.images", "sgseg.config", "sgseg.dataset", "sgseg.inference", "sgseg.serving"]


def main() -> int:
    """Fuzz, and tell how much, with what, and what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", action="append", help="one of several; default: all")
    parser.add_argument("--keep", type=Path, default=Path("fuzzed"))
    parser.add_argument("--child", choices=("atheris", "chance"), help=argparse.SUPPRESS)
    parser.add_argument("--skip", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, str(TESTS))
    options.keep = options.keep.resolve()
    options.keep.mkdir(parents=True, exist_ok=True)
    if options.child:
        return _child(options)
    return _all(options)


def _all(options: argparse.Namespace) -> int:
    from fuzz.targets import SHARES  # noqa: PLC0415

    readers = options.reader or list(SHARES)
    whole = sum(SHARES[name] for name in readers)
    engines = ["chance"] + ["atheris"] * (importlib.util.find_spec("atheris") is not None)
    total: Counter[str] = Counter()
    for name in readers:
        for engine in engines:
            wanted = -(-options.inputs * SHARES[name] // (whole * len(engines)))
            begin = time.monotonic()
            found = _one(options, name, engine, wanted)
            total += found
            said = ", ".join(f"{found[what]:,} {what}" for what in ("read", "refused", "crashes"))
            seconds = time.monotonic() - begin
            sys.stdout.write(f"{name:14} {engine:8} {said} in {seconds:.0f} s\n")
            sys.stdout.flush()
    inputs = total["read"] + total["refused"] + total["crashes"]
    sys.stdout.write(f"{inputs:,} inputs, {total['crashes']:,} crashes\n")
    return 1 if total["crashes"] else 0


def _one(options: argparse.Namespace, name: str, engine: str, wanted: int) -> Counter[str]:
    """Processes for one reader, until all inputs have been given to it."""
    total: Counter[str] = Counter()
    done = 0
    counts, last = options.keep / f".{name}.json", options.keep / f".{name}.input"
    while done < wanted:
        counts.unlink(missing_ok=True)
        command = [
            *(sys.executable, __file__, "--child", engine, "--reader", name),
            *("--inputs", str(wanted - done), "--seed", str(options.seed)),
            *("--skip", str(done), "--keep", str(options.keep)),
        ]
        ended, said = _watched(command, counts)
        found = Counter(json.loads(counts.read_text())) if counts.exists() else Counter()
        complete = sum(found.values()) >= wanted - done
        if not complete:
            if not last.exists():
                raise SystemExit(f"{name} does not begin:\n{said[-3_000:]}")
            found["crashes"] += 1
            _keep(options.keep, name, last.read_bytes(), f"ended {ended}\n{said}")
        total += found
        done += sum(found.values())
        last.unlink(missing_ok=True)
    counts.unlink(missing_ok=True)
    return total


def _watched(command: list[str], counts: Path) -> tuple[int, str]:
    """How the process ended, and what it said; killed when it counts nothing for `SILENT_S`."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        heard = time.time()
        while True:
            try:
                process.wait(timeout=1.0)
                break
            except subprocess.TimeoutExpired:
                if counts.exists():
                    heard = max(heard, counts.stat().st_mtime)
                if time.time() - heard > SILENT_S:
                    process.kill()
        said.seek(0)
        return process.returncode, said.read().decode(errors="replace")


def _keep(folder: Path, name: str, content: bytes, trace: str) -> None:
    frames = [line for line in trace.splitlines() if line.lstrip().startswith("File ")]
    kind = hashlib.md5("".join(frames[-4:]).encode(), usedforsecurity=False).hexdigest()[:6]
    if len(list(folder.glob(f"{name}-{kind}-*.bin"))) >= KEPT_OF_A_KIND:
        return
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()[:8]
    (folder / f"{name}-{kind}-{digest}.bin").write_bytes(content)
    (folder / f"{name}-{kind}-{digest}.txt").write_text(trace, errors="replace")


class _Judge:
    """Gives inputs to a reader, one after the other, and counts what comes of it."""

    def __init__(self, options: argparse.Namespace, name: str, folder: Path) -> None:
        from fuzz.targets import TARGETS, outcome  # noqa: PLC0415

        self.target, self._outcome = TARGETS[name], outcome
        self._name, self._keep, self._folder = name, options.keep, folder
        self._counts = options.keep / f".{name}.json"
        self._last = (options.keep / f".{name}.input").open("wb", buffering=0)
        self.found: Counter[str] = Counter()

    def __call__(self, content: bytes) -> None:
        self._last.seek(0)
        self._last.truncate()
        self._last.write(content)
        signal.alarm(SLOWEST_S)
        # Compiled code hears of no alarm.
        faulthandler.dump_traceback_later(3 * SLOWEST_S, exit=True)
        try:
            self.found[self._outcome(self.target, content, self._folder)] += 1
        except Exception:  # noqa: BLE001 - this is what is looked for
            self.found["crashes"] += 1
            _keep(self._keep, self._name, content, traceback.format_exc())
        finally:
            signal.alarm(0)
            faulthandler.cancel_dump_traceback_later()
        self._counts.write_text(json.dumps(self.found))


class TooSlowError(Exception):
    """An input that takes longer than any should."""


def _too_slow(_number: int, _frame: FrameType | None) -> None:
    raise TooSlowError(f"more than {SLOWEST_S} s")


def _child(options: argparse.Namespace) -> int:
    faulthandler.enable()
    signal.signal(signal.SIGALRM, _too_slow)
    (name,) = options.reader
    if options.child == "atheris":
        import atheris  # noqa: PLC0415

        with atheris.instrument_imports(include=[*INSTRUMENTED, "roifile", "tifffile"]):
            import fuzz.targets  # noqa: F401, PLC0415
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        judge = _Judge(options, name, Path(place))
        seeds = [seed for seed in judge.target.seeds() if len(seed) < 100_000]
        judge._outcome(judge.target, seeds[0], Path(place))
        _limit_memory()
        rng = random.Random(f"{options.seed} {name} {options.skip}")
        if options.child == "chance":
            for _ in range(options.inputs):
                judge(judge.target.make(rng))
            return 0
        _by_atheris(options, judge, seeds, Path(place))
    return 0


def _by_atheris(
    options: argparse.Namespace, judge: _Judge, seeds: list[bytes], place: Path
) -> None:
    import atheris  # noqa: PLC0415

    from fuzz.damage import damaged  # noqa: PLC0415

    folder = place / "corpus"
    folder.mkdir()
    for number, seed in enumerate(seeds):
        (folder / f"{number}").write_bytes(seed)

    def mutate(content: bytes, most: int, number: int) -> bytes:
        rng = random.Random(number)
        if rng.random() < 0.3:
            return bytes(atheris.Mutate(content, min(len(content) + 64, most)))
        begin = content if content and rng.random() < 0.7 else rng.choice(seeds)
        return damaged(begin, rng, words=judge.target.words)[:most]

    arguments = [sys.argv[0], f"-runs={options.inputs}", f"-seed={options.seed + options.skip + 1}"]
    # The limits are ours; libFuzzer's own would end the process.
    arguments += ["-rss_limit_mb=0", "-timeout=0", "-max_len=200000", "-verbosity=0", str(folder)]
    atheris.Setup(arguments, judge, custom_mutator=mutate, internal_libfuzzer=True)
    atheris.Fuzz()


def _limit_memory() -> None:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    own = int(pages) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (own + MEMORY_BYTES,) * 2)


if __name__ == "__main__":
    sys.exit(main())
