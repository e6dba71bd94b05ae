"""sgseg's training step against the same network in plain PyTorch, in one paired run.

    python benchmarks/training_step.py [--pytorch-python PATH] [--json FILE]

Prints the time of a step, images per second, ratios, and where the time of an sgseg step goes.
PyTorch may live in another environment: give its interpreter. Without it, sgseg alone is measured.
Run it on a machine that does nothing else; on a busy one only the CPU times mean anything, and
those only with `--threads 1`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from _paired import Time, Worker, described, machine, publish, ratio, spread, take_turns

HERE = Path(__file__).parent
TOLERANCE = 1e-4
OURS, OURS_PLAIN = "sgseg, as it trains", "sgseg, without pixel scores"
OURS_XLA, OURS_HALF = "sgseg, compiled by XLA", "sgseg, bfloat16"
HALF = "bfloat16"
PEAK = "matrix product"
# Of a convolution: forward, gradient of its input, gradient of its weights.
PASSES = 3
LOOP = "sgseg, loop with its batches"
# An epoch or all its batches are one repetition of as many steps.
WHOLE_EPOCHS = ("epoch", "batches", "batches without augmentation")
Times = Mapping[str, Sequence[Time]]


def has_torch(python: str) -> bool:
    """Whether there is such an interpreter, and it finds PyTorch and NumPy."""
    code = "from importlib.util import find_spec as f; exit(not (f('torch') and f('numpy')))"
    try:
        return subprocess.run([python, "-c", code], check=False).returncode == 0
    except OSError:
        return False


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both sides in turns; all that was found, as it is written to --json."""
    before, given = machine(options.threads), vars(options)
    settings, with_xla = json.dumps(given), json.dumps(given | {"xla": True})
    python, threads = options.pytorch_python or sys.executable, options.threads
    with tempfile.TemporaryDirectory() as folder:
        theirs, exchange = None, ""
        if not options.no_pytorch and has_torch(python):
            exchange = str(Path(folder) / "exchange.npz")
        ours = Worker([sys.executable, str(HERE / "_sgseg_step.py"), exchange, settings], threads)
        if exchange:
            theirs = Worker([python, str(HERE / "_pytorch_step.py"), exchange, settings], threads)
            check_same(ours.info, theirs.info)
        xla = Worker([sys.executable, str(HERE / "_sgseg_step.py"), "", with_xla], threads)
        peak = Worker([sys.executable, str(HERE / "_matrix_product.py")], threads)
        contestants = _contestants(ours, theirs, options.steps)
        for name in xla.info["contestants"]:
            contestants[OURS_XLA] = partial(xla.measure, name, options.steps)
        contestants[PEAK] = partial(peak.measure, PEAK, 1)
        times = take_turns(contestants, options.rounds)
        products = peak.info["multiply_adds"] / (median(_clock(times.pop(PEAK), "wall_ms")) / 1000)
        for worker in (ours, theirs, xla, peak):
            if worker is not None:
                worker.close()
    return {
        "machine": before,
        "settings": vars(options),
        "sgseg": ours.info,
        "xla": xla.info["failed"],
        "pytorch": None if theirs is None else theirs.info,
        "times": {name: [vars(time) for time in turns] for name, turns in times.items()},
        "peak_gigaflops": 2 * products / 1e9,
        "ratios": ratios(times),
        "parts": parts(times),
    }


def check_same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Stop unless both are the same network: a comparison of two others would say nothing."""
    if ours["trainable"] != theirs["trainable"]:
        sys.exit(f"error: {ours['trainable']} parameters here, {theirs['trainable']} in PyTorch")
    for mode, difference in theirs["difference"].items():
        if not difference <= TOLERANCE:
            sys.exit(f"error: the outputs in {mode} differ by {difference:.1e}, above {TOLERANCE}")


def _contestants(ours: Worker, theirs: Worker | None, steps: int) -> dict[str, Callable[[], Time]]:
    """What is measured, each a block of `steps` steps; times are those of one step."""

    def block(worker: Worker, name: str) -> Time:
        if name not in WHOLE_EPOCHS:
            return worker.measure(name, steps)
        epoch = worker.measure(name, 1)
        return Time(epoch.wall_ms / ours.info["steps"], epoch.cpu_ms / ours.info["steps"])

    titles = {
        "step": OURS,
        "step without scores": OURS_PLAIN,
        "bfloat16": OURS_HALF,
        "epoch": LOOP,
    }
    contestants: dict[str, Callable[[], Time]] = {
        titles.get(name, name): partial(block, ours, name) for name in ours.info["contestants"]
    }
    if theirs is None:
        return contestants
    # Neighbours in the order of turns: the pairs whose ratio is asked for.
    rivals: dict[str, Callable[[], Time]] = {
        name: partial(block, theirs, name) for name in theirs.info["contestants"]
    }
    head = {name: contestants.pop(name) for name in (OURS, OURS_PLAIN)}
    return head | rivals | contestants


# --- what follows from the times


def ratios(times: Times) -> dict[str, dict[str, dict[str, float]]]:
    """Of each way but the usual: time over that of sgseg's step, above 1 where this is faster."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name in times:
        if name.startswith("PyTorch") or name in {OURS_XLA, OURS_HALF}:
            found[name] = {
                own: {
                    clock: ratio(_clock(times[own], clock), _clock(times[name], clock))
                    for clock in ("wall_ms", "cpu_ms")
                }
                for own in (OURS, OURS_PLAIN)
            }
    return found


def parts(times: Times) -> dict[str, dict[str, float]]:
    """Milliseconds of each part of a step with its batch, from medians; they add up to it."""
    found: dict[str, dict[str, float]] = {}
    for clock in ("wall_ms", "cpu_ms"):
        of = {name: median(_clock(turns, clock)) for name, turns in times.items()}
        for part, milliseconds in {
            "loading": of["batches without augmentation"],
            "augmentation": of["batches"] - of["batches without augmentation"],
            "forward": of["forward"],
            "backward, update": of[OURS_PLAIN] - of["forward"],
            "pixel scores": of[OURS] - of[OURS_PLAIN],
        }.items():
            found.setdefault(part, {})[clock] = milliseconds
    return found


def _clock(turns: Sequence[Time], clock: str) -> list[float]:
    return [getattr(time, clock) for time in turns]


# --- report


def said(found: Mapping[str, Any]) -> Iterator[str]:
    """What the tables were measured on."""
    settings, torch = found["settings"], found["pytorch"]
    yield (
        f"{described(found['machine'], 'keras', 'tensorflow', 'numpy')} PyTorch "
        f"{torch['version'] if torch else 'absent'}. U-Net of width {settings['width']} and depth "
        f"{settings['depth']} with batch norm, {found['sgseg']['trainable']:,} parameters; "
        f"{settings['batch']} patches of {settings['patch']} x {settings['patch']} px; bce_dice; "
        f"Adam; medians of {settings['rounds']} rounds of {settings['steps']} steps."
    )
    yield (
        "Of the peak: what the convolutions of a step multiply and add where they are computed "
        "as written, forward and twice backward, over what a product of matrices with 32 bits gets "
        "through "
        f"({found['peak_gigaflops']:.0f} GFLOP/s)."
    )
    if found["xla"]:
        yield f"XLA does not compile it here: {found['xla']}"
    if found["pytorch"]:
        largest = max(found["pytorch"]["difference"].values())
        losses = {
            name: values
            for name, values in {"sgseg": found["sgseg"]["losses"], **torch["losses"]}.items()
            if HALF not in name
        }
        apart = max(
            abs(one - own)
            for values in losses.values()
            for one, own in zip(values, losses["sgseg"], strict=True)
        )
        yield (
            f"With the same weights the outputs differ by at most {largest:.0e}, the losses of the "
            f"first {len(losses['sgseg'])} steps by {apart:.0e}, bfloat16 left out."
        )
        for name, reason in found["pytorch"]["failed"].items():
            yield f"{name} does not run here: {reason}"
    else:
        yield (
            "PyTorch was not measured: it is not in this environment (extra `pytorch`), and no "
            "--pytorch-python that has it was given."
        )


def table(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines of two Markdown tables: a step beside PyTorch, and where its time goes."""
    times = {name: [Time(**time) for time in turns] for name, turns in found["times"].items()}
    batch = found["settings"]["batch"]
    pixels = batch * found["settings"]["patch"] ** 2
    work = 2 * PASSES * found["sgseg"]["multiply_adds_per_pixel"] * pixels
    least_ms = work / found["peak_gigaflops"] / 1e9 * 1000
    yield (
        "| | ms a step | half of them | images/s | of the peak | processor, ms | it / sgseg "
        "| by processor |"
    )
    yield "|---|---:|---|---:|---:|---:|---:|---:|"
    for name, turns in times.items():
        if name.startswith(("sgseg", "PyTorch")):
            yield _row(name, turns, batch, least_ms, found["ratios"].get(name))
    yield ""
    yield "| where a step and its batch go | ms | share | processor, ms | of the processor |"
    yield "|---|---:|---:|---:|---:|"
    clocks = ("wall_ms", "cpu_ms")
    whole = {clock: sum(part[clock] for part in found["parts"].values()) for clock in clocks}
    for name, part in found["parts"].items():
        cells = " | ".join(f"{part[c]:.1f} | {part[c] / whole[c]:.1%}" for c in clocks)
        yield f"| {name} | {cells} |"


def _row(
    name: str,
    turns: Sequence[Time],
    batch: int,
    least_ms: float,
    ratios: Mapping[str, Mapping[str, float]] | None,
) -> str:
    wall, cpu = _clock(turns, "wall_ms"), _clock(turns, "cpu_ms")
    over = ["", ""] if ratios is None else [f"{ratios[OURS][c]:.2f}" for c in ("wall_ms", "cpu_ms")]
    return (
        f"| {name} | {median(wall):.1f} | {spread(wall, 1)} "
        f"| {batch / median(wall) * 1000:.0f} | {least_ms / median(wall):.0%} "
        f"| {median(cpu):.1f} | {' | '.join(over)} |"
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--pytorch-python", metavar="PATH", help="interpreter that has torch and numpy")
    add("--no-pytorch", action="store_true", help="measure sgseg alone")
    add("--no-compile", action="store_true", help="leave torch.compile out")
    add("--threads", type=int, default=os.cpu_count() or 1, help="of both sides")
    add("--rounds", type=int, default=12)
    add("--steps", type=int, default=8, help="in a block")
    add("--params", default=str(HERE.parent / "params.yaml"), help="for the augmentation")
    add("--json", type=Path, metavar="FILE", help="write all times here")
    for name, default in (("width", 16), ("depth", 3), ("batch", 8), ("patch", 80)):
        add(f"--{name}", type=int, default=default)
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    if options.pytorch_python and not has_torch(options.pytorch_python):
        sys.exit(f"error: {options.pytorch_python}: no interpreter that has torch and numpy")
    file, options.json = options.json, None
    found = compare(options)
    publish(found, file, said=said, table=table)


if __name__ == "__main__":
    main()
