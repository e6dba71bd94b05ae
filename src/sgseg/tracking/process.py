"""The process that trains: whether it still lives, and what it takes of the machine."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from sgseg.tracking.files import SYSTEM_FILE, TIMESTAMP, read_table, write_table
from sgseg.tracking.store import prepare_mlflow

logger = logging.getLogger(__name__)

SAMPLE_SECONDS = 10.0


def running_process() -> str:
    """This process as host/pid/start; the start tells it from a later one with the same number."""
    return name_of(psutil.Process())


def is_gone(process: str) -> bool:
    """Whether a process named by `running_process` has certainly ended.

    False for one of another host, and for an empty name: nothing is known of them.
    """
    host, _, rest = process.partition("/")
    if host != socket.gethostname():
        return False
    try:
        return name_of(psutil.Process(int(rest.partition("/")[0]))) != process
    except (psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError, ValueError):
        return True


def name_of(process: psutil.Process) -> str:
    """What `running_process` says in that process."""
    return f"{socket.gethostname()}/{process.pid}/{_start(process)}"


def _start(process: psutil.Process) -> str:
    """When it was started, the same however often the clock is set meanwhile.

    Linux counts from when the machine was started. As a time of day, which is what psutil makes
    of it, it moves with the clock, and whoever lives would be taken for dead.
    """
    stat = Path(f"/proc/{process.pid}/stat")
    if not Path("/proc/self/stat").exists():
        return f"{process.create_time():.0f}"
    # The second field is the name of the program, which may hold spaces and brackets.
    return stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]


class SystemSampler:
    """Samples the machine in a thread, into system_metrics.csv and to whoever listens.

    The names are MLflow's, so that its page of system metrics shows them:
    `system/cpu_utilization_percentage` and so on, with those of the GPU where there is one.
    """

    def __init__(
        self,
        folder: Path,
        listen: Callable[[dict[str, float]], None],
        seconds: float | None = None,
        earlier: list[dict[str, float]] | None = None,
    ) -> None:
        self.path = folder / SYSTEM_FILE
        self.listen = listen
        self.seconds = seconds or _seconds()
        self.rows = read_table(self.path, key="step") if self.path.is_file() else earlier or []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="system metrics", daemon=True)

    def start(self) -> None:
        """Sample every `seconds` until `stop`."""
        if os.environ.get("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true").lower() not in {
            "false",
            "0",
        }:
            self._thread.start()

    def stop(self) -> None:
        """Take a last sample and end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            monitors = _monitors()
            last = False
            while not last:
                for monitor in monitors:
                    monitor.collect_metrics()
                last = self._stop.wait(self.seconds)
                self._sample(monitors)
        except Exception as error:  # noqa: BLE001 - a training must not die of its own supervision
            logger.warning("system metrics are no longer sampled: %r", error)

    def _sample(self, monitors: list[Any]) -> None:
        step = int(self.rows[-1]["step"]) + 1 if self.rows else 0
        row: dict[str, float] = {"step": step, TIMESTAMP: time.time_ns() // 1_000_000}
        for monitor in monitors:
            monitor.collect_metrics()
            row |= {
                f"system/{key}": float(value) for key, value in monitor.aggregate_metrics().items()
            }
            monitor.clear_metrics()
        self.rows.append(row)
        write_table(self.path, self.rows)
        self.listen(row)


def _seconds() -> float:
    try:
        return float(os.environ.get("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL") or SAMPLE_SECONDS)
    except ValueError:
        return SAMPLE_SECONDS


def _monitors() -> list[Any]:
    prepare_mlflow()
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor  # noqa: PLC0415
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor  # noqa: PLC0415
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor  # noqa: PLC0415
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor  # noqa: PLC0415

    monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    try:
        monitors.append(GPUMonitor())
    except Exception as error:  # noqa: BLE001 - each driver fails in its own way where there is no GPU
        logger.debug("no GPU is sampled: %r", error)
    return monitors
