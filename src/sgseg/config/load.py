"""From files to parameters, each mistake named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from sgseg.config.params import Params
from sgseg.config.search import SEARCHABLE
from sgseg.config.yaml_file import read_mapping, shown
from sgseg.errors import InputError, Problem


def load_params(path: str | Path = "params.yaml", *, tuned: str | Path | None = None) -> Params:
    """Read and check a parameter file.

    A key of `tune.space` that is not written out in its own section takes the value that a search
    found, or the one at which the search starts.

    Parameters
    ----------
    path
        The parameter file.
    tuned
        Recipe that the stage `tune` wrote: a nested mapping of the keys that it chose. None to
        leave what is searched where the search starts.

    Raises
    ------
    InputError
        A file is missing or no YAML, or a key is unknown, missing, of the wrong type or out of
        range; all of them are named.
    """
    content = _read_mapping(Path(path))
    found = _read_mapping(Path(tuned)) if tuned is not None else {}
    for key, spec in _space(content).items():
        if _at(content, key) is _ABSENT and isinstance(spec, Mapping):
            start = spec.get("start", _ABSENT)
            value = _at(found, key)
            _put(content, key, start if value is _ABSENT else value)
    return _validated(content, Path(path))


def sources_of_space(
    path: str | Path = "params.yaml", *, tuned: str | Path | None = None
) -> dict[str, Literal["explicit", "tuned", "start"]]:
    """Where the value of each key of `tune.space` comes from.

    From the parameter file itself, which wins; from the recipe that a search found; or from where
    the search starts.
    """
    content = _read_mapping(Path(path))
    found = _read_mapping(Path(tuned)) if tuned is not None else {}
    return {
        key: "explicit"
        if _at(content, key) is not _ABSENT
        else "start"
        if _at(found, key) is _ABSENT
        else "tuned"
        for key in _space(content)
    }


def with_values(params: Params, values: Mapping[str, Any]) -> Params:
    """The parameters with other values at dotted keys such as `train.learning_rate`.

    Raises
    ------
    InputError
        They are not allowed there.
    """
    content = params.model_dump(by_alias=True)
    for key, value in values.items():
        _put(content, key, value)
    return _validated(content, Path("params"))


_ABSENT = object()


def _at(content: Mapping[str, Any], key: str) -> Any:
    value: Any = content
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return _ABSENT
        value = value[part]
    return value


def _put(content: dict[str, Any], key: str, value: Any) -> None:
    *sections, leaf = key.split(".")
    for part in sections:
        inner = content.get(part)
        if not isinstance(inner, dict):
            return  # a mistake that the check of the whole names
        content = inner
    if value is not _ABSENT:
        content[leaf] = value


def _space(content: Mapping[str, Any]) -> Mapping[str, Any]:
    space = _at(content, "tune.space")
    if not isinstance(space, Mapping):
        return {}
    # Other sections shape the data: a key there is refused by the check of the whole.
    return {key: spec for key, spec in space.items() if str(key).partition(".")[0] in SEARCHABLE}


def _read_mapping(path: Path) -> dict[str, Any]:
    return read_mapping(
        path, expected="sections such as `train:`", remedy="Run from the project's root."
    )


def _validated(content: Mapping[str, Any], path: Path) -> Params:
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        found: dict[str, Problem] = {}
        for item in error.errors():
            problem = _problem(path, item, content)
            # Of a value that may be of several kinds, what the first of them expects.
            found.setdefault(problem.where, problem)
        raise InputError(*found.values()) from None


def _problem(path: Path, item: Any, content: Mapping[str, Any]) -> Problem:
    key = ".".join(_keys(item["loc"], content, missing=item["type"] == "missing"))
    if item["type"] == "union_tag_not_found":
        return Problem(f"{path}: {key}.name", "missing")
    if item["type"] == "union_tag_invalid":
        expected = f"one of {item['ctx']['expected_tags']}"
        return Problem(f"{path}: {key}.name", f"got {shown(item['input']['name'])}", expected)
    if item["type"] == "extra_forbidden":
        return Problem(f"{path}: {key}", "unknown key", remedy="Check its spelling, or remove it.")
    if item["type"] == "missing":
        return Problem(f"{path}: {key}", "missing")
    if item["type"] == "model_type":
        return Problem(
            f"{path}: {key}", f"got {shown(item['input'])}", "a section with keys below it"
        )
    message = item["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    remedy = ""
    if item["type"] in {"float_type", "int_type"} and _is_number(item["input"]):
        # To YAML 1.1 the exponent of `3e-3` is text.
        remedy = "Write it without quotes, and with a dot before an exponent: 3.0e-3."
    return Problem(f"{path}: {key}", f"got {shown(item['input'])}; {message}", remedy=remedy)


def _keys(where: Sequence[Any], content: Any, *, missing: bool) -> Iterator[str]:
    """The keys of a place in the file, without pydantic's names of the alternatives it tried."""
    for number, part in enumerate(where, start=1):
        if (isinstance(content, Mapping) and part in content) or (
            isinstance(content, list) and isinstance(part, int)
        ):
            content = content[part]
        elif not (missing and number == len(where)):
            continue
        yield str(part)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return isinstance(value, str)
