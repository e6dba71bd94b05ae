"""Faults in earnest: `python tests/chaos/long.py --faults 500`, half an hour.

Each scene is a process of its own, one after the other. A fault has a number in its scene, and what
happens follows from `--seed`, the scene, its kind and that number: `--scene train` repeats one.
With `--resume` a run that was stopped goes on; with `--again` as well, faults that caused a loss
are injected once more, after that was mended. What is printed last is how many faults were
injected and how many losses they caused; `--publish` writes it into docs/faults.md.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
RESULTS = ROOT / "tests/chaos/results.json"
PAGE = ROOT / "docs/faults.md"
SAY_EVERY_S = 15
_DIE_WITH_PARENT = 1


def main() -> int:
    """Inject faults into one scene after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scene", action="append", help="one of several; default: all")
    parser.add_argument("--record", type=Path, default=Path("chaos.jsonl"), help="each fault")
    parser.add_argument("--resume", action="store_true", help="leave out what is in --record")
    parser.add_argument("--again", action="store_true", help="then: repeat what caused a loss")
    parser.add_argument("--publish", action="store_true", help="into docs/faults.md")
    parser.add_argument("--home", type=Path, help="where it happens; its project is used again")
    options = parser.parse_args()
    sys.path[:0] = [str(TESTS), str(ROOT / "src")]
    os.environ |= {"TQDM_DISABLE": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    begin = time.monotonic()
    if not options.resume:
        options.record.unlink(missing_ok=True)
    elif options.again:
        keep = [json.dumps(entry) + "\n" for entry in _read(options.record) if not entry["lost"]]
        options.record.write_text("".join(keep), encoding="utf-8")

    from chaos.scenes import PLANS, shared_out  # noqa: PLC0415

    plans = {name: PLANS[name] for name in options.scene or PLANS}
    shares = {name: kinds for name, kinds in shared_out(options.faults, plans).items() if kinds}
    with ExitStack() as stack:
        top = options.home or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-"))
        )
        wants_project = any(PLANS[name].needs_project for name in shares)
        if wants_project and not (top / "project").is_dir():
            _alone(lambda: _make_project(top))
        for name, kinds in shares.items():
            _alone(lambda name=name, kinds=kinds: _scene(options, name, kinds, top))
    found = _read(options.record)
    return _tell(options, found, sum(map(len, shares.values())), time.monotonic() - begin)


def _alone(work: Any) -> None:
    """Do something in a process of its own: its imports, mounts and memory go with it."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001 - told, and counted as missing by the parent
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    os.waitpid(child, 0)


def _make_project(top: Path) -> None:
    from chaos.project import make_project  # noqa: PLC0415
    from chaos.trial import WORK  # noqa: PLC0415

    begin = time.monotonic()
    make_project(top / "stage" / WORK)
    shutil.move(top / "stage" / WORK, top / "project")
    _say(f"a tiny project: the whole pipeline in {time.monotonic() - begin:.0f} s")


def _scene(options: argparse.Namespace, name: str, kinds: list[str], top: Path) -> None:
    from chaos.scenes import PLANS, LackingError, Place  # noqa: PLC0415

    begin = said = time.monotonic()
    recorded = [entry for entry in _read(options.record) if entry["scene"] == name]
    todo = _todo(kinds, recorded)
    if not todo:
        return
    folder, stage = top / name, top / "stage"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    for path in (folder, stage):
        path.mkdir(parents=True, exist_ok=True)
    n_losses = n_done = 0
    try:
        with (
            options.record.open("a", encoding="utf-8") as record,
            PLANS[name].opens(Place(folder, stage, top / "project")) as scene,
        ):
            opened = time.monotonic() - begin
            for kind, number in todo:
                rng = random.Random(f"{options.seed} {name} {kind} {number}")
                began = time.monotonic()
                losses = scene.inject(kind, rng)
                for loss in losses:
                    _say(f"LOSS {name}: {kind} {number}: {loss.fault}: {loss.what}")
                n_losses += bool(losses)
                entry = {"scene": name, "kind": kind, "number": number, "lost": bool(losses)}
                entry["seconds"] = round(time.monotonic() - began, 1)
                record.write(json.dumps(entry) + "\n")
                record.flush()
                n_done += 1
                if time.monotonic() - said > SAY_EVERY_S:
                    said = time.monotonic()
                    _say(f"  {name}: {n_done} of {len(todo)}")
    except LackingError as error:
        _say(f"{name}: left out, as there is not: {error}")
        return
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    took = time.monotonic() - begin
    _say(
        f"{name}: {len(todo)} faults in {took:.0f} s, {opened:.0f} s of them to get ready; "
        f"{n_losses} losses"
    )


def _todo(kinds: list[str], recorded: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """The faults of a scene that are not recorded yet, by kind and their number in it."""
    done = {(entry["kind"], entry["number"]) for entry in recorded}
    counts: Counter[str] = Counter()
    numbered = []
    for kind in kinds:
        counts[kind] += 1
        numbered.append((kind, counts[kind]))
    return [fault for fault in numbered if fault not in done]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _read(record: Path) -> list[dict[str, Any]]:
    if not record.exists():
        return []
    lines = record.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.endswith("}")]


def _tell(
    options: argparse.Namespace, found: list[dict[str, Any]], wanted: int, seconds: float
) -> int:
    """How many of each kind, and what came of them."""
    kinds: dict[str, Counter[str]] = {}
    for entry in found:
        counts = kinds.setdefault(entry["kind"], Counter())
        counts["faults"] += 1
        counts["losses"] += entry["lost"]
    for kind, counts in kinds.items():
        _say(f"{counts['faults']:5} {kind}, {counts['losses']} losses")
    lost = sum(counts["losses"] for counts in kinds.values())
    _say(f"{len(found)} faults injected, {lost} losses, in {seconds / 60:.0f} min")
    if len(found) < wanted:
        _say(f"{wanted - len(found)} faults of {wanted} were not injected: see above")
    if options.publish:
        # A run may have been stopped, and gone on with.
        publish(found, seed=options.seed, minutes=sum(entry["seconds"] for entry in found) / 60)
    return 1 if lost or len(found) < wanted else 0


def publish(found: list[dict[str, Any]], *, seed: int, minutes: float) -> None:
    """Write what was found beside this file, and as a table into the page."""
    from chaos.table import rows, write_table  # noqa: PLC0415

    result: Mapping[str, Any] = {"seed": seed, "minutes": round(minutes), "rows": rows(found)}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    write_table(PAGE, "chaos", result)


if __name__ == "__main__":
    sys.exit(main())
