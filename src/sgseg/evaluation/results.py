"""What an evaluation found, as counts per image: scores and intervals are made from these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sgseg.evaluation.baseline import BaselinePoint
from sgseg.evaluation.disagreement import ImageDisagreement
from sgseg.evaluation.operating import OperatingPoint
from sgseg.evaluation.summary import ImageCounts


@dataclass(frozen=True)
class Scored:
    """Counts per image of one method on one set of images."""

    counts: list[ImageCounts]
    folds: list[int]
    """Of each image the fold it was held out in; -1 for the test set."""

    def of_fold(self, fold: int) -> list[ImageCounts]:
        """The images held out in one fold."""
        return [c for c, of in zip(self.counts, self.folds, strict=True) if of == fold]


@dataclass(frozen=True)
class NetworkScores:
    """The networks with one number of orientations.

    Parameters
    ----------
    point, points
        Chosen on all out-of-fold maps; for each fold on those of the others. For the ensemble as
        well: of it there are no maps of images that no member has seen, other than the test set.
    out_of_fold
        Each image by its one network, at the point chosen on the other folds.
    tuned_on_itself
        The same maps at `point`, which was chosen on them: flattering.
    test, test_members
        By all members together, and by the member of each fold alone.
    """

    point: OperatingPoint
    points: dict[int, OperatingPoint]
    out_of_fold: Scored
    tuned_on_itself: Scored
    test: Scored
    test_members: dict[int, Scored]


@dataclass(frozen=True)
class Evaluation:
    """Everything that the report shows, as counts.

    Parameters
    ----------
    orientations
        How many are in use.
    test
        By the members in use.
    networks
        By number of orientations.
    disagreement
        Of all members on the test images, with the orientations in use.
    """

    orientations: int
    test: Scored
    networks: Mapping[int, NetworkScores]
    disagreement: list[ImageDisagreement]
    baseline_point: BaselinePoint
    baseline_out_of_fold: Scored
    baseline_tuned_on_itself: Scored
    baseline_test: Scored

    @property
    def in_use(self) -> NetworkScores:
        """The networks with the orientations in use."""
        return self.networks[self.orientations]

    @property
    def point(self) -> OperatingPoint:
        """The operating point in use."""
        return self.in_use.point

    @property
    def points(self) -> dict[int, OperatingPoint]:
        """For each fold the point that was chosen on the others."""
        return self.in_use.points

    @property
    def out_of_fold(self) -> Scored:
        """Each development image by the network that has not seen it."""
        return self.in_use.out_of_fold
