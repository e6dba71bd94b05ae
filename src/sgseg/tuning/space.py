"""What a search may change: from the space in params.yaml to values, and back.

A value is known by its dotted key in params.yaml. A union such as `train.loss` is one value, a
mapping with `name`; to Optuna its name and each parameter of each variant are parameters of their
own (`train.loss.name`, `train.loss.tversky.alpha`), so that only those of the chosen variant exist.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from sgseg.config import Bounds, Choice, Params, Range, Variants, with_values
from sgseg.errors import InputError, Problem

Spec = Range | Choice | Variants
Space = Mapping[str, Spec]
Values = dict[str, Any]


class Suggests(Protocol):
    """The part of a trial of Optuna that is used here."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """A whole number."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number."""


def suggest(trial: Suggests, space: Space) -> Values:
    """A value for every key, asked of a trial."""
    return {key: _suggest(trial, key, spec) for key, spec in space.items()}


def _suggest(trial: Suggests, key: str, spec: Spec) -> Any:
    if isinstance(spec, Range):
        return _suggest_number(trial, key, spec)
    if isinstance(spec, Choice):
        return trial.suggest_categorical(key, spec.choices)
    name = trial.suggest_categorical(f"{key}.name", list(spec.choices))
    return {
        "name": name,
        **{
            part: _suggest_number(trial, f"{key}.{name}.{part}", inner)
            if isinstance(inner, Bounds)
            else inner
            for part, inner in spec.choices[name].items()
        },
    }


def _suggest_number(trial: Suggests, name: str, bounds: Bounds) -> int | float:
    if is_whole(bounds):
        step = 1 if bounds.step is None else int(bounds.step)
        return trial.suggest_int(name, int(bounds.low), int(bounds.high), step=step, log=bounds.log)
    return trial.suggest_float(name, bounds.low, bounds.high, step=bounds.step, log=bounds.log)


def is_whole(bounds: Bounds) -> bool:
    """Whether only whole numbers lie between them: both are written as such."""
    return isinstance(bounds.low, int) and isinstance(bounds.high, int)


def start_values(space: Space) -> Values:
    """Where the search starts."""
    return {
        key: dict(spec.start) if isinstance(spec, Variants) else spec.start
        for key, spec in space.items()
    }


def as_suggested(values: Mapping[str, Any], space: Space) -> Values:
    """The parameters by which Optuna would have suggested these values."""
    suggested: Values = {}
    for key, spec in space.items():
        value = values[key]
        if not isinstance(spec, Variants):
            suggested[key] = value
            continue
        name = value["name"]
        suggested[f"{key}.name"] = name
        for part, inner in spec.choices[name].items():
            if isinstance(inner, Bounds):
                suggested[f"{key}.{name}.{part}"] = value[part]
    return suggested


def flatten(values: Mapping[str, Any]) -> Values:
    """Values with the parts of unions on their own: `train.loss.name`, `train.loss.alpha`."""
    flat: Values = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{part}": inner for part, inner in value.items()}
        else:
            flat[key] = value
    return flat


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the mapping of mappings that params.yaml is."""
    content: dict[str, Any] = {}
    for key, value in values.items():
        *sections, leaf = key.split(".")
        inner = content
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[leaf] = dict(value) if isinstance(value, Mapping) else value
    return content


def check_space(space: Space, params: Params) -> None:
    """Make sure that every key can take what its space allows, the others being as in `params`.

    Raises
    ------
    InputError
        Bounds or choices that contradict themselves, a start outside of them, or a value that the
        key does not allow; all of them are named.
    """
    problems: list[Problem] = []
    for key, spec in space.items():
        found = list(_contradictions(key, spec))
        problems += found or _refused(key, spec, params)
    if problems:
        raise InputError(*problems)


def _contradictions(key: str, spec: Spec) -> Iterator[Problem]:
    where = f"tune.space.{key}"
    if isinstance(spec, Range):
        yield from _wrong_bounds(where, spec)
        yield from _outside(f"{where}.start", spec.start, spec)
    elif isinstance(spec, Choice):
        if not any(_same(spec.start, choice) for choice in spec.choices):
            yield Problem(f"{where}.start", f"got {spec.start!r}", f"one of {spec.choices}")
    else:
        for name, parts in spec.choices.items():
            for part, inner in parts.items():
                if isinstance(inner, Bounds):
                    yield from _wrong_bounds(f"{where}.choices.{name}.{part}", inner)
        yield from _wrong_start(f"{where}.start", spec)


def _wrong_bounds(where: str, bounds: Bounds) -> Iterator[Problem]:
    low, high, step = bounds.low, bounds.high, bounds.step
    if low > high:
        yield Problem(where, f"low {low} is above high {high}")
    if bounds.log and low <= 0:
        yield Problem(where, f"low is {low}", "more than 0 on a logarithmic scale")
    if step is None:
        return
    if bounds.log:
        yield Problem(where, "both log and step", "one of them")
    if step <= 0 or (is_whole(bounds) and not isinstance(step, int)):
        kind = "a whole number above 0" if is_whole(bounds) else "more than 0"
        yield Problem(where, f"step is {step}", kind)
    elif not _on_grid(high, low, step):
        yield Problem(where, f"no whole number of steps of {step} from {low} to {high}")


def _outside(where: str, value: Any, bounds: Bounds) -> Iterator[Problem]:
    if not isinstance(value, int | float) or isinstance(value, bool):
        yield Problem(where, f"got {value!r}", "a number")
    elif is_whole(bounds) and not isinstance(value, int):
        yield Problem(where, f"got {value!r}", "a whole number, as low and high are")
    elif not bounds.low <= value <= bounds.high:
        yield Problem(where, f"got {value}", f"a number from {bounds.low} to {bounds.high}")
    elif bounds.step and bounds.step > 0 and not _on_grid(value, bounds.low, bounds.step):
        yield Problem(where, f"got {value}", f"{bounds.low} plus steps of {bounds.step}")


def _on_grid(value: float, low: float, step: float) -> bool:
    # As Optuna does it: in binary 0.3 is no multiple of 0.1.
    return (Decimal(str(value)) - Decimal(str(low))) % Decimal(str(step)) == 0


def _wrong_start(where: str, spec: Variants) -> Iterator[Problem]:
    name = spec.start.get("name")
    if name not in spec.choices:
        yield Problem(where, f"name is {name!r}", f"one of {list(spec.choices)}")
        return
    parts = spec.choices[name]
    given = set(spec.start) - {"name"}
    if given != set(parts):
        yield Problem(where, f"parameters {sorted(given)}", f"those of {name}: {sorted(parts)}")
        return
    for part, inner in parts.items():
        value = spec.start[part]
        if isinstance(inner, Bounds):
            yield from _outside(f"{where}.{part}", value, inner)
        elif value != inner:
            yield Problem(f"{where}.{part}", f"got {value!r}", f"{inner}, as in choices.{name}")


def _same(one: Any, other: Any) -> bool:
    """Equality for which True is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _refused(key: str, spec: Spec, params: Params) -> list[Problem]:
    problems = []
    for value in _extremes(spec):
        try:
            with_values(params, {key: value})
        except InputError as error:
            said = "; ".join(problem.what for problem in error.problems)
            problems.append(Problem(f"tune.space.{key}", f"{value!r} cannot be used: {said}"))
    return problems


def _extremes(spec: Spec) -> Iterator[Any]:
    """Values that are allowed if all are."""
    if isinstance(spec, Range):
        yield from _ends(spec)
    elif isinstance(spec, Choice):
        yield from spec.choices
    else:
        for name, parts in spec.choices.items():
            ends = {part: _ends(inner) for part, inner in parts.items()}
            for end in range(2 if any(len(pair) == 2 for pair in ends.values()) else 1):
                yield {"name": name, **{part: pair[-end] for part, pair in ends.items()}}


def _ends(inner: Bounds | int | float) -> tuple[int | float, ...]:
    return (inner.low, inner.high) if isinstance(inner, Bounds) else (inner,)


def shown(value: Any) -> str:
    """A value for people: numbers with four digits, unions as `tversky (alpha 0.3, beta 0.5)`."""
    if isinstance(value, Mapping):
        parts = ", ".join(f"{key} {shown(inner)}" for key, inner in value.items() if key != "name")
        return f"{value['name']} ({parts})" if parts else str(value["name"])
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.4g}"
    return str(value)
