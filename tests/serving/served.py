"""A small model as MLflow saves it, and a server of it in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import psutil
import requests
from examples import write_pointwise_network

from serving.unet import write_unet
from sgseg.inference.bundle import BundleSpec, write_spec
from sgseg.training.merge import merge_onnx

WAIT_S = 60.0


def write_bundle(folder: Path, *middles: float) -> Path:
    """On `background`-normalised images, where cytoplasm is 1, what exceeds `middle` is granule."""
    folder.mkdir(parents=True)
    single = [folder.parent / f"member_{number}.onnx" for number in range(len(middles))]
    for path, middle in zip(single, middles, strict=True):
        write_pointwise_network(path, middle=middle)
    return _merged(folder, single)


def _merged(folder: Path, single: Sequence[Path]) -> Path:
    names = [f"fold_{number}" for number in range(len(single))]
    merge_onnx(single, names, folder / "model.onnx")
    settings = {"normalise": "background", "target_pixel_size_um": None, "resize": None}
    write_spec(folder, BundleSpec(names, settings, threshold=0.5, min_area_px=4, margin_px=16))
    return folder


def make_model(folder: Path, *middles: float) -> Path:
    """A bundle of networks that call bright what is bright, and the MLflow model made of it."""
    return _saved(write_bundle(folder / "bundle", *middles), folder)


def make_large_model(folder: Path) -> Path:
    """An MLflow model of the size that training makes: four U-Nets, with random weights."""
    (folder / "bundle").mkdir()
    single = [folder / f"member_{number}.onnx" for number in range(4)]
    for seed, path in enumerate(single):
        write_unet(path, width=16, depth=3, seed=seed)
    return _saved(_merged(folder / "bundle", single), folder)


def _saved(bundle: Path, folder: Path) -> Path:
    from sgseg.serving.package import save_model  # noqa: PLC0415 - MLflow takes seconds

    save_model(bundle, folder / "model")
    return folder / "model"


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Served:
    """`mlflow models serve` of a model, as a user starts it."""

    def __init__(
        self,
        model: Path,
        log: Path,
        *,
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        self.model = model
        self._log = log
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        folder = str(Path(python).parent)
        self._command = [python, "-m", "mlflow", "models", "serve", "-m", str(model)]
        self._command += ["--env-manager", "local", "-p", str(self.port), *options]
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "PATH": os.pathsep.join([folder, os.environ["PATH"]]),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.ready_s = 0.0

    def __enter__(self) -> Served:
        self.start()
        self.ready_s = self.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def log(self) -> str:
        """What the server has written so far."""
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Start the process, without waiting for it to listen."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self._log.parent,
                start_new_session=True,
            )

    def wait(self) -> float:
        """Wait until it answers; how long that took, in seconds."""
        assert self._process is not None
        begin = time.monotonic()
        while time.monotonic() - begin < WAIT_S:
            assert self._process.poll() is None, self.log
            try:
                if requests.get(f"{self.url}/ping", timeout=5).ok:
                    return time.monotonic() - begin
            except requests.RequestException:
                time.sleep(0.05)
        raise TimeoutError(self.log)

    def kill(self) -> None:
        """Kill it at once (-9), with the process that it has started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def processes(self) -> list[psutil.Process]:
        """The process that was started, the one that listens, and those that this has started."""
        assert self._process is not None
        started = psutil.Process(self._process.pid)
        return [started, *started.children(recursive=True)]

    def resident_bytes(self) -> int:
        """Memory of all its processes."""
        return sum(process.memory_info().rss for process in self.processes())

    def peak_bytes(self) -> int:
        """The most memory that each of its processes has had, added; 0 where nobody counts it."""
        peaks = 0
        for process in self.processes():
            status = Path(f"/proc/{process.pid}/status")
            lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
            peaks += sum(1024 * int(line.split()[1]) for line in lines if line[:6] == "VmHWM:")
        return peaks

    def cpu_seconds(self) -> float:
        """Computing time of all its processes so far: unlike a clock it counts nobody else's."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes())
