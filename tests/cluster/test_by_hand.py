"""A scheduler and two workers started by hand, as on a cluster, and the commands that use them.

They speak TLS, with certificates as files, as docs/cluster.md says.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dask
import pytest
import tifffile
from distributed.security import Security
from examples import draw_field
from quantify.runs import content

from sgseg.cli import parser
from sgseg.errors import InputError

WAIT_SECONDS = 60
ENOUGH_TO_END_SECONDS = 20


def until(happened: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not happened():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


@pytest.fixture
def certificates(tmp_path: Path) -> dict[str, str]:
    """Paths: of the authority, of a certificate by it and of its key."""
    made = Security.temporary()
    content = {
        "ca-file": made.tls_ca_file,
        "cert": made.tls_worker_cert,
        "key": made.tls_worker_key,
    }
    for name, text in content.items():
        (tmp_path / f"{name}.pem").write_text(text)
    return {name: str(tmp_path / f"{name}.pem") for name in content}


@pytest.fixture
def scheduler(tmp_path: Path, certificates: dict[str, str]) -> Iterator[str]:
    """Its address. The workers run in folders of their own."""
    processes = []
    tls = [part for name, path in certificates.items() for part in (f"--tls-{name}", path)]

    # Dask leaves the settings of another test's workers in the environment, silence among them.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DASK_")}

    def start(tool: str, *options: str) -> Path:
        folder = tmp_path / f"{tool} {len(processes)}"
        folder.mkdir()
        log = folder / "log.txt"
        with log.open("w") as file:
            module = f"distributed.cli.dask_{tool}"
            command = [sys.executable, "-m", module, *options, *tls, "--no-dashboard"]
            processes.append(
                subprocess.Popen(command, cwd=folder, stdout=file, stderr=file, env=clean)
            )
        return log

    log = start("scheduler", "--host", "tls://127.0.0.1", "--port", "0")
    pattern = re.compile(r"Scheduler at:\s+(tls://127\.0\.0\.1:\d+)")
    until(lambda: pattern.search(log.read_text()))
    found = pattern.search(log.read_text())
    assert found is not None
    try:
        workers = [start("worker", found[1], "--nthreads", "1", "--no-nanny") for _ in range(2)]
        for worker in workers:
            until(lambda worker=worker: "Registered to" in worker.read_text())
        yield found[1]
    finally:
        # The scheduler last: a worker takes leave of it, and may wait for one that has gone.
        for process in reversed(processes):
            process.terminate()
            try:
                process.wait(ENOUGH_TO_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def run(command: str, *arguments: object) -> int:
    parsed = parser().parse_args([command, *map(str, arguments)])
    return int(parsed.run(parsed))


def test_predict_and_quantify(
    scheduler: str,
    certificates: dict[str, str],
    make_bundle: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    for number in range(4):
        granules = [(10, 10 + 8 * k) for k in range(number)]
        tifffile.imwrite(f"images/{number}.tif", draw_field(granules, seed=number)[0])
    make_bundle(1.8, 2.2)
    given = ("images", "--model", "bundle")
    there = ("--scheduler", scheduler)
    counted = ("--unit", "image", "--no-overlay")
    assert run("predict", *given, "--out", "a") == 0
    assert run("quantify", *given, "--out", "c", *counted) == 0
    with pytest.raises(InputError, match="no certificate to show there"):
        run("predict", *given, "--out", "b", *there)
    settings = {
        "distributed.comm.tls.ca-file": certificates["ca-file"],
        "distributed.comm.tls.client.cert": certificates["cert"],
        "distributed.comm.tls.client.key": certificates["key"],
    }
    with dask.config.set(settings):
        assert run("predict", *given, "--out", "b", *there) == 0
        assert run("quantify", *given, "--out", "d", *counted, *there) == 0
    assert content(Path("b")) == content(Path("a"))
    assert content(Path("d")) == content(Path("c"))
