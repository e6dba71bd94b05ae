"""Values given on the command line, written into params.yaml; every other character of it stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sgseg.config import load_params
from sgseg.errors import InputError, Problem
from sgseg.images.write import replacing

PARAMS = "params.yaml"


def parse(items: Sequence[str]) -> dict[str, Any]:
    """Values by dotted key from `train.epochs=80` and the like; a value is YAML.

    Raises
    ------
    InputError
        Some are not of that form; all of them are named.
    """
    found: dict[str, Any] = {}
    problems: list[Problem] = []
    for item in items:
        key, sign, text = item.partition("=")
        try:
            if not (sign and "." in key and all(key.split("."))):
                raise ValueError("no value for a key")
            found[key] = _number(yaml.safe_load(text))
        except (ValueError, yaml.YAMLError) as error:
            what = " ".join(str(error).split())
            problems.append(Problem(f"--set {item}", what, "such as train.epochs=80"))
    if problems:
        raise InputError(*problems)
    return found


def _number(value: Any) -> Any:
    """1e-3, which YAML takes for text, as the number that is meant."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def edited(text: str, values: Mapping[str, Any]) -> str:
    """The text of a parameter file with other values at dotted keys.

    Raises
    ------
    InputError
        A key cannot be set: its section is not there.
    """
    for key, value in values.items():
        *sections, leaf = key.split(".")
        node: Any = yaml.compose(text)
        for section in sections:
            node = _child(node, section)
        if not isinstance(node, yaml.MappingNode):
            what = f"there is no section {'.'.join(sections)}"
            raise InputError(Problem(f"--set {key}", what, f"one of {PARAMS}"))
        text = _with_value(text, node, leaf, _written(value))
    return text


def write(root: Path, before: bytes, values: Mapping[str, Any]) -> None:
    """Write params.yaml: as it was before, with these values.

    Raises
    ------
    InputError
        A value is not allowed there.
    """
    path = root / PARAMS
    text = edited(before.decode("utf-8"), values)
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))
        try:
            load_params(temporary)
        except InputError as error:
            raise InputError(*error.problems, title=f"--set: {PARAMS} would not be valid") from None


def _written(value: Any) -> str:
    """A value on one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...").strip()


def _child(node: Any, name: str) -> Any:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == name), None)
    return None


def _with_value(text: str, section: yaml.MappingNode, leaf: str, value: str) -> str:
    old = _child(section, leaf)
    if old is not None:
        return text[: old.start_mark.index] + value + text[_end(old) :]
    if section.flow_style or not section.value:
        start = section.start_mark.index + 1
        rest = text[start:].lstrip()
        return f"{text[:start]} {leaf}: {value}{'' if rest.startswith('}') else ','} {rest}"
    first = section.value[0][0].start_mark
    indent = " " * first.column
    return f"{text[: first.index]}{leaf}: {value}\n{indent}{text[first.index :]}"


def _end(node: Any) -> int:
    """Where a value ends: a block reaches to what follows it, comments included."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return _end(node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return _end(node.value[-1])
    return int(node.end_mark.index)
