"""Running a bundle: raw pixels in, probabilities and granules out.

NumPy, SciPy, scikit-image and ONNX Runtime are enough for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sgseg.errors import InputError, Problem
from sgseg.inference.bitmask import BitMask
from sgseg.inference.bundle import (
    NETWORKS,
    BundleSpec,
    check_point,
    in_use,
    read_spec,
    spec_preprocessing,
)
from sgseg.inference.network import OnnxFile, computes_8_bits, first_channel, run_in_orientations
from sgseg.inference.preprocess import Preprocessing, resample
from sgseg.inference.segment import drop_small, to_labels
from sgseg.inference.tiles import TURNS, Window, pieces
from sgseg.inference.uncertainty import Disagreement, RunningMoments, disagreement
from sgseg.inference.watch import as_seen, unlike

log = logging.getLogger(__name__)

FloatImage = NDArray[np.float32]
Labels = NDArray[np.int32]
Network = Callable[[FloatImage], FloatImage]
"""Normalised image (h, w) or (h, w, C) -> probability of granule (h, w) in [0, 1]."""
OVERFLOW = (
    "This model computes with 8 bits, and this processor has no instructions for that (VNNI): sums "
    "may overflow and granules differ from those that were scored. Evaluate it here, or use a "
    "model with predict.precision: float32."
)
LARGE_PX = 2**24
"""Above this, the networks' memory is given back before the granules are labelled."""


@dataclass(frozen=True)
class Prediction:
    """The granules of an image, and how sure the members are of them.

    Parameters
    ----------
    labels
        Label image (H, W), 0 is background.
    probability
        Mean over the members, (H, W) in [0, 1].
    disagreement
        One number per granule and one for the image; None for a single member.
    deviation
        Standard deviation of the members' probabilities, (H, W) in [0, 0.5]; None unless asked for,
        and for a single member.
    warnings
        In what the image is unlike those that the model was trained on, see `watch`.
    """

    labels: Labels
    probability: FloatImage
    disagreement: Disagreement | None
    deviation: FloatImage | None
    warnings: tuple[str, ...] = ()


class Segmenter:
    """The networks of a bundle that are in use; `spec` describes these and no others.

    Parameters
    ----------
    spec
        How they are used.
    networks
        One per member; each is shown parts of an image, see `pieces`.
    preprocessing
        What they are shown.
    release
        Called to give back the memory that they keep.
    channels
        How many channels of an image they are shown. Pixels are (H, W) for one, that of the
        granules, and (H, W, 2) for two.
    """

    def __init__(
        self,
        spec: BundleSpec,
        networks: Sequence[Network],
        preprocessing: Preprocessing,
        *,
        release: Callable[[], None] | None = None,
        channels: int = 1,
    ) -> None:
        self.spec = spec
        self.channels = channels
        self._networks = networks
        self._preprocessing = preprocessing
        self._release = release

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        members: str | int | None = None,
        orientations: int | None = None,
        threads: int = 0,
    ) -> Segmenter:
        """Load a bundle; `members` and `orientations` replace what it says, see `in_use`.

        Parameters
        ----------
        threads
            Cores to use; 0 for all.

        Raises
        ------
        InputError
            The folder holds no bundle, its networks cannot be loaded, or there are too few.
        """
        folder = Path(folder)
        spec = in_use(read_spec(folder), members=members, orientations=orientations)
        file = OnnxFile(folder / NETWORKS, threads=threads)
        missing = sorted(set(spec.members) - set(file.members))
        if missing:
            raise InputError(
                Problem(
                    str(folder / NETWORKS),
                    f"no network {', '.join(missing)}",
                    f"those that bundle.json names. Found: {', '.join(file.members)}",
                    "Run `dvc repro` to make the model anew.",
                )
            )
        if spec.facts.get("precision") == "int8" and not computes_8_bits():
            log.warning("%s", OVERFLOW)
        networks = [partial(file.run, member) for member in spec.members]
        settings = spec_preprocessing(spec.preprocessing)
        return cls(spec, networks, settings, release=file.shrink, channels=file.channels)

    @property
    def n_members(self) -> int:
        """How many networks are averaged."""
        return len(self._networks)

    def probabilities(
        self,
        pixels: NDArray[np.generic],
        *,
        pixel_size_um: float | None = None,
        members: Sequence[int] | None = None,
        orientations: int | None = None,
    ) -> NDArray[np.float32]:
        """Probability of granule by each member, or by those given: (K, H, W)."""
        return np.stack(list(self.maps(pixels, pixel_size_um, members, orientations)))

    def probability(
        self,
        pixels: NDArray[np.generic],
        *,
        pixel_size_um: float | None = None,
        members: Sequence[int] | None = None,
        orientations: int | None = None,
    ) -> FloatImage:
        """Mean over the members, or over those given: (H, W) in [0, 1]."""
        probability = np.zeros(pixels.shape[:2], np.float32)
        for place, found in self._parts(pixels, pixel_size_um, members, orientations):
            moments = RunningMoments(with_deviation=False)
            for one in found:
                moments.add(one)
            probability[place] = moments.mean
        return probability

    def maps(
        self,
        pixels: NDArray[np.generic],
        pixel_size_um: float | None = None,
        members: Sequence[int] | None = None,
        orientations: int | None = None,
    ) -> Iterator[FloatImage]:
        """One member's probability (H, W) after the other."""
        self._check_channels(pixels)
        n = orientations or self.spec.orientations
        prepared = self._preprocessing.windows(pixels, pixel_size_um)
        shape = prepared.shape[:2]
        for network in self._members(members):
            found = np.zeros(shape, np.float32)
            for piece in pieces(shape, self.spec.margin_px, TURNS[:n]):
                piece.add(run_in_orientations(network, prepared[piece.window], n), found)
            yield resample(found, pixels.shape[:2])

    def _parts(
        self,
        pixels: NDArray[np.generic],
        pixel_size_um: float | None,
        members: Sequence[int] | None = None,
        orientations: int | None = None,
    ) -> Iterator[tuple[Window, Iterator[FloatImage]]]:
        """Part by part of an image the maps (h, w) of one member after the other.

        Of a large image no whole map of each member is then needed, and no normalised copy. It is
        one part where its maps are resampled, or blended from those of overlapping tiles.
        """
        self._check_channels(pixels)
        n = orientations or self.spec.orientations
        shape = self._preprocessing.network_shape(pixels.shape[:2], pixel_size_um)
        if shape != pixels.shape[:2] or self.spec.margin_px is None:
            whole = (slice(0, pixels.shape[0]), slice(0, pixels.shape[1]))
            yield whole, self.maps(pixels, pixel_size_um, members, orientations)
            return
        networks = self._members(members)
        prepared = self._preprocessing.windows(pixels, pixel_size_um)
        for piece in pieces(shape, self.spec.margin_px, TURNS[:n]):
            image = prepared[piece.window]
            yield (
                piece.place,
                (piece.inner(run_in_orientations(network, image, n)) for network in networks),
            )

    def shown(self, pixels: NDArray[np.generic]) -> NDArray[np.generic]:
        """Of pixels (H, W) or (H, W, C) what the networks are shown, if they are shown fewer."""
        return first_channel(pixels) if self.channels == 1 else pixels

    def _check_channels(self, pixels: NDArray[np.generic]) -> None:
        found = 1 if pixels.ndim == 2 else pixels.shape[-1]
        if found == self.channels:
            return
        if self.channels == 1:
            raise InputError(
                Problem(
                    "image",
                    f"{found} channels",
                    "one, that of the granules: this model is shown no other",
                    "Leave out the second channel (--second-channel).",
                )
            )
        trained = self.spec.facts.get("second_channel")
        other = "another channel" if trained is None else f"channel {trained}"
        raise InputError(
            Problem(
                "image",
                f"{found} channel{'' if found == 1 else 's'}",
                f"two: this model is shown {other} beside the granules",
                "Give the number or name of the second channel (--second-channel).",
            )
        )

    def _members(self, members: Sequence[int] | None) -> list[Network]:
        return [self._networks[k] for k in (range(self.n_members) if members is None else members)]

    def segment(self, pixels: NDArray[np.generic], *, pixel_size_um: float | None = None) -> Labels:
        """Label image (H, W) of the granules, 0 is background."""
        return to_labels(
            self.probability(pixels, pixel_size_um=pixel_size_um),
            threshold=self.spec.threshold,
            min_area_px=self.spec.min_area_px,
        )

    def predict(
        self,
        pixels: NDArray[np.generic],
        *,
        pixel_size_um: float | None = None,
        with_deviation: bool = False,
        threshold: float | None = None,
        min_area_px: int | None = None,
    ) -> Prediction:
        """`segment`, with all that is known about the result.

        Parameters
        ----------
        threshold, min_area_px
            In place of those of the bundle.

        Notes
        -----
        An image of 10,000 x 10,000 px of 16 bits takes 2 GB at most, whatever the number of members
        and orientations: of each member only its mask is kept, a bit per pixel. Resampling takes
        more, and so does `with_deviation`.

        Raises
        ------
        InputError
            A threshold or minimum area that is none, or a pixel size that cannot be.
        """
        check_point(threshold, min_area_px)
        threshold = self.spec.threshold if threshold is None else threshold
        min_area_px = self.spec.min_area_px if min_area_px is None else min_area_px
        several = self.n_members > 1
        masks = [BitMask(pixels.shape[:2]) for _ in self._networks] if several else []
        probability = np.zeros(pixels.shape[:2], np.float32)
        deviation = np.zeros_like(probability) if several and with_deviation else None
        for place, maps in self._parts(pixels, pixel_size_um):
            moments = RunningMoments(with_deviation=deviation is not None)
            for member, found in enumerate(maps):
                moments.add(found)
                if several:
                    masks[member].put(place, found > threshold)
            probability[place] = moments.mean
            if deviation is not None:
                deviation[place] = moments.deviation
        if self._release is not None and probability.size > LARGE_PX:
            self._release()
        labels = to_labels(probability, threshold=threshold, min_area_px=min_area_px)
        alone = (drop_small(one.mask(), min_area_px=min_area_px) for one in masks)
        return Prediction(
            labels,
            probability,
            disagreement(labels, alone) if several else None,
            deviation,
            self._warnings(pixels, pixel_size_um, labels),
        )

    def _warnings(
        self, pixels: NDArray[np.generic], pixel_size_um: float | None, labels: Labels
    ) -> tuple[str, ...]:
        image, scale = as_seen(self._preprocessing, first_channel(pixels), pixel_size_um)
        areas = np.bincount(labels[labels > 0])[1:] * scale**2
        return unlike(self.spec.statistics, image, areas)
