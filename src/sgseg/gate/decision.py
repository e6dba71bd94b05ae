"""A decision whether one model replaces another: what was found, and the file that keeps it.

How it is reached is in `decide`, how it is shown in `page`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from sgseg.errors import InputError, Problem
from sgseg.images.write import replacing

FORMAT = 1
FILE = "decision.json"
Interval = dict[str, float | None]
"""`value`, and `low` and `high`, which are None where there is no interval."""
Verdict = Literal["first", "win", "tie", "loss", "same", "unknown"]


@dataclass(frozen=True)
class Model:
    """One of the two models.

    Parameters
    ----------
    digest
        Of its bundle, see `sgseg.inference.bundle.digest`.
    threshold, min_area_px, members, orientations
        As it was run.
    trained_on
        Number of images it was trained on, stopped by or given its threshold on; 0 where the bundle
        does not say.
    facts
        Where it comes from, as the bundle says: data digest, commit. Its own scores are left out.
    scores
        On the images used, with 95 % intervals over groups.
    networks
        See `sgseg.inference.bundle.networks_digest`; empty where nobody noted it.
    """

    digest: str
    threshold: float
    min_area_px: int
    members: int
    orientations: int
    trained_on: int
    facts: dict[str, Any]
    scores: dict[str, Interval] = field(default_factory=dict)
    networks: str = ""


@dataclass(frozen=True)
class Check:
    """One condition of the rule.

    Parameters
    ----------
    kind
        "floor": the challenger against a fixed limit; "primary": the score that decides; "margin":
        what may be lost of another score.
    score
        Its name, see `summary.score`.
    difference
        Challenger minus champion on the same images; None without a champion.
    limit
        The floor (of `false_per_empty` the ceiling), or the margin.
    passed
        None where it cannot be said; that counts neither for nor against.
    said
        The check in a sentence.
    """

    kind: Literal["floor", "primary", "margin"]
    score: str
    challenger: float | None
    champion: float | None
    difference: Interval | None
    limit: float
    passed: bool | None
    said: str


@dataclass(frozen=True)
class ImageScores:
    """One image by one model: object F1, foreground IoU, granules found and false ones."""

    object_f1: float
    foreground_iou: float
    found: int
    false: int


@dataclass(frozen=True)
class UsedImage:
    """An image on which both were run.

    Parameters
    ----------
    image_md5, mask_md5
        Of its files in data/dataset.
    granules
        In the truth.
    """

    image_id: str
    group: str
    image_md5: str
    mask_md5: str
    granules: int
    challenger: ImageScores
    champion: ImageScores | None


@dataclass(frozen=True)
class LeftOut:
    """A test image on which nobody was scored, and why."""

    image_id: str
    group: str
    why: str


@dataclass(frozen=True)
class Latency:
    """What prediction costs: measured, so never the same twice.

    Parameters
    ----------
    challenger, champion
        Seconds per megapixel, medians.
    ratio
        Median of the ratios of pairs that were timed one after the other on the same pixels.
    most
        The rule's limit of that ratio.
    pairs, machine
        How many, and where.
    """

    challenger: float
    champion: float
    ratio: float
    most: float
    pairs: int
    machine: str

    @property
    def passed(self) -> bool:
        """Whether the challenger is fast enough."""
        return self.ratio <= self.most

    @property
    def said(self) -> str:
        """The check in a sentence."""
        return (
            f"The challenger takes {self.ratio:.2f} times as long as the champion "
            f"({self.challenger:.2f} and {self.champion:.2f} s per megapixel); "
            f"the limit is {self.most:g}."
        )


@dataclass(frozen=True)
class Decision:
    """Whether the challenger replaces the champion, and all that this rests on.

    The same bundles, data and rule give the same decision but for `latency`; only a challenger
    whose time is close to the limit may pass once and fail once.

    Parameters
    ----------
    outcome
        "promote" or "keep".
    verdict
        On the primary score: "win", "tie" or "loss"; "first": there is no champion; "same": the
        challenger is the champion; "unknown": nothing was left to compare them on.
    reasons, warnings
        Sentences: why, and what to know before relying on it.
    champion
        None where there is none.
    rule, settings
        Section `promote` of the parameters; `object_iou`, `resamples` and `seed`.
    data
        MD5 of manifest.csv and roles.csv.
    """

    outcome: Literal["promote", "keep"]
    verdict: Verdict
    reasons: list[str]
    warnings: list[str]
    challenger: Model
    champion: Model | None
    checks: list[Check]
    images: list[UsedImage]
    left_out: list[LeftOut]
    rule: dict[str, Any]
    settings: dict[str, Any]
    data: dict[str, str]
    latency: Latency | None = None
    format: int = FORMAT

    @property
    def failed(self) -> list[str]:
        """Sentences of the checks that failed, latency last."""
        slow = self.latency is not None and not self.latency.passed
        return [check.said for check in self.checks if check.passed is False] + (
            [self.latency.said] if slow and self.latency is not None else []
        )

    def without_latency(self) -> Decision:
        """What is the same whenever the same is decided."""
        return replace(self, latency=None)


def write_json(folder: Path, decision: Decision) -> None:
    """Write decision.json."""
    text = json.dumps(asdict(decision), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(folder / FILE) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_decision(folder: str | Path) -> Decision:
    """Read decision.json as `write_decision` wrote it.

    Raises
    ------
    InputError
        There is none, or it is damaged or of another format.
    """
    path = Path(folder) / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            Problem(str(path), "no such file", "a decision", "Run `dvc repro promote`.")
        ) from None
    except ValueError as error:
        raise InputError(Problem(str(path), f"unreadable: {error}")) from None
    if not isinstance(content, dict) or "format" not in content:
        raise InputError(Problem(str(path), "not a decision"))
    if content["format"] != FORMAT:
        found = f"format {content['format']!r}"
        raise InputError(Problem(str(path), found, f"format {FORMAT}", "Update sgseg."))
    try:
        return _decision(content)
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(Problem(str(path), f"not a decision: {error}")) from None


def _decision(content: Mapping[str, Any]) -> Decision:
    missing = {f.name for f in fields(Decision)} - content.keys()
    if missing:
        raise KeyError(", ".join(sorted(missing)))

    def image(item: Mapping[str, Any]) -> UsedImage:
        sides = {
            side: None if item[side] is None else ImageScores(**item[side])
            for side in ("challenger", "champion")
        }
        return UsedImage(**{**item, **sides})

    nested = {
        "challenger": Model(**content["challenger"]),
        "champion": None if content["champion"] is None else Model(**content["champion"]),
        "checks": [Check(**item) for item in content["checks"]],
        "images": [image(item) for item in content["images"]],
        "left_out": [LeftOut(**item) for item in content["left_out"]],
        "latency": None if content["latency"] is None else Latency(**content["latency"]),
    }
    return Decision(**{**content, **nested})
