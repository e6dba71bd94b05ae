"""A loaded model that answers requests: one network run at a time, within the time there is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

import numpy as np
import yaml

from sgseg.errors import InputError, Problem
from sgseg.images.read import Image, read_image
from sgseg.inference.bundle import digest
from sgseg.inference.segmenter import Prediction, Segmenter
from sgseg.serving.answer import Answer, answered, refused
from sgseg.serving.options import Options
from sgseg.serving.request import Asked, Request

log = logging.getLogger(__name__)
# What MLflow puts beside a model that comes from the registry.
REGISTERED = "registered_model_meta"
WARM_UP_PX = 128


class BusyError(Exception):
    """Other requests take all the time there is for this one."""


@dataclass(frozen=True)
class Limits:
    """Settings of a server (`model_config` of the MLflow model).

    Parameters
    ----------
    max_megapixels
        Of all images of a request together, every plane that has to be read counted.
    threads
        Cores of one network run; 0 for all.
    """

    max_megapixels: float = 100.0
    threads: int = 0

    @classmethod
    def of(cls, settings: dict[str, Any] | None) -> Limits:
        """From a mapping; an `InputError` names what is unknown or no number."""
        known = {item.name for item in fields(cls)}
        problems = [
            Problem(f"model_config: {name}", f"got {value!r}", f"a number for {sorted(known)}")
            for name, value in (settings or {}).items()
            if name not in known or isinstance(value, bool) or not isinstance(value, int | float)
        ]
        if problems:
            raise InputError(*problems)
        return cls(**(settings or {}))


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
        self._turn = Lock()
        # The first run of a network allocates; and tells how fast this machine is.
        self._seconds_per_pixel = 0.0
        rng = np.random.default_rng(0)
        self._predict(rng.integers(90, 110, (WARM_UP_PX, WARM_UP_PX), np.uint16), Options(), None)

    @classmethod
    def load(cls, bundle: Path, settings: dict[str, Any] | None = None) -> Service:
        """Load a bundle; `settings` are those of `Limits`."""
        limits = Limits.of(settings)
        segmenter = Segmenter.load(bundle, threads=int(limits.threads))
        return cls(segmenter, version_of(bundle), limits)

    def answers(self, request: Request, *, seconds: float | None = None) -> list[Answer]:
        """One answer per image, in their order; a bad image does not spoil the others.

        Parameters
        ----------
        seconds
            After that nobody listens any more: an image that would take longer is refused.

        Raises
        ------
        BusyError
            Other requests took the time.
        """
        end = None if seconds is None else monotonic() + seconds
        left = int(self.limits.max_megapixels * 1e6)
        result = []
        for asked in request.images:
            answer, pixels = self._answer(asked, left, end)
            left -= pixels
            result.append(answer)
        return result

    def _answer(self, asked: Asked | str, left: int, end: float | None) -> tuple[Answer, int]:
        """The answer, and how many pixels of the request it used up."""
        if isinstance(asked, str):
            return refused(asked, self.version), 0
        pixels = 0
        try:
            image = self._read(asked, left)
            pixels = image.pixels.size
            with self._my_turn(end):
                self._refuse_if_too_long(image, end)
                found = self._predict(image.pixels, asked.options, image.pixel_size_um)
            return answered(found, image.pixel_size_um, asked.options, self.version), pixels
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
        return refused(reason, self.version), pixels

    def _read(self, asked: Asked, left: int) -> Image:
        if left < 1:
            raise InputError(
                Problem(
                    "request",
                    f"more than {self.limits.max_megapixels:g} million pixels",
                    remedy="Send its images in several requests.",
                )
            )
        options = asked.options
        return read_image(
            asked.content,
            channel=options.channel,
            projection=options.projection,
            pixel_size_um=options.pixel_size_um,
            max_pixels=left,
        )

    @contextmanager
    def _my_turn(self, end: float | None) -> Iterator[None]:
        # One run uses all cores; two at once would take twice the memory, and no less time.
        if not self._turn.acquire(timeout=-1 if end is None else max(0.0, end - monotonic())):
            raise BusyError
        try:
            yield
        finally:
            self._turn.release()

    def _refuse_if_too_long(self, image: Image, end: float | None) -> None:
        if end is None:
            return
        left, needed = end - monotonic(), self._seconds_per_pixel * image.pixels.size
        if needed <= left:
            return
        height, width = image.pixels.shape
        raise InputError(
            Problem(
                "image",
                f"{width} x {height} px would take about {needed:.0f} s",
                f"what can be done in the {max(left, 0):.0f} s that are left for this request",
                "Send fewer or smaller images, start the server with a longer --timeout, or use "
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
        if pixels.size >= WARM_UP_PX**2:
            self._seconds_per_pixel = (monotonic() - begin) / pixels.size
        return found


def version_of(bundle: Path) -> str:
    """`sgseg/3` for a bundle in a model from the registry, else the bundle's digest."""
    for folder in bundle.resolve().parents[:2]:
        if (folder / REGISTERED).is_file():
            content = yaml.safe_load((folder / REGISTERED).read_text(encoding="utf-8"))
            return f"{content['model_name']}/{content['model_version']}"
    return digest(bundle)
