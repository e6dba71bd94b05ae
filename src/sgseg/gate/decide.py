"""Whether a challenger replaces the champion: both run afresh on the same frozen test images.

Bundles and files in, `Decision` out; no registry here. The rule itself is in `rule`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import pandas as pd
from tqdm import tqdm

from sgseg.config import Promote
from sgseg.dataset.manifest import read_canonical_image, read_canonical_labels
from sgseg.errors import InputError
from sgseg.evaluation.summary import ImageCounts, count_image, summarise
from sgseg.gate.decision import Decision, ImageScores, Latency, Model, UsedImage, Verdict
from sgseg.gate.images import (
    check_unchanged,
    file_md5,
    find_test_images,
    leave_out_seen,
    segment_canonical,
)
from sgseg.gate.latency import compare_latency
from sgseg.gate.rule import Judgement, judge
from sgseg.inference.bundle import BundleSpec, digest, in_use, networks_digest, read_spec
from sgseg.inference.segmenter import Segmenter

CHALLENGER, CHAMPION = "challenger", "champion"
T = TypeVar("T")


@dataclass(frozen=True)
class _Comparison:
    """What the rule said, and the counts per image and model that it was told."""

    judgement: Judgement
    counts: Mapping[str, Sequence[ImageCounts]] = field(default_factory=dict)
    latency: Latency | None = None


def decide(
    challenger: str | Path,
    champion: str | Path | None,
    *,
    dataset: str | Path,
    split: str | Path,
    rule: Promote,
    object_iou: float,
    resamples: int,
    seed: int,
    handed_over: str | Path | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Decision:
    """Decide whether `challenger` replaces `champion`.

    Both are run, as their bundles say, on the test images that neither was trained on, nor on any
    other of the same group. Without a champion the floors alone decide.

    Parameters
    ----------
    challenger, champion
        Folders of bundles; `champion` is None where there is none.
    dataset, split
        data/dataset and data/split.
    rule
        Section `promote` of the parameters.
    object_iou
        A granule counts as found at this IoU.
    resamples, seed
        Of the bootstrap.
    handed_over
        data/raw: masks that the lab handed over are checked by their MD5 where they are there. None
        to leave it alone.

    Raises
    ------
    InputError
        A bundle is broken, or a test image is missing, damaged or changed; all are named.
    """
    dataset, split = Path(dataset), Path(split)
    folders = {CHALLENGER: Path(challenger)}
    if champion is not None:
        folders[CHAMPION] = Path(champion)
    specs, digests = _of_each(folders, read_spec), _of_each(folders, digest)
    networks = _of_each(folders, networks_digest)
    manifest, images = find_test_images(dataset, split)
    trained_on = {side: spec.trained_on for side, spec in specs.items()}
    kept, left_out = leave_out_seen(manifest, images, trained_on)
    if networks[CHALLENGER] == networks.get(CHAMPION):
        kept, left_out = kept.iloc[:0], []
        found = _without_images("same", "The challenger is the champion already.")
    elif kept.empty:
        what = f"All {len(images)} of them were left out" if len(images) else "There are none"
        found = _without_images("unknown", f"{what}: no test images to compare the models on.")
    else:
        check_unchanged(
            dataset, kept, handed_over=None if handed_over is None else Path(handed_over)
        )
        found = _compare(
            folders,
            dataset,
            kept,
            rule=rule,
            object_iou=object_iou,
            more_data=_has_more_data(trained_on),
            resamples=resamples,
            seed=seed,
            clock=clock,
        )
    models = {
        side: replace(
            _model(digests[side], spec, found.counts.get(side, ()), resamples, seed),
            networks=networks[side],
        )
        for side, spec in specs.items()
    }
    judged = found.judgement
    promote, speed = _with_latency(judged, found.latency)
    return Decision(
        outcome="promote" if promote else "keep",
        verdict=judged.verdict,
        reasons=judged.reasons + speed,
        warnings=judged.warnings + _unknown_training(trained_on) * (not kept.empty),
        challenger=models[CHALLENGER],
        champion=models.get(CHAMPION),
        checks=judged.checks,
        images=_used_images(dataset, found.counts),
        left_out=left_out,
        rule=rule.model_dump(),
        settings={"object_iou": object_iou, "resamples": resamples, "seed": seed},
        data={
            "manifest.csv": file_md5(dataset / "manifest.csv"),
            "roles.csv": file_md5(split / "roles.csv"),
        },
        latency=found.latency,
    )


def _with_latency(judged: Judgement, latency: Latency | None) -> tuple[bool, list[str]]:
    """Whether to promote when time counts as well, and what is to be said about it.

    Without the seconds: these are in `latency`, and everything else is the same every time.
    """
    if latency is None:
        return judged.promote, []
    if not latency.passed:
        return False, [f"It takes more than {latency.most:g} times as long as the champion."]
    clear = "No floor is missed, and nothing else is lost beyond its margin."
    return judged.promote, [clear] if judged.promote else []


def _of_each(folders: Mapping[str, Path], read: Callable[[Path], T]) -> dict[str, T]:
    """What `read` finds in each bundle; what is wrong with either is named."""
    found, problems = {}, []
    for side, folder in folders.items():
        try:
            found[side] = read(folder)
        except InputError as error:
            problems += [replace(p, where=f"{side}: {p.where}") for p in error.problems]
    if problems:
        raise InputError(*problems)
    return found


def _without_images(verdict: Verdict, reason: str) -> _Comparison:
    return _Comparison(Judgement(False, verdict, [reason], [], []))


def _compare(
    folders: Mapping[str, Path],
    dataset: Path,
    images: pd.DataFrame,
    *,
    rule: Promote,
    object_iou: float,
    more_data: bool | None,
    resamples: int,
    seed: int,
    clock: Callable[[], float],
) -> _Comparison:
    segmenters = _of_each(folders, Segmenter.load)
    counts = {
        side: _count(segmenter, dataset, images, object_iou, side)
        for side, segmenter in segmenters.items()
    }
    judgement = judge(
        counts[CHALLENGER],
        counts.get(CHAMPION),
        rule=rule,
        more_data=more_data,
        resamples=resamples,
        seed=seed,
    )
    if CHAMPION not in segmenters:
        return _Comparison(judgement, counts)
    channels = max(segmenter.channels for segmenter in segmenters.values())
    latency = compare_latency(
        segmenters[CHALLENGER],
        segmenters[CHAMPION],
        (
            (read_canonical_image(dataset, name, channels=channels), size)
            for name, size in _ids_and_sizes(images)
        ),
        most=rule.most_slowdown,
        clock=clock,
    )
    return _Comparison(judgement, counts, latency)


def _ids_and_sizes(images: pd.DataFrame) -> list[tuple[str, float | None]]:
    return [
        (name, None if pd.isna(size) else float(size))
        for name, size in zip(images["image_id"], images["pixel_size_um"], strict=True)
    ]


def _count(
    segmenter: Segmenter, dataset: Path, images: pd.DataFrame, object_iou: float, side: str
) -> list[ImageCounts]:
    groups = dict(zip(images["image_id"], images["group"], strict=True))
    counts = []
    for name, size in tqdm(_ids_and_sizes(images), desc=side, unit="image", disable=None):
        counts.append(
            count_image(
                name,
                groups[name],
                truth=read_canonical_labels(dataset, name),
                predicted=segment_canonical(segmenter, dataset, name, size),
                object_iou=object_iou,
            )
        )
    return counts


def _has_more_data(trained_on: Mapping[str, Sequence[str]]) -> bool | None:
    """Whether the challenger was trained on more images; None where a bundle does not say."""
    if not all(trained_on.values()) or CHAMPION not in trained_on:
        return None
    return len(set(trained_on[CHALLENGER])) > len(set(trained_on[CHAMPION]))


def _unknown_training(trained_on: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        f"The bundle of the {side} does not say which images it was trained on: that none of the "
        "test images is among them was not checked."
        for side, hashes in trained_on.items()
        if not hashes
    ]


def _model(
    name: str, spec: BundleSpec, counts: Sequence[ImageCounts], resamples: int, seed: int
) -> Model:
    used = in_use(spec)
    return Model(
        digest=name,
        threshold=used.threshold,
        min_area_px=used.min_area_px,
        members=len(used.members),
        orientations=used.orientations,
        trained_on=len(set(spec.trained_on)),
        facts={key: value for key, value in spec.facts.items() if key != "scores"},
        scores=summarise(counts, resamples=resamples, seed=seed),
    )


def _used_images(dataset: Path, counts: Mapping[str, Sequence[ImageCounts]]) -> list[UsedImage]:
    theirs = {c.image_id: c for c in counts.get(CHAMPION, ())}
    return [
        UsedImage(
            image_id=mine.image_id,
            group=mine.group,
            image_md5=file_md5(dataset / "images" / f"{mine.image_id}.tif"),
            mask_md5=file_md5(dataset / "masks" / f"{mine.image_id}.tif"),
            granules=mine.objects.tp + mine.objects.fn,
            challenger=_image_scores(mine),
            champion=_image_scores(theirs[mine.image_id]) if theirs else None,
        )
        for mine in counts.get(CHALLENGER, ())
    ]


def _image_scores(counts: ImageCounts) -> ImageScores:
    return ImageScores(
        object_f1=round(counts.objects.f1, 6),
        foreground_iou=round(counts.pixels.iou, 6),
        found=counts.objects.tp,
        false=counts.objects.fp,
    )
