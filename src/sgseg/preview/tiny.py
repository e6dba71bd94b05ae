"""The parameters of a run that is over in a minute or two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

TINY = "params.tiny.yaml"


def tiny_sections(root: Path) -> dict[str, dict[str, Any]]:
    """The sections of params.tiny.yaml: values that replace those of params.yaml."""
    sections: dict[str, dict[str, Any]] = yaml.safe_load((root / TINY).read_text(encoding="utf-8"))
    return sections


def shrink(params: Path, sections: dict[str, dict[str, Any]]) -> None:
    """Replace values in a params.yaml, section by section. Sections that it lacks are left out."""
    values = yaml.safe_load(params.read_text(encoding="utf-8"))
    for name, section in sections.items():
        if name in values:
            values[name] |= section
    params.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def overridden(sections: dict[str, dict[str, Any]]) -> set[str]:
    """The dotted names of all values that are replaced: `train.epochs`."""
    return {f"{name}.{key}" for name, section in sections.items() for key in section}
