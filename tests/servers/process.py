"""Servers as processes of their own: ready when started, and ended whatever happens."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

PAUSE_S = 0.1
LOG_LINES = 40
# Learns of the end of the tests from the end of its standard input, even when they are killed.
GUARD = 'read -r _; kill -s KILL -- "-$1"'


class Server:
    """A process, with all that it starts in turn, which a test may kill and start again.

    Parameters
    ----------
    name
        For messages.
    command
        The same for every start, so that clients find it again at the same address.
    log
        File that its output is added to.
    ready
        Whether it answers; asked until it does.
    environment
        What is set beside the environment of the tests.
    user
        Name of the user that it runs as; None: who runs the tests.
    cwd
        Where it runs; None: in the folder of its log.
    stop_signal
        What it takes as a request to end.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name, self.log = name, log
        self._command, self._ready = list(command), ready
        self._user, self._cwd = user, cwd or log.parent
        self._environment = {**os.environ, **(environment or {})}
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self, *, deadline_s: float = 90.0) -> None:
        """Start it, and return once it is ready; whatever else happens fails with its log."""
        assert self._process is None, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self._cwd,
                user=self._user,
                start_new_session=True,  # a group of its own: what it starts is ended with it
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "sh", str(self._process.pid)], stdin=subprocess.PIPE
        )
        end = time.monotonic() + deadline_s
        try:
            while not self._ready():
                code = self._process.poll()
                assert code is None, f"{self.name} ended with {code}:\n{self.last_lines()}"
                assert time.monotonic() < end, (
                    f"{self.name} is not ready after {deadline_s:.0f} s:\n{self.last_lines()}"
                )
                time.sleep(PAUSE_S)
        except BaseException:
            self.kill()
            raise

    def stop(self, *, deadline_s: float = 20.0) -> None:
        """Ask it to end, and insist after a while; nothing happens where it does not run."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self._stop_signal)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(deadline_s)
        self.kill()

    def kill(self) -> None:
        """End it and all that it started at once, as when the power fails."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None

    def last_lines(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_LINES:])


def free_port() -> int:
    """A port of this machine that nobody listens at now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def answers(url: str) -> bool:
    """Whether there is an HTTP server that says 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False
