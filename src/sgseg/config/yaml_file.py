"""A YAML file as one mapping, whatever it holds: values and no objects, of bounded size.

PyYAML's safe loader makes no objects, but raises what it likes at odd values, and a few hundred
bytes of references to references stand for gigabytes once somebody walks over them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sgseg.errors import InputError, Problem

MAX_BYTES = 1_000_000
# References counted as often as they are used: params.yaml of this project has 400.
MAX_VALUES = 100_000
_LONGEST = 200


def read_mapping(path: Path, *, expected: str, remedy: str = "") -> dict[str, Any]:
    """Read a file whose content is a mapping.

    Parameters
    ----------
    expected
        Said where it is something else.
    remedy
        Said where there is no such file.

    Raises
    ------
    InputError
        The file cannot be read, is no YAML, holds tags of other than plain values, more than
        `MAX_VALUES` values, a reference to itself, or no mapping.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(Problem(str(path), "no such file", remedy=remedy)) from None
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise InputError(Problem(str(path), what, "a file")) from None
    if len(content) > MAX_BYTES:
        what = f"{len(content):,} bytes"
        raise InputError(Problem(str(path), what, f"at most {MAX_BYTES:,} of settings"))
    try:
        found = parse(content.decode("utf-8"))
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - PyYAML's values raise anything: 2001-99-99, !!int x
        deep = isinstance(error, RecursionError)
        why = "nested too deeply" if deep else " ".join(str(error).split())[:_LONGEST]
        raise InputError(Problem(str(path), f"not YAML: {why}")) from None
    if not isinstance(found, dict):
        raise InputError(Problem(str(path), "empty or no mapping", expected))
    return found


def parse(text: str) -> Any:
    """The values in YAML text, as `yaml.safe_load` reads them.

    Raises
    ------
    ValueError
        There are too many, one refers to itself, or one is no text.
    Exception
        Whatever PyYAML raises.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if (count := _count(node, {}, set())) > MAX_VALUES:
            raise ValueError(f"{shown(count)} values, counting those that references repeat")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _count(node: yaml.Node, known: dict[int, int], open_nodes: set[int]) -> int:
    """How many values a node stands for, each reference counted as what it refers to."""
    if isinstance(node, yaml.ScalarNode):
        # "\ud800" is half of a character, which no file and no message can hold.
        if any("\ud800" <= letter <= "\udfff" for letter in node.value):
            raise ValueError(f"half of a character in line {node.start_mark.line + 1}")
        return 1
    key = id(node)
    if key in open_nodes:
        raise ValueError(f"a reference to itself in line {node.start_mark.line + 1}")
    if key not in known:
        open_nodes.add(key)
        inner = node.value
        if isinstance(node, yaml.MappingNode):
            inner = [item for pair in inner for item in pair]
        known[key] = 1 + sum(_count(item, known, open_nodes) for item in inner)
        open_nodes.remove(key)
    return known[key]


def shown(value: Any) -> str:
    """A value as an error shows it, cut off where it is long."""
    try:
        text = repr(value)
    except ValueError:  # more digits than Python writes out
        return "a number of thousands of digits"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
