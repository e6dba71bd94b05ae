"""What was aimed at, and what the other benchmarks say was reached; it measures nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from training_step import HALF, OURS_HALF

Found = Mapping[str, Any]
OURS, OURS_INT8 = "sgseg.inference", "sgseg.inference, int8"


@dataclass(frozen=True)
class Aim:
    """What was aimed at.

    Attributes
    ----------
    text
        Which value it is, and what it should be.
    benchmark
        Where the values come from.
    values
        What was found there, by what it was found for; all of them should reach `goal`.
    goal
        The least that is enough, or the most that is allowed where `at_most`.
    unit
        Format of a value.
    """

    text: str
    benchmark: str
    values: Callable[[Found], Mapping[str, float]]
    goal: float
    unit: str = "{:.2f}"
    at_most: bool = False

    def reached(self, value: float) -> bool:
        """Whether a value is enough."""
        return value <= self.goal if self.at_most else value >= self.goal


def over_pytorch(found: Found) -> dict[str, float]:
    """Speed of a training step over that of PyTorch, whichever way PyTorch is fastest."""
    ours, ratios = "sgseg, as it trains", found["ratios"]
    theirs = {
        name: ratio[ours]["wall_ms"] for name, ratio in ratios.items() if name.startswith("PyTorch")
    }
    if not theirs:
        return {}
    whole = min(value for name, value in theirs.items() if HALF not in name)
    found_here = {"float32": whole}
    if OURS_HALF in ratios:
        half = ratios[OURS_HALF][ours]["wall_ms"]
        found_here["bfloat16 over float32"] = whole / half
        found_here["bfloat16"] = min(theirs.values()) / half
    return found_here


def _of_cases(found: Found, value: Callable[[Found, str], float]) -> dict[str, float]:
    return {
        f"{case['side']} px, members: {case['members']}, {kind}": value(case, name)
        for name, kind in ((OURS, "float32"), (OURS_INT8, "int8"))
        for case in found["cases"]
        if name in case["wall_ms"]
    }


def over_keras(found: Found) -> dict[str, float]:
    """Speed of inference over that of Keras, of each case."""
    return _of_cases(found, lambda case, name: case["over_keras"][name])


def of_the_peak(found: Found) -> dict[str, float]:
    """Share of the arithmetic peak, of each case."""

    def share(case: Found, name: str) -> float:
        flop = 2 * found["multiply_adds_per_pixel"] * case["side"] ** 2 * case["members"]
        return flop / (median(case["wall_ms"][name]) / 1000) / 1e9 / case["peak_gigaflops"]

    return _of_cases(found, share)


def over_float32(found: Found) -> dict[str, float]:
    """Speed with 8 bits over that with 32, of each case."""
    return {
        f"{case['side']} px, members: {case['members']}": median(
            one / other
            for one, other in zip(case["wall_ms"][OURS], case["wall_ms"][OURS_INT8], strict=True)
        )
        for case in found["cases"]
        if OURS_INT8 in case["wall_ms"]
    }


def of_bare(found: Found) -> dict[str, float]:
    """Time of the networks alone over that of the whole command, by orientations."""
    return {
        f"orientations: {run['orientations']}": run["bare_s"] / run["wall_s"]
        for run in found["runs"]
    }


def _hundred_megapixels(found: Found) -> dict[str, float]:
    peaks = [row["peak_mb"] for row in found["rows"] if row["megapixels"] == 100]
    return {"": max(peaks) * 2**20 / 1e9} if peaks else {}


def _starts(found: Found) -> dict[str, float]:
    times = {name: median(values) for name, values in found["start"].items()}
    slowest = max(times, key=lambda name: times[name])
    return {"": times["sgseg --help"], slowest: times[slowest]}


AIMS = (
    Aim("a training step: 1.2 times as fast as plain PyTorch", "training_step", over_pytorch, 1.2),
    Aim("inference: twice as fast as Keras `predict`", "inference", over_keras, 2),
    Aim("inference: half of the arithmetic peak", "inference", of_the_peak, 0.5, "{:.0%}"),
    Aim("8 bits: 1.3 times as fast as 32", "inference", over_float32, 1.3),
    Aim("a whole command: 80 % of bare inference", "end_to_end", of_bare, 0.8, "{:.0%}"),
    Aim("100 megapixels within 2 GB", "growth", _hundred_megapixels, 2, "{:.2f} GB", at_most=True),
    Aim("`sgseg --help` under 0.5 s", "pipeline", _starts, 0.5, "{:.2f} s", at_most=True),
)


def table(found: Mapping[str, Found]) -> Iterator[str]:
    """Lines of a Markdown table, a row per aim; `found` has what each benchmark found."""
    yield "| aim | found | reached |"
    yield "|---|---|---|"
    for aim in AIMS:
        values = aim.values(found[aim.benchmark]) if aim.benchmark in found else {}
        yield f"| {aim.text} | {_range(aim, values)} | {_verdict(aim, list(values.values()))} |"


def _range(aim: Aim, values: Mapping[str, float]) -> str:
    """The worst and the best, and what they are of."""
    if not values:
        return "not measured"
    order = sorted(values, key=lambda name: values[name], reverse=aim.at_most)
    shown = order if len(order) == 1 else [order[0], order[-1]]
    return " to ".join(
        aim.unit.format(values[name]) + (f" ({name})" if name else "") for name in shown
    )


def _verdict(aim: Aim, values: Sequence[float]) -> str:
    if not values:
        return ""
    n = sum(aim.reached(value) for value in values)
    return {0: "no", len(values): "yes"}.get(n, f"{n} of {len(values)}")


def said(found: Mapping[str, Found]) -> Iterator[str]:
    """What the table is made of."""
    yield (
        "From the tables below, of the medians: the worst and the best value, with the case that "
        "they are of."
    )
