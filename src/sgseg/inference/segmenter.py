"""Running a bundle: raw pixels in, probabilities and granules out.

NumPy, SciPy, scikit-image and ONNX Runtime are enough for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sgseg.errors import InputError, Problem
from sgseg.inference.bundle import BundleSpec, in_use, read_spec, spec_preprocessing
from sgseg.inference.network import OnnxNetwork, run_in_orientations
from sgseg.inference.preprocess import Preprocessing, resample
from sgseg.inference.segment import to_labels
from sgseg.inference.uncertainty import Disagreement, RunningMoments, disagreement

FloatImage = NDArray[np.float32]
Labels = NDArray[np.int32]


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
    """

    labels: Labels
    probability: FloatImage
    disagreement: Disagreement | None
    deviation: FloatImage | None


class Segmenter:
    """The networks of a bundle that are in use; `spec` describes these and no others."""

    def __init__(
        self, spec: BundleSpec, networks: Sequence[OnnxNetwork], preprocessing: Preprocessing
    ) -> None:
        self.spec = spec
        self._networks = networks
        self._preprocessing = preprocessing

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        members: str | int | None = None,
        orientations: int | None = None,
    ) -> Segmenter:
        """Load a bundle; `members` and `orientations` replace what it says, see `in_use`.

        Raises
        ------
        InputError
            The folder holds no bundle, a network cannot be loaded, or there are too few.
        """
        folder = Path(folder)
        spec = in_use(read_spec(folder), members=members, orientations=orientations)
        networks: list[OnnxNetwork] = []
        problems: list[Problem] = []
        for name in spec.members:
            try:
                networks.append(OnnxNetwork(folder / name, margin_px=spec.margin_px))
            except InputError as error:
                problems += error.problems
        if problems:
            raise InputError(*problems)
        return cls(spec, networks, spec_preprocessing(spec.preprocessing))

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
        """Probability of granule by each member, or by those given: (K, H, W) for pixels (H, W)."""
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
        moments = RunningMoments(with_deviation=False)
        for found in self.maps(pixels, pixel_size_um, members, orientations):
            moments.add(found)
        return moments.mean

    def maps(
        self,
        pixels: NDArray[np.generic],
        pixel_size_um: float | None = None,
        members: Sequence[int] | None = None,
        orientations: int | None = None,
    ) -> Iterator[FloatImage]:
        """One member's probability (H, W) after the other."""
        image = self._preprocessing.prepare(pixels, pixel_size_um)
        height, width = pixels.shape
        for index in range(len(self._networks)) if members is None else members:
            found = run_in_orientations(
                self._networks[index], image, orientations or self.spec.orientations
            )
            yield resample(found, (height, width))

    def segment(self, pixels: NDArray[np.generic], *, pixel_size_um: float | None = None) -> Labels:
        """Label image (H, W) of the granules, 0 is background."""
        return self._labels(self.probability(pixels, pixel_size_um=pixel_size_um))

    def predict(
        self,
        pixels: NDArray[np.generic],
        *,
        pixel_size_um: float | None = None,
        with_deviation: bool = False,
    ) -> Prediction:
        """`segment`, with all that is known about the result.

        Of each member only its mask is kept, a bit per pixel, until the granules are known that it
        is compared with.
        """
        several = len(self._networks) > 1
        moments = RunningMoments(with_deviation=with_deviation and several)
        masks: list[NDArray[np.uint8]] = []
        for found in self.maps(pixels, pixel_size_um):
            moments.add(found)
            if several:
                masks.append(np.packbits(self._labels(found) > 0))
        probability = moments.mean
        labels = self._labels(probability)
        height, width = labels.shape
        unpacked = (
            np.unpackbits(bits, count=height * width).reshape(height, width).view(np.bool_)
            for bits in masks
        )
        return Prediction(
            labels,
            probability,
            disagreement(labels, unpacked) if several else None,
            moments.deviation if several and with_deviation else None,
        )

    def _labels(self, probability: FloatImage) -> Labels:
        return to_labels(
            probability, threshold=self.spec.threshold, min_area_px=self.spec.min_area_px
        )
