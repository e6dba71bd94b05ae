"""Put a data set under DVC, and make it the one that the pipeline uses."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from sgseg.errors import InputError, Problem
from sgseg.images.write import replacing

logger = logging.getLogger(__name__)

_VALUE = re.compile(
    r"""(?P<key>\s+source:\s*)(?P<value>"[^"]*"|'[^']*'|[^#\s].*?)(?P<rest>\s*|\s+#.*)$"""
)


def track(folder: str | Path, *, root: str | Path = Path()) -> bool:
    """`dvc add` a folder, with the DVC of this Python.

    Returns
    -------
    bool
        False where the project is under no DVC; a message says what to do.

    Raises
    ------
    InputError
        DVC refused; the folder is there all the same.
    """
    root, folder = Path(root).resolve(), Path(folder).resolve()
    if not has_dvc(root):
        logger.warning(
            "%s is not under version control: no DVC here. Run `git init`, `dvc init` and "
            "`dvc add %s`.",
            folder,
            folder.relative_to(root).as_posix(),
        )
        return False
    pointer = add(folder, root=root).relative_to(root).as_posix()
    logger.info("DVC keeps it (%s)", pointer)
    return True


def has_dvc(root: str | Path) -> bool:
    """Whether a folder belongs to a DVC project."""
    root = Path(root).resolve()
    return any((parent / ".dvc" / "config").is_file() for parent in (root, *root.parents))


def add(folder: str | Path, *, root: str | Path = Path()) -> Path:
    """`dvc add` a folder of a project that has DVC; returns the file that git keeps in its place.

    Raises
    ------
    InputError
        DVC refused; the folder is there all the same.
    """
    root, folder = Path(root).resolve(), Path(folder).resolve()
    # The command rather than the API: DVC changes the working directory, signals and logging of the
    # process that it runs in.
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "add", "--quiet", str(folder)],
        cwd=root,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[:500]
        relative = folder.relative_to(root).as_posix()
        remedy = f"The files are in place; mend this and run `dvc add {relative}`."
        raise InputError(Problem(str(folder), f"DVC refused it: {said}", remedy=remedy))
    return folder.with_name(f"{folder.name}.dvc")


def use_source(name: str, *, params: str | Path = Path("params.yaml")) -> None:
    """Set `data.source` in a parameter file; every other character of it stays.

    Raises
    ------
    InputError
        The file is missing or has no line `source:` in a section `data:`.
    """
    params = Path(params)
    try:
        with params.open(encoding="utf-8", newline="") as file:
            text = file.read()
        before = yaml.safe_load(text)
    except FileNotFoundError:
        remedy = "Run from the project's root."
        raise InputError(Problem(str(params), "no such file", remedy=remedy)) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(
            Problem(str(params), f"not YAML: {' '.join(str(error).split())}")
        ) from None
    edited = _edit(text, name)
    if edited is None or yaml.safe_load(edited) != _with_source(before, name):
        expected = "a section `data:` with a line `source: NAME`"
        remedy = f"Set data.source to {name} by hand."
        raise InputError(Problem(str(params), "no line to change", expected, remedy))
    with replacing(params) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(edited)
    logger.info("%s: data.source is now %s", params, name)


def _edit(text: str, name: str) -> str | None:
    # A name such as `1` or `null` would be read as something else than text.
    value = name if yaml.safe_load(name) == name else f'"{name}"'
    lines = text.splitlines(keepends=True)
    inside = False
    for index, line in enumerate(lines):
        content = line.rstrip("\r\n")
        if re.match(r"[^\s#]", content):
            inside = re.match(r"data:\s*(#.*)?$", content) is not None
        elif inside and (match := _VALUE.match(content)):
            ending = line[len(content) :]
            lines[index] = f"{match['key']}{value}{match['rest']}{ending}"
            return "".join(lines)
    return None


def _with_source(params: Any, name: str) -> Any:
    if not isinstance(params, dict) or not isinstance(params.get("data"), dict):
        return None
    return {**params, "data": {**params["data"], "source": name}}
