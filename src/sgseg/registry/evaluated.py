"""What the stage `evaluate` left: the bundle, whose it is, its card; and the tags made of that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sgseg.errors import InputError, Problem
from sgseg.inference.bundle import BundleSpec, digest, networks_digest, read_spec
from sgseg.tracking.identity import EvaluationRecord, read_evaluation

EVALUATION, EVALUATED = "reports/evaluation", "models/evaluated"
CARD = "card"
"""Folder of the model card within reports/evaluation."""
DATASET, SPLIT = "data/dataset", "data/split"
BUNDLE = "sgseg.bundle"
"""Tag of a version: the digest of its bundle."""
NETWORKS = "sgseg.networks"
"""Tag of a version: the digest of its networks and how they are used, see `networks_digest`."""
DATA, COMMIT, SOURCE, CV = "sgseg.data", "sgseg.commit", "sgseg.source", "sgseg.cv_key"
SCORE = "sgseg.score."
PARTS = {"out_of_fold": "oof", "test": "test"}
TAGGED = ("object_f1", "foreground_iou", "false_per_empty")
"""Scores by which versions can be searched; all of them are in the bundle and on the card."""


@dataclass(frozen=True)
class Evaluated:
    """A model that may become a version.

    Parameters
    ----------
    folder
        Of the bundle.
    digest, networks
        Of the bundle, and of its networks and how they are used.
    record
        Of its evaluation: whose run the model belongs to.
    card
        Folder of the model card; None if there is none.
    page
        The description of the version, in Markdown.
    """

    folder: Path
    digest: str
    networks: str
    spec: BundleSpec
    record: EvaluationRecord
    card: Path | None
    page: str

    @property
    def tags(self) -> dict[str, str]:
        """What the version was made from, and how good it is."""
        facts, datasets = self.spec.facts, self.record.cv.datasets
        tags = {
            BUNDLE: self.digest,
            NETWORKS: self.networks,
            DATA: str(facts.get("data") or ""),
            COMMIT: str(facts.get("commit") or ""),
            SOURCE: datasets[0].name if datasets else "",
            CV: self.record.cv.key,
        }
        scores = facts.get("scores") or {}
        for part, prefix in PARTS.items():
            for name in TAGGED:
                value = ((scores.get(part) or {}).get(name) or {}).get("value")
                if isinstance(value, int | float):
                    tags[f"{SCORE}{prefix}_{name}"] = f"{value:.4f}"
        return {name: value for name, value in tags.items() if value}


def read_evaluated(root: str | Path) -> Evaluated:
    """Read what `evaluate` left in the project.

    Raises
    ------
    InputError
        The bundle or run.json is missing or broken; all of it is named.
    """
    root = Path(root)
    folder = root / EVALUATED
    problems: list[Problem] = []
    for read in (lambda: read_spec(folder), lambda: read_evaluation(root / EVALUATION)):
        try:
            read()
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*problems)
    card = root / EVALUATION / CARD
    return Evaluated(
        folder=folder,
        digest=digest(folder),
        networks=networks_digest(folder),
        spec=read_spec(folder),
        record=read_evaluation(root / EVALUATION),
        card=card if card.is_dir() else None,
        page=_page(root),
    )


def _page(root: Path) -> str:
    """The short form of the card; without the data set, which it tells of, a sentence."""
    from sgseg.evaluation.card import summary_text  # noqa: PLC0415

    try:
        return summary_text(
            model=root / EVALUATED, evaluation=root / EVALUATION, dataset=root / DATASET
        )
    except InputError:
        return f"Outlines stress granules in fluorescence images. Bundle {digest(root / EVALUATED)}"
