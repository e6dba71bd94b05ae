"""Runs the blocks of a page one after another, as a reader would who types them."""

from __future__ import annotations

import itertools
import os
import shlex
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from servers.process import free_port

from .markdown import Block
from .plan import Plan, Rule
from .scratch import Scratch
from .shell import Command, commands

LONGEST_S = 900
STARTS_IN_S = 300
SERVERS = {
    ("mlflow", "ui"): (5000, "/health"),
    ("mlflow", "server"): (5000, "/health"),
    ("mlflow", "models", "serve"): (5000, "/ping"),
    ("make", "serve"): (5001, "/ping"),
    ("optuna-dashboard",): (8080, "/dashboard"),
}
"""Commands that do not end: the port where nothing else is said, and where to ask."""
BACKGROUND = """
timeout {longest} bash -c {command} > {log} 2>&1 &
echo $! {port} >> {running}
for _ in $(seq {tries}); do
  kill -0 $! 2>/dev/null || break
  curl -sf -o /dev/null {url} && break
  sleep 0.5
done
curl -sf -o /dev/null {url} || {{ echo "no answer from {url}"; cat {log}; exit 97; }}
"""


class Reader:
    """Whoever follows one page: the shell, and the servers that run beside it.

    Parameters
    ----------
    scratch
        The home, laid anew.
    plan
        What the page needs.
    folder
        For scripts and logs; outside of the home.
    """

    def __init__(self, scratch: Scratch, plan: Plan, folder: Path) -> None:
        self._scratch, self._plan, self._folder = scratch, plan, folder
        self._running = folder / "running"
        self._ports: dict[int, int] = {}
        scratch.lay()
        if plan.before:
            self.run(plan.before)

    def follow(self, block: Block) -> None:
        """Do what a block says; fails where it ends as the page does not say."""
        rule = self._plan.rule(block)
        if rule.before:
            self.run(rule.before)
        if block.language == "python":
            self.run("python - <<'PAGE'\n" + replaced(block.text, rule) + "PAGE\n")
        else:
            self.run(block.text, rule)
        if rule.after:
            self.run(rule.after)

    def run(self, text: str, rule: Rule | None = None) -> None:
        """Run shell commands in the project."""
        script = self._script(text, rule or Rule(""))
        out = self._folder / "said.txt"
        with out.open("w") as said:
            process = subprocess.Popen(
                ["bash", "-eo", "pipefail", "-c", script],
                cwd=self._scratch.project, env=self._scratch.environment, text=True,
                stdin=subprocess.PIPE, stdout=said, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
            try:
                process.communicate(rule.typed if rule else "", timeout=LONGEST_S)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        told = out.read_text(errors="replace")
        expected = rule.statuses if rule else (0,)
        assert process.returncode in expected, f"status {process.returncode}\n{script}\n{told}"
        assert "Traceback" not in told, told

    def close(self) -> None:
        """End the servers."""
        self._end_servers()

    def _script(self, text: str, rule: Rule) -> str:
        """The text with servers in the background, and without what is left out."""
        parts, done = [], 0
        for command in commands(text):
            known = next((s for s in SERVERS if command.words[: len(s)] == s), None)
            parts.append(text[done : command.start])
            done = command.start
            if known is not None:
                parts.append(self._background(command, text, known, rule))
                done = command.end
            elif any(text.startswith(left, command.start) for left in rule.leave_out):
                parts.append("true")
                done = command.end
        return self._on_free_ports(replaced("".join(parts) + text[done:], rule))

    def _background(self, command: Command, text: str, known: tuple[str, ...], rule: Rule) -> str:
        port, path = SERVERS[known]
        for flag, value in itertools.pairwise(command.words):
            port = int(value) if flag in {"-p", "--port"} else port
        if port not in self._ports and _taken(port):
            self._ports[port] = free_port()
        self._end_servers(self._ports.get(port, port))
        written = text[command.start : command.end]
        if port in self._ports and str(port) not in written:
            written = f"PORT={port} MLFLOW_PORT={port} {written}"
        return BACKGROUND.format(
            longest=LONGEST_S,
            command=shlex.quote(replaced(written, rule)),
            log=self._folder / f"server_{time.monotonic_ns()}.txt",
            port=port,
            running=self._running,
            tries=2 * STARTS_IN_S,
            url=f"http://127.0.0.1:{port}{path}",
        )

    def _on_free_ports(self, script: str) -> str:
        for taken, free in self._ports.items():
            script = script.replace(str(taken), str(free))
        return script

    def _end_servers(self, port: int | None = None) -> None:
        """End those that this reader started, or the one at a port."""
        if not self._running.exists():
            return
        kept = []
        for line in self._running.read_text().splitlines():
            number, at = map(int, line.split())
            if port not in {None, at}:
                kept.append(line)
                continue
            for sent in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError):  # `timeout` leads a group of its own
                    os.killpg(number, sent)
                for _ in range(50):
                    if not _taken(at):
                        break
                    time.sleep(0.1)
        self._running.write_text("".join(f"{line}\n" for line in kept))


def replaced(text: str, rule: Rule) -> str:
    """A text with what the rule puts in the place of something else."""
    for old, new in rule.replace.items():
        text = text.replace(old, new)
    return text


def _taken(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
