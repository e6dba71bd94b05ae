"""A loaded model that answers requests: one network run at a time, within the time there is."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, fields
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import yaml

from sgseg.errors import InputError, Problem
from sgseg.images.planes import Budget, BudgetError
from sgseg.images.read import Image, read_image
from sgseg.inference.bundle import digest
from sgseg.inference.network import CHANNELS, first_channel
from sgseg.inference.segmenter import Prediction, Segmenter
from sgseg.serving.answer import Answer, answered, refuse_unanswerable, refused
from sgseg.serving.options import Options
from sgseg.serving.request import Asked, Request
from sgseg.serving.speed import Speed
from sgseg.serving.turn import BusyError, Deadline, Turn

log = logging.getLogger(__name__)
# What MLflow puts beside a model that comes from the registry.
REGISTERED = "registered_model_meta"
WARM_UP_PX = 128
SEVERAL = "Send the images of this request in several."
TIME_IS_OVER = f"request: its time was over before this image. {SEVERAL}"


@dataclass(frozen=True)
class Limits:
    """Settings of a server (`model_config` of the MLflow model).

    Parameters
    ----------
    max_megapixels
        Of all images of a request together, every plane, colour and transparency that has to be
        decoded counted.
    threads
        Cores of one network run; 0 for all.
    """

    max_megapixels: float = 100.0
    threads: int = 0

    @classmethod
    def of(cls, settings: dict[str, Any] | None) -> Limits:
        """From a mapping; an `InputError` names all that is unknown or no such number."""
        known = {item.name for item in fields(cls)}
        values: dict[str, Any] = {}
        problems = []
        for name, value in (settings or {}).items():
            number = not isinstance(value, bool) and isinstance(value, int | float)
            finite = number and math.isfinite(value)
            where, got = f"model_config: {name}", f"got {value!r}"
            if name not in known:
                problems.append(Problem(where, "unknown", f"one of {', '.join(sorted(known))}"))
            elif name == "threads":
                if finite and value >= 0 and value == int(value):
                    values[name] = int(value)
                else:
                    problems.append(Problem(where, got, "a whole number, 0 for all cores"))
            elif finite and value > 0:
                values[name] = float(value)
            else:
                problems.append(Problem(where, got, "a number above 0"))
        if problems:
            raise InputError(*problems)
        return cls(**values)


class Service:
    """A segmenter that several threads may ask at once.

    Parameters
    ----------
    segmenter
        The loaded bundle.
    version
        What answers call the model.
    limits
        See `Limits`.
    """

    def __init__(self, segmenter: Segmenter, version: str, limits: Limits | None = None) -> None:
        self.segmenter = segmenter
        self.version = version
        self.limits = limits or Limits()
        # One run uses all cores; two at once would take twice the memory, and no less time.
        self._running = Turn()
        # The next image is read meanwhile.
        self._reading = Turn(2)
        self._speed = Speed()
        self._warm_up()

    @classmethod
    def load(cls, bundle: Path, settings: dict[str, Any] | None = None) -> Service:
        """Load a bundle; `settings` are those of `Limits`."""
        limits = Limits.of(settings)
        segmenter = Segmenter.load(bundle, threads=limits.threads)
        return cls(segmenter, version_of(bundle), limits)

    def answers(self, request: Request, *, deadline: Deadline | None = None) -> list[Answer]:
        """One answer per image, in their order; a bad image does not spoil the others.

        Parameters
        ----------
        deadline
            After that nobody listens any more: an image that would take longer is refused.

        Raises
        ------
        BusyError
            Other requests took the time, and no image of this one was segmented.
        """
        budget = Budget(round(self.limits.max_megapixels * 1e6))
        result: list[Answer] = []
        segmented = False
        for asked in request.images:
            try:
                answer, run = self._answer(asked, budget, deadline)
            except BusyError:
                if not segmented:
                    raise
                answer, run = refused(TIME_IS_OVER, self.version, retry=True), False
            segmented |= run
            result.append(answer)
        return result

    def _answer(
        self, asked: Asked | str, budget: Budget, deadline: Deadline | None
    ) -> tuple[Answer, bool]:
        """The answer, and whether the network ran for it."""
        if isinstance(asked, str):
            return refused(asked, self.version), False
        retry = run = False
        try:
            # Until the network is done, so that few images wait for it in memory.
            with self._reading.within(deadline):
                if deadline is not None and not deadline.left():
                    raise BusyError
                begin = monotonic()
                image = self._read(asked, budget)
                own = monotonic() - begin
                refuse_unanswerable(image.first.shape, asked.options)
                with self._running.within(deadline):
                    self._refuse_if_too_long(image, own, deadline)
                    run = True
                    found = self._predict(image.pixels, asked.options, image.pixel_size_um)
            return answered(found, image.pixel_size_um, asked.options, self.version), run
        except BudgetError as error:
            # Alone, the image would have been within the limit.
            reason, retry = f"{error} {SEVERAL}" if error.alone else str(error), error.alone
        except InputError as error:
            reason = str(error)
        except MemoryError:
            reason = "image: too large for the memory of this server"
        except BusyError:
            raise
        except Exception:
            # One image must not spoil the others, nor the caller see how we are built.
            log.exception("An image could not be segmented.")
            reason = "image: cannot be segmented; the server's log says why"
        return refused(reason, self.version, retry=retry), run

    def _read(self, asked: Asked, budget: Budget) -> Image:
        if budget.left < 1:
            most = f"more than {self.limits.max_megapixels:g} million pixels"
            raise BudgetError(True, Problem("request", most))
        options = asked.options
        return read_image(
            asked.content,
            channel=options.channel,
            second_channel=options.second_channel,
            projection=options.projection,
            pixel_size_um=options.pixel_size_um,
            max_pixels=budget.whole,
            budget=budget,
        )

    def _refuse_if_too_long(self, image: Image, own: float, deadline: Deadline | None) -> None:
        """Refuse what is not done in time; `own` seconds have gone into reading the image."""
        if deadline is None:
            return
        needed = self._speed.seconds(image.first.size)
        if needed <= deadline.left():
            return
        if own + needed <= deadline.seconds:
            # What is missing went to others, or to other images of this request.
            raise BusyError
        self._speed.refused()
        height, width = image.first.shape
        raise InputError(
            Problem(
                "image",
                f"{width} x {height} px would take about {needed:.0f} s",
                f"what can be done in the {deadline.seconds:.0f} s there are for a request",
                "Send a smaller image, start the server with a longer --timeout, or use "
                "`sgseg predict --model`.",
            )
        )

    def _predict(
        self, pixels: np.ndarray[Any, Any], options: Options, pixel_size_um: float | None
    ) -> Prediction:
        begin = monotonic()
        found = self.segmenter.predict(
            pixels,
            pixel_size_um=pixel_size_um,
            with_deviation="maps" in options.returns,
            threshold=options.threshold,
            min_area_px=options.min_area_px,
        )
        size = first_channel(pixels).size
        if size >= WARM_UP_PX**2:
            self._speed.measured(monotonic() - begin, size)
        return found

    def _warm_up(self) -> None:
        # The first run allocates; the second tells how fast this machine is.
        rng = np.random.default_rng(0)
        sides = (WARM_UP_PX, WARM_UP_PX, CHANNELS[-1])
        pixels = self.segmenter.shown(rng.integers(90, 110, sides, np.uint16))
        for _ in range(2):
            self._speed = Speed()
            self._predict(pixels, Options(), None)


def version_of(bundle: Path) -> str:
    """`sgseg/3` for a bundle in a model from the registry, else the bundle's digest."""
    for folder in bundle.resolve().parents[:2]:
        if (folder / REGISTERED).is_file():
            content = yaml.safe_load((folder / REGISTERED).read_text(encoding="utf-8"))
            return f"{content['model_name']}/{content['model_version']}"
    return digest(bundle)
