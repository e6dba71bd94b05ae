"""The best, median and worst test images of both models, drawn side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sgseg.dataset.manifest import (
    read_canonical_image,
    read_canonical_labels,
    read_manifest,
)
from sgseg.errors import InputError, Problem
from sgseg.gate.decision import Decision, ImageScores, UsedImage
from sgseg.gate.images import file_md5, segment_canonical
from sgseg.gate.pictures import Comparison, save_comparison
from sgseg.inference.segmenter import Segmenter

PREFIX = "overlay_"


@dataclass(frozen=True)
class Picture:
    """A picture, the image it shows, and what it is an example of."""

    file: str
    image_id: str
    what: str
    said: str


@dataclass(frozen=True)
class Chosen:
    """An image, and what it is an example of: ["best of the challenger", ...]."""

    image: UsedImage
    roles: list[str]


def choose(images: Sequence[UsedImage]) -> list[Chosen]:
    """Best, median and worst image of each model; one that is several of these comes once.

    By object F1, then IoU. An empty image in which nothing was found is perfect, but there is
    nothing to see: it is passed over while there are others.
    """
    found: dict[str, Chosen] = {}
    for side in ("challenger", "champion"):
        for role, image in _best_median_worst(images, side).items():
            chosen = found.setdefault(image.image_id, Chosen(image, []))
            chosen.roles.append(f"{role} of the {side}")
    return list(found.values())


def _best_median_worst(images: Sequence[UsedImage], side: str) -> dict[str, UsedImage]:
    scored = [(scores, image) for image in images if (scores := _scores(image, side)) is not None]
    seen = [(scores, image) for scores, image in scored if image.granules or scores.false] or scored
    if not seen:
        return {}
    ranked = [
        image
        for _, image in sorted(
            seen,
            key=lambda one: (-one[0].object_f1, -one[0].foreground_iou, one[1].image_id),
        )
    ]
    places = {"best": 0, "median": (len(ranked) - 1) // 2, "worst": len(ranked) - 1}
    return {role: ranked[place] for role, place in places.items()}


def _scores(image: UsedImage, side: str) -> ImageScores | None:
    scores: ImageScores | None = getattr(image, side)
    return scores


def save_overlays(
    folder: Path,
    decision: Decision,
    *,
    challenger: Path,
    champion: Path | None,
    dataset: Path,
) -> tuple[list[Picture], list[str]]:
    """Draw image, truth, champion and challenger of each image chosen.

    Parameters
    ----------
    challenger, champion
        Bundles of the decision; `champion` is None where it cannot be had, and is not drawn.
    dataset
        data/dataset.

    Returns
    -------
    The pictures, and what could not be drawn.
    """
    if not decision.images:
        return [], []
    models = [None if path is None else Segmenter.load(path) for path in (challenger, champion)]
    sizes = read_manifest(dataset).set_index("image_id")["pixel_size_um"].dropna()
    pictures, missing = [], []
    for number, chosen in enumerate(choose(decision.images), start=1):
        name, image = f"{PREFIX}{number}.png", chosen.image
        try:
            check_same(dataset, image)
        except (InputError, OSError) as error:
            missing.append(f"{image.image_id}: {error}")
            continue
        size = sizes.get(image.image_id)
        mine, theirs = (
            None if model is None else segment_canonical(model, dataset, image.image_id, size)
            for model in models
        )
        assert mine is not None
        truth = read_canonical_labels(dataset, image.image_id)
        pixels = read_canonical_image(dataset, image.image_id)
        save_comparison(folder / name, Comparison(pixels, truth, theirs, mine))
        pictures.append(Picture(name, image.image_id, _sentence(chosen.roles), said(image)))
    return pictures, missing


def check_same(dataset: Path, image: UsedImage) -> None:
    """Refuse an image whose files are not those that were decided on.

    Raises
    ------
    InputError
        They are others.
    OSError
        They are not there.
    """
    for part, expected in (("images", image.image_md5), ("masks", image.mask_md5)):
        if file_md5(dataset / part / f"{image.image_id}.tif") != expected:
            raise InputError(Problem(f"data/dataset/{part}", "changed since the decision"))


def said(image: UsedImage) -> str:
    """What each model found in it."""
    sides = [("champion", image.champion), ("challenger", image.challenger)]
    return f"{image.granules} granules. " + " ".join(
        f"The {name} finds {scores.found} and {scores.false} false ones: object F1 "
        f"{scores.object_f1:.2f}, foreground IoU {scores.foreground_iou:.2f}."
        for name, scores in sides
        if scores is not None
    )


def _sentence(roles: Sequence[str]) -> str:
    text = ", ".join(roles)
    return text[:1].upper() + text[1:]
