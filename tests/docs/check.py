"""Whether a command of the pages exists as it is written, told without running it."""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import itertools
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from packaging.requirements import InvalidRequirement, Requirement

from .markdown import ROOT

Words = Sequence[str]
PLAIN = {
    *("aws", "base64", "cat", "cd", "chmod", "chown", "cp", "createdb", "createuser", "curl"),
    *("dropdb", "export", "gh", "ls", "mkdir", "mv", "nginx", "openssl", "pg_dump", "pg_restore"),
    *("printf", "ps", "rm", "set", "sort", "systemctl", "tail", "tr", "true", "useradd", "apt-get"),
    "uv",
    *("optuna-dashboard", "mypy", "pytest", "ruff", "."),
}
"""Programs and words of the shell whose options are left to the test that runs the pages."""
TRACKED = ("benchmarks", "docs", "experiments", "pipelines", "splits", "src", "tests", ".github")
GENERATED = ("experiments/folds",)
PLACEHOLDER = re.compile(r"[<*{$…]|\.\.\.|\b[A-Z]{2,}\b")


def complaint(words: Words, *, whole: bool = True) -> str | None:
    """What is wrong with a command; None if nothing is.

    Parameters
    ----------
    words
        The program and its arguments.
    whole
        Everything that it needs is there. Otherwise only the names in it are looked up, as for a
        command in the middle of a sentence.
    """
    if words[0] == "sudo":
        words = words[3:] if words[1] == "-u" else words[1:]
    program = Path(words[0]).name
    if program in CHECKS:
        said = CHECKS[program](words[1:], whole)
    else:
        said = None if words[0] in PLAIN else f"nobody knows how to check `{words[0]}`"
    return said or next(filter(None, map(missing_path, words[1:])), None)


def is_command(words: Words) -> bool:
    """Whether a text begins like a command that is checked."""
    return bool(words) and words[0] in CHECKS and len(words) > 1


def missing_path(word: str) -> str | None:
    """What is wrong with a word that reads like a path of the project."""
    path = word.partition(":")[0]
    if path.partition("/")[0] not in TRACKED or "/" not in path or PLACEHOLDER.search(path):
        return None
    if path.startswith(GENERATED) or (ROOT / path).exists():
        return None
    return f"the project has no {path}"


def unknown_option(text: str) -> str | None:
    """What is wrong with inline code that begins with an option, of whatever program."""
    name = text.split(maxsplit=1)[0].partition("=")[0]
    if not re.fullmatch("--[a-z][a-z0-9-]+", name) or name in known_options():
        return None
    return f"no program here has an option {name}"


@functools.cache
def known_options() -> frozenset[str]:
    """Every option of sgseg, DVC, MLflow, Dask, the benchmarks and the long tests."""
    from dvc.cli.parser import get_main_parser  # noqa: PLC0415

    from sgseg.cli import parser  # noqa: PLC0415

    files = [*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "tests").glob("*/long.py")]
    scripts = [file.read_text(encoding="utf-8") for file in files]
    return frozenset(
        [
            *_options(parser()),
            *_options(get_main_parser()),
            *_click_options(_mlflow_commands()),
            *_click_options(_dask_commands()),
            *re.findall(r'"(--[a-z-]+)"', "".join(scripts)),
        ]
    )


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield from parser._option_string_actions
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _options(below)


def _click_options(command: Any) -> Iterator[str]:
    for option in command.params:
        yield from option.opts
    for below in getattr(command, "commands", {}).values():
        yield from _click_options(below)


def _sgseg(words: Words, whole: bool) -> str | None:
    from sgseg.cli import parser  # noqa: PLC0415

    return _parsed(parser(), words) if whole else _named(parser(), words)


def _dvc(words: Words, whole: bool) -> str | None:
    from dvc.cli.parser import DvcParser, get_main_parser  # noqa: PLC0415

    if whole:
        with mock.patch.object(DvcParser, "error", _refuse):  # it would log, and not say
            said = _parsed(get_main_parser(), words)
    else:
        said = _named(get_main_parser(), words)
    if said or words[0] != "repro":
        return said
    return next(filter(None, map(_no_stage, words[1:])), None)


def _refuse(parser: argparse.ArgumentParser, message: str, *_: object) -> None:
    sys.stderr.write(f"{message}\n")
    raise SystemExit(2)


def _no_stage(target: str) -> str | None:
    file, _, name = target.rpartition(":") if ":" in target else ("dvc.yaml", "", target)
    if target.startswith("-") or PLACEHOLDER.search(target) or target.endswith("dvc.yaml"):
        return None
    stages = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))["stages"]
    return None if name.partition("@")[0] in stages else f"{file} has no stage {name}"


def _parsed(parser: argparse.ArgumentParser, words: Words) -> str | None:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            parser.parse_args(list(words))
    except SystemExit as end:
        return said.getvalue().strip().splitlines()[-1] if end.code else None
    return None


def _named(parser: argparse.ArgumentParser, words: Words) -> str | None:
    """Whether the commands and options named exist; what is missing is no matter."""
    for word in words:
        below = next(
            (a for a in parser._actions if isinstance(a, argparse._SubParsersAction)), None
        )
        if word.startswith("-") and word != "-":
            if word.partition("=")[0] not in parser._option_string_actions:
                return f"{parser.prog} has no option {word}"
        elif below is not None:
            if PLACEHOLDER.search(word):
                return None
            if word not in below.choices:
                return f"{parser.prog} has no command {word}"
            parser = below.choices[word]
    return None


@functools.cache
def _mlflow_commands() -> Any:
    from mlflow.cli import cli  # noqa: PLC0415 - seconds

    return cli


def _dask_commands() -> Any:
    import click  # noqa: PLC0415
    from distributed.cli import dask_scheduler, dask_worker  # noqa: PLC0415

    own = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}
    return click.Group("dask", commands=own)


def _mlflow(words: Words, whole: bool) -> str | None:
    said = _by_click("mlflow", _mlflow_commands(), words, whole)
    return said or (_no_entry_point(words[1:]) if words[0] == "run" else None)


def _dask(words: Words, whole: bool) -> str | None:
    return _by_click("dask", _dask_commands(), words, whole)


def _by_click(program: str, command: Any, words: Words, whole: bool) -> str | None:
    import click  # noqa: PLC0415

    rest = list(words)
    while isinstance(command, click.Group) and rest:
        found = command.get_command(click.Context(command), rest[0])
        if found is None:
            return f"{program} has no command {rest[0]}"
        command, rest = found, rest[1:]
    if whole:
        try:
            command.make_context(words[0], list(rest))
        except click.ClickException as error:
            return error.format_message()
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    for word in rest:
        if word.startswith("-") and word.partition("=")[0] not in known:
            return f"{program} {words[0]} has no option {word}"
    return None


def _no_entry_point(rest: Words) -> str | None:
    entry_points = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
    chosen = dict(itertools.pairwise(rest))
    name = chosen.get("-e", "main")
    if name not in entry_points:
        return f"MLproject has no entry point {name}"
    parameter = chosen.get("-P", "").partition("=")[0]
    if parameter and parameter not in entry_points[name].get("parameters", {}):
        return f"entry point {name} has no parameter {parameter}"
    return None


def _make(words: Words, whole: bool) -> str | None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words:
        name, is_variable, _ = word.partition("=")
        if is_variable and not re.search(rf"\$[({{$]+{re.escape(name)}\b", makefile):
            return f"Makefile has no variable {name}"
        is_target = not (is_variable or word.startswith("-") or PLACEHOLDER.search(word))
        if is_target and not re.search(rf"^{re.escape(name)}:", makefile, re.M):
            return f"Makefile has no target {name}"
    return None


def _python(words: Words, whole: bool) -> str | None:
    if words[0] == "-c":
        return uncompilable(words[1])
    if words[0] == "-m":
        return _pip(words[2:], whole) if words[1] == "pip" else None
    if not (ROOT / words[0]).is_file():
        return f"the project has no {words[0]}"
    options = [word.partition("=")[0] for word in words[1:] if word.startswith("--")]
    known = help_of(words[0]) if options else ""
    return next(
        (f"{words[0]} has no {name}" for name in options if name not in known.split()), None
    )


def uncompilable(code: str) -> str | None:
    """Why a text is no Python; None if it is."""
    try:
        compile(code, "page", "exec")
    except SyntaxError as error:
        return str(error)
    return None


@functools.cache
def help_of(script: str) -> str:
    """What a script of the project says of its options, without brackets."""
    done = subprocess.run(
        [sys.executable, script, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return re.sub(r"[\[\]]", " ", done.stdout)


def _pip(words: Words, whole: bool) -> str | None:
    for word in words[1:]:
        if word.startswith("-"):
            continue
        named, _, extra = word.removesuffix("]").partition("[")
        if PLACEHOLDER.search(word):
            continue
        try:
            name = "sgseg" if named == "." else Requirement(word).name
        except InvalidRequirement as error:
            return str(error).splitlines()[0]
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        if name == "sgseg" and extra and extra not in project["optional-dependencies"]:
            return f"sgseg has no extra {extra}"
    return None


@functools.cache
def _git_commands() -> frozenset[str]:
    listed = subprocess.run(
        ["git", "--list-cmds=main,nohelpers"], capture_output=True, text=True, check=True
    )
    return frozenset(listed.stdout.split())


def _git(words: Words, whole: bool) -> str | None:
    return None if words[0] in _git_commands() else f"git has no command {words[0]}"


CHECKS: dict[str, Callable[[Words, bool], str | None]] = {
    "dask": _dask,
    "dvc": _dvc,
    "git": _git,
    "make": _make,
    "mlflow": _mlflow,
    "pip": _pip,
    "python": _python,
    "python3": _python,
    "sgseg": _sgseg,
}
