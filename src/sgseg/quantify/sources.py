"""Where the granules of a field come from: a model, or masks made elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sgseg.images.read import Image
from sgseg.inference.bundle import digest
from sgseg.inference.predict import Predictor, Task
from sgseg.inference.records import content_md5
from sgseg.inference.segmenter import Segmenter
from sgseg.quantify.field import Found
from sgseg.quantify.given import read_given


class Source(Protocol):
    """Finds the granules of a field."""

    @property
    def has_probability(self) -> bool:
        """Whether granules come with one."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the report says of the model, see `methods_of`; {} without one."""

    def identity(self, task: Task) -> Mapping[str, Any]:
        """What shapes the result beside the image; the same for the same result."""

    def find(self, task: Task, image: Image) -> Found:
        """The granules of an image."""


@dataclass(frozen=True)
class ByModel:
    """Granules by a model, here or behind an address.

    Attributes
    ----------
    facts
        What the report says of the model, and what it is known by: `bundle` or `version`.
    threshold, min_area_px
        In place of those of the model.
    with_deviation
        Whether the map of disagreement is wanted.
    """

    predictor: Predictor
    facts: Mapping[str, Any]
    threshold: float | None = None
    min_area_px: int | None = None
    with_deviation: bool = False
    has_probability: bool = field(default=True, init=False)

    def identity(self, task: Task) -> Mapping[str, Any]:
        """See `Source`."""
        # What a bundle is called and where a server is shape nothing; of the model of a server its
        # version is all that is known.
        idle = {"url", "version"} if "bundle" in self.facts else {"url"}
        known = {name: value for name, value in self.facts.items() if name not in idle}
        return {**known, "with_deviation": self.with_deviation}

    def find(self, task: Task, image: Image) -> Found:
        """See `Source`."""
        found = self.predictor.predict(
            image.pixels,
            pixel_size_um=image.pixel_size_um,
            with_deviation=self.with_deviation,
            threshold=self.threshold,
            min_area_px=self.min_area_px,
        )
        sure = found.disagreement
        return Found(
            found.labels,
            found.probability,
            None if sure is None else sure.granules,
            None if sure is None else sure.image,
            found.deviation,
            found.warnings,
        )


def of_bundle(
    segmenter: Segmenter,
    folder: Path,
    *,
    version: str = "",
    threshold: float | None = None,
    min_area_px: int | None = None,
    with_deviation: bool = False,
) -> ByModel:
    """Granules by a bundle on this machine, with what it is known by.

    Parameters
    ----------
    segmenter
        The bundle as it was loaded from `folder`.
    version
        What the user calls it.
    """
    spec = segmenter.spec
    facts = {
        "version": version,
        "bundle": digest(folder),
        "members": segmenter.n_members,
        "orientations": spec.orientations,
        "threshold": spec.threshold if threshold is None else threshold,
        "min_area_px": spec.min_area_px if min_area_px is None else min_area_px,
    }
    return ByModel(segmenter, facts, threshold, min_area_px, with_deviation)


@dataclass(frozen=True)
class ByMasks:
    """Granules from label images, masks or outlines made elsewhere, one file per field."""

    files: Mapping[str, Path]
    has_probability: bool = field(default=False, init=False)
    facts: Mapping[str, Any] = field(default_factory=dict, init=False)

    def identity(self, task: Task) -> Mapping[str, Any]:
        """See `Source`."""
        return {"mask": content_md5(self.files[task.name])}

    def find(self, task: Task, image: Image) -> Found:
        """See `Source`."""
        height, width = image.first.shape
        return Found(
            read_given(self.files[task.name], shape=(height, width), what="granules").labels
        )
