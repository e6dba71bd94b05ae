"""Shell as the pages use it, told apart into commands."""

from __future__ import annotations

import pytest

from .shell import commands


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("make run     # all of it\nmake test", [("make", "run"), ("make", "test")]),
        ("sgseg predict a b \\\n  --out c", [("sgseg", "predict", "a", "b", "--out", "c")]),
        ("git add a && git commit -m 'a b'", [("git", "add", "a"), ("git", "commit", "-m", "a b")]),
        ("A='x y' B=1 mlflow ui", [("mlflow", "ui")]),
        ("base64 < a.tif | tr -d '\\n' > b", [("base64",), ("tr", "-d", "\\n")]),
        ("printf '%s' \"$(cat a; b)\"", [("printf", "%s", "$(cat a; b)")]),
        ("python -c 'a = [\n  1]'", [("python", "-c", "a = [\n  1]")]),
        ("export A=b", [("export", "A=b")]),
        ('echo "a \\"b\\" # c"', [("echo", 'a "b" # c')]),
        ("# nothing\n\n", []),
    ],
)
def test_words(text: str, expected: list[tuple[str, ...]]) -> None:
    assert [command.words for command in commands(text)] == expected


def test_a_command_knows_how_it_was_written() -> None:
    text = "cd x\nA='1' mlflow ui -p 5000 > log  # look\nls\n"
    assert [text[c.start : c.end] for c in commands(text)] == [
        "cd x",
        "A='1' mlflow ui -p 5000 > log",
        "ls",
    ]


def test_a_quotation_that_is_never_closed_is_refused() -> None:
    with pytest.raises(ValueError, match="never closed"):
        commands("sgseg summary 'all")
