"""The command line starts fast, knows its commands, and ends with a status and no stack trace."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import sgseg.commands
from sgseg import __version__, cli


def sgseg_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from sgseg.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_module_of_commands_is_a_command() -> None:
    modules = [module.name for module in pkgutil.iter_modules(sgseg.commands.__path__)]
    assert sorted(cli.COMMANDS) == sorted(modules)


@pytest.mark.parametrize("name", ["import", "predict", "summary", "track", "tune"])
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.parser().parse_args([name, "--help"])
    assert stop.value.code == 0
    assert f"usage: sgseg {name}" in capsys.readouterr().out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom sgseg.cli import parser\nparser().format_help()\n"
        "light = set(sys.stdlib_module_names) | {'sgseg'}\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - light))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # What the environment itself loads at start-up (editable installs, `site`) is not ours.
    bare = subprocess.run(
        [
            sys.executable,
            "-c",
            code.replace("from sgseg.cli import parser\nparser().format_help()", ""),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == bare.stdout


@pytest.mark.parametrize("arguments", [[], ["segment"], ["predict"], ["predict", "a.tif"]])
def test_a_wrong_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.parser().parse_args(arguments)
    assert stop.value.code == 2
    assert "usage: sgseg" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.parser().parse_args(["--version"])
    assert capsys.readouterr().out == f"sgseg {__version__}\n"


def test_bad_input_is_a_message_and_status_2(tmp_path: Path) -> None:
    done = sgseg_command("predict", "gone.tif", "--model", str(tmp_path), "--out", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}: no model here")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
