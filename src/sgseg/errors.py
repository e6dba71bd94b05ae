"""What is said to a user whose input cannot be used. Nothing here knows about images or files."""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one input: where, what was found, what was expected, what to do."""

    where: str
    what: str
    expected: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}"
        if self.expected:
            text += f"; expected {self.expected}"
        if self.remedy:
            text += f". {self.remedy}"
        return text


MOST_SHOWN = 100
"""Problems that a message names: whoever has more, such as a table for other images, has one."""


class InputError(Exception):
    """Input that cannot be used. Carries every problem found, so that all are named in one go.

    Its text names the first `MOST_SHOWN`.
    """

    def __init__(self, *problems: Problem, title: str = "") -> None:
        self.problems = problems
        self.title = title
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [f"  - {problem}" for problem in self.problems[:MOST_SHOWN]]
        if len(self.problems) > MOST_SHOWN:
            lines.append(f"  - and {len(self.problems) - MOST_SHOWN:,} more")
        if len(self.problems) == 1 and not self.title:
            return str(self.problems[0])
        return "\n".join([self.title or f"{len(self.problems)} problems:", *lines])


def without_password(address: str) -> str:
    """An address that may be shown: without name and password, and without options.

    A password may hold any character, a `/` and an `@` too, and an option may be one.
    """
    scheme, slashes, rest = address.partition("//")
    return f"{scheme}{slashes}{rest.rpartition('@')[2]}".partition("?")[0]


REMEDIES = {
    errno.ENOSPC: ". Make room and give the same command again; what was finished is kept.",
    errno.EACCES: ". Ask for the right to it, or choose another folder.",
    errno.EROFS: ". Choose a folder that can be written.",
}
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")


def exit_with_message(main: Callable[[], int | None]) -> None:
    """Run a command; turn a user's mistake into a message and exit status 2, without a stack trace.

    A full disk, a missing file or missing permission is the user's to mend as well; anything else
    is a defect of sgseg and keeps its stack trace.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        sys.exit(main() or 0)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        number = errno.ENOSPC if _is_short_write(error) else error.errno
        if number is None:
            raise
        where = "" if error.filename is None else f"{error.filename}: "
        why = error.strerror or os.strerror(number)
        print(f"error: {where}{why}{REMEDIES.get(number, '')}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


def _is_short_write(error: OSError) -> bool:
    """Whether NumPy found a disk full: it says how much was written, and gives no number."""
    said = str(error.args[0]) if error.args else ""
    return error.errno is None and _SHORT_WRITE.fullmatch(said) is not None
