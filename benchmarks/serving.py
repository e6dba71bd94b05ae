"""What serving costs beyond the network, and what a server gets through, in one paired run.

    python benchmarks/serving.py [--sides 512 1024] [--members 1 5] [--json FILE]

The same image by a bare call of ONNX Runtime, by `sgseg.inference` and by a served model over HTTP
(as base64 JSON and as Parquet), and many of them from several clients at once, all in turns. Prints
times, ratios and peak memory as Markdown tables. Run it on a machine that does nothing else: the
ratios are of wall times.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil
from _paired import Time, Worker, described, machine, publish, ratio, spread, take_turns
from inference import rounds_of

HERE = Path(__file__).parent
WORKER = str(HERE / "_serving_worker.py")
BARE = "bare ONNX call"
WAIT_S = 120
TIMEOUT_S = 3600


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all; all that was found, as it is written to --json."""
    before = machine(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        settings = {**vars(options), "folder": folder}
        subprocess.run([sys.executable, WORKER, "build", json.dumps(settings)], check=True)
        cases = [
            _case(settings | {"side": side, "n": n})
            for n in options.members
            for side in options.sides
        ]
    return {"machine": before, "settings": vars(options), "cases": cases}


def _case(settings: Mapping[str, Any]) -> dict[str, Any]:
    """One size of the image and one number of members."""
    folder, side = Path(settings["folder"]), settings["side"]
    own = {**settings, "bundle": str(folder / f"bundle_{settings['n']}")}
    work = settings["n"] * max(1, side / 512) ** 2
    requests = max(*settings["clients"], int(settings["requests"] / work))
    with ExitStack() as stack:
        url, server = stack.enter_context(_served(own))
        contestants: dict[str, Callable[[], Time]] = {}
        processes: dict[str, psutil.Process] = {}
        for kind in ("onnx", "inference", "http", "clients"):
            arguments = json.dumps({**own, "url": url, "requests": requests})
            worker = Worker([sys.executable, WORKER, kind, arguments], settings["threads"])
            stack.callback(worker.close)
            for name in worker.info["contestants"]:
                contestants[name] = partial(worker.measure, name, 1)
                alone = kind in {"onnx", "inference"}
                processes[name] = psutil.Process(worker.process.pid) if alone else server
        rounds = rounds_of(settings)
        times = take_turns(contestants, rounds)
        peaks = {name: _peak_mb(process) for name, process in processes.items()}
    wall = {name: [one.wall_ms for one in turns] for name, turns in times.items()}
    clients = {n: wall.pop(clients_title(n)) for n in settings["clients"]}
    return {
        "side": side,
        "members": settings["n"],
        "rounds": rounds,
        "wall_ms": wall,
        "peak_mb": peaks,
        "over_bare": {name: ratio(wall[BARE], values) for name, values in wall.items()},
        "requests": requests,
        "clients_ms": clients,
        "of_bare": {n: ratio(values, wall[BARE]) * requests for n, values in clients.items()},
        "busy_mb": peaks[clients_title(max(clients))],
    }


@contextmanager
def _served(settings: Mapping[str, Any]) -> Iterator[tuple[str, psutil.Process]]:
    """Address and process of `mlflow models serve` of a bundle."""
    from sgseg.serving.package import save_model  # noqa: PLC0415 - MLflow takes seconds

    model = Path(settings["folder"], f"model_{settings['n']}_{settings['side']}")
    save_model(Path(settings["bundle"]), model)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model)]
    command += ["--env-manager", "local", "-p", str(port), "--timeout", str(TIMEOUT_S)]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "SERVING_MODEL_CONFIG": json.dumps({"threads": settings["threads"]}),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (model.parent / f"{model.name}.log").open("wb") as log:
        started = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        _wait(url, started, Path(log.name))
        yield url, psutil.Process(started.pid).children()[0]
    finally:
        for child in psutil.Process(started.pid).children(recursive=True):
            child.kill()
        started.kill()
        started.wait()


def _wait(url: str, started: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end and started.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/ping"):
                return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"error: the server does not start:\n{log.read_text(errors='replace')}")


def _peak_mb(process: psutil.Process) -> float | None:
    """Largest resident memory so far; None where the system does not say."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), None)


def clients_title(n: int) -> str:
    """The contestant of so many clients."""
    return f"HTTP, clients: {n}"


# --- report


def p95(values: Sequence[float]) -> float:
    """95th percentile; of few values nearly the largest."""
    return quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]


def table(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines of two Markdown tables: what one image takes, and many at once."""
    yield "| image | members | by | ms | half of them | 95 % | Mpx/s | over bare | peak memory |"
    yield "|---|---:|---|---:|---|---:|---:|---:|---:|"
    for case in found["cases"]:
        for name, values in case["wall_ms"].items():
            speed = case["side"] ** 2 / 1e6 / (median(values) / 1000)
            peak = case["peak_mb"][name]
            yield (
                f"| {case['side']} x {case['side']} | {case['members']} | {name} "
                f"| {median(values):,.0f} | {spread(values)} | {p95(values):,.0f} | {speed:.2f} "
                f"| {case['over_bare'][name]:.2f} | {'' if peak is None else f'{peak:,.0f} MB'} |"
            )
    yield ""
    yield "| image | members | clients | requests/s | half of them | Mpx/s | of the bare call's |"
    yield "|---|---:|---:|---:|---|---:|---:|"
    for case in found["cases"]:
        for n, values in case["clients_ms"].items():
            rates = [case["requests"] / (value / 1000) for value in values]
            yield (
                f"| {case['side']} x {case['side']} | {case['members']} | {n} "
                f"| {median(rates):.2f} | {spread(rates, 2)} "
                f"| {median(rates) * case['side'] ** 2 / 1e6:.2f} | {case['of_bare'][n]:.0%} |"
            )


def said(found: Mapping[str, Any]) -> Iterator[str]:
    """What the table was measured on."""
    settings, cases = found["settings"], found["cases"]
    rounds = sorted({case["rounds"] for case in cases}, reverse=True)
    requests = sorted({case["requests"] for case in cases}, reverse=True)
    yield (
        f"{described(found['machine'], 'mlflow', 'onnxruntime', 'numpy')} U-Net of width "
        f"{settings['width']} and depth {settings['depth']}, batch norm, random weights, one "
        f"orientation; medians of {', '.join(map(str, rounds))} rounds, the fewer the larger the "
        "work. Memory over HTTP is that of the server; the time over bare is the median of the "
        f"rounds' ratios. Of several clients at once: {' or '.join(map(str, requests))} requests a "
        "round, shared among them, as Parquet."
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--sides", type=int, nargs="+", default=[512, 1024], help="of the image, px")
    add("--members", type=int, nargs="+", default=[1, 5])
    add("--rounds", type=int, default=8, help="of the least work; fewer where one takes long")
    add("--clients", type=int, nargs="+", default=[1, 2, 4], help="at once")
    add("--requests", type=int, default=8, help="of all clients, in a round of the least work")
    add("--threads", type=int, default=os.cpu_count() or 1)
    add("--width", type=int, default=16)
    add("--depth", type=int, default=3)
    add("--json", type=Path, metavar="FILE", help="write all times here")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    file, options.json = options.json, None
    found = compare(options)
    publish(found, file, said=said, table=table)


if __name__ == "__main__":
    main()
