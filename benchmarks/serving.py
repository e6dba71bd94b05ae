"""What serving costs beyond the network, in one paired run.

    python benchmarks/serving.py [--sides 512 1024 2048] [--members 1 5] [--json FILE]

The same image by a bare call of ONNX Runtime, by `sgseg.inference`, by a served model over HTTP (as
base64 JSON and as Parquet) and by Keras, in turns. Prints times, ratios and peak memory as a
Markdown table. Run it on a machine that does nothing else: the ratios are of wall times.
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
from _paired import Time, Worker, machine, publish, ratio, take_turns

HERE = Path(__file__).parent
WORKER = str(HERE / "_serving_worker.py")
BARE, OURS, KERAS = "bare ONNX call", "sgseg.inference", "Keras predict"
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
    # Large images take long, and vary less.
    rounds = max(3, settings["rounds"] // max(1, (side // 1024) ** 2))
    with ExitStack() as stack:
        url, server = stack.enter_context(_served(own))
        contestants: dict[str, Callable[[], Time]] = {}
        processes: dict[str, psutil.Process] = {}
        kinds = ["onnx", "inference", "http", *([] if settings["no_keras"] else ["keras"])]
        for kind in kinds:
            arguments = json.dumps({**own, "url": url})
            worker = Worker([sys.executable, WORKER, kind, arguments], settings["threads"])
            stack.callback(worker.close)
            for name in worker.info["contestants"]:
                contestants[name] = partial(worker.measure, name, 1)
                processes[name] = server if kind == "http" else psutil.Process(worker.process.pid)
        times = take_turns(contestants, rounds)
        peaks = {name: _peak_mb(process) for name, process in processes.items()}
    wall = {name: [one.wall_ms for one in turns] for name, turns in times.items()}
    return {
        "side": side,
        "members": settings["n"],
        "rounds": rounds,
        "wall_ms": wall,
        "peak_mb": peaks,
        "over_bare": {name: ratio(wall[BARE], values) for name, values in wall.items()},
        "keras_over_bare": ratio(wall[BARE], wall[KERAS]) if KERAS in wall else None,
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


# --- report


def p95(values: Sequence[float]) -> float:
    """95th percentile; of few values nearly the largest."""
    return quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]


def table(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines of a Markdown table, a row per case and contestant."""
    yield "| image | members | by | median | 95 % | megapixels/s | time over bare | peak memory |"
    yield "|---|---:|---|---:|---:|---:|---:|---:|"
    for case in found["cases"]:
        for name, values in case["wall_ms"].items():
            speed = case["side"] ** 2 / 1e6 / (median(values) / 1000)
            peak = case["peak_mb"][name]
            yield (
                f"| {case['side']} x {case['side']} | {case['members']} | {name} "
                f"| {median(values):,.0f} ms | {p95(values):,.0f} ms | {speed:.2f} "
                f"| {case['over_bare'][name]:.2f} | {'' if peak is None else f'{peak:,.0f} MB'} |"
            )


def said(found: Mapping[str, Any]) -> Iterator[str]:
    """What the table was measured on."""
    on, settings = found["machine"], found["settings"]
    rounds = sorted({case["rounds"] for case in found["cases"]}, reverse=True)
    yield (
        f"{on['processor']}, {on['cores']} cores, {on['threads']} threads, load {on['load']:.1f} "
        f"before, Python {on['python']}. U-Net of width {settings['width']} and depth "
        f"{settings['depth']}, batch norm, random weights, one orientation; "
        f"{' or '.join(map(str, rounds))} rounds. Memory over HTTP is that of the server; time "
        "over bare is the median of the rounds' ratios."
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--sides", type=int, nargs="+", default=[512, 1024, 2048], help="of the image, px")
    add("--members", type=int, nargs="+", default=[1, 5])
    add("--rounds", type=int, default=20, help="at up to 1024 px; a quarter of them at 2048")
    add("--threads", type=int, default=os.cpu_count() or 1)
    add("--width", type=int, default=16)
    add("--depth", type=int, default=3)
    add("--no-keras", action="store_true")
    add("--json", type=Path, metavar="FILE", help="write all times here")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    file, options.json = options.json, None
    found = compare(options)
    publish(found, file, said=said, table=table)


if __name__ == "__main__":
    main()
