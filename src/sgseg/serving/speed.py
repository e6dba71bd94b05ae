"""How long the network will take, from how long it took."""

from __future__ import annotations

from collections import deque

LAST = 5


class Speed:
    """Seconds per pixel: the smallest of the last few runs, as any of them may have been disturbed.

    What is refused because of it is never measured. So each refusal halves it, and an estimate that
    is wrong, or was right only for a while, is tried again before long.
    """

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=LAST)
        self._share = 1.0

    def measured(self, seconds: float, pixels: int) -> None:
        """A run took so long."""
        self._last.append(seconds / pixels)
        self._share = 1.0

    def refused(self) -> None:
        """An image was turned away because of the estimate alone."""
        self._share /= 2

    def seconds(self, pixels: int) -> float:
        """Of a run on so many pixels; 0 where nothing is known."""
        return self._share * min(self._last, default=0.0) * pixels
