"""Whether the worker of a running trial still lives."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from optuna.trial import FrozenTrial

from sgseg.tracking.process import is_gone

# Attributes of a trial.
PROCESS, HEARTBEAT = "process", "heartbeat"

HEARTBEAT_SECONDS = 60.0
SILENCE_SECONDS = 300.0
"""A worker on another machine that wrote nothing for so long is taken for dead."""
NAMELESS_SECONDS = 60.0
"""A worker writes its name into a trial milliseconds after it has taken it."""


class Watch:
    """Watches running trials.

    How long a worker has been silent is measured here, by this process's own clock: those of two
    machines may differ. A worker wrongly taken for dead loses its work, and nothing is wrong.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[int, tuple[object, float]] = {}

    def is_abandoned(self, trial: FrozenTrial) -> bool:
        """Whether nobody works on a running trial any more."""
        process = str(trial.user_attrs.get(PROCESS, ""))
        if not process:
            return self._unchanged_seconds(trial) > NAMELESS_SECONDS
        if process.startswith(f"{socket.gethostname()}/"):
            return is_gone(process)
        return self._unchanged_seconds(trial) > SILENCE_SECONDS

    def _unchanged_seconds(self, trial: FrozenTrial) -> float:
        mark = (trial.user_attrs.get(PROCESS), trial.user_attrs.get(HEARTBEAT))
        known, since = self._seen.get(trial.number, (None, 0.0))
        if known != mark:
            since = self._clock()
            self._seen[trial.number] = (mark, since)
        return self._clock() - since
