"""The gate as the registry asks it: with the project's images, rule and settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypedDict

from sgseg.config import Params
from sgseg.errors import InputError
from sgseg.gate.decision import Decision, read_decision
from sgseg.registry.evaluated import DATASET, SPLIT
from sgseg.tracking.provenance import file_md5

PROMOTION = "reports/promotion"
RAW = "data/raw"
"""What the lab handed over, a folder per data set."""


class Settings(TypedDict):
    """How the gate scores."""

    object_iou: float
    resamples: int
    seed: int


class Gate(Protocol):
    """Compares two bundles; `champion` is None where there is nobody to compare with."""

    def decide(self, challenger: Path, champion: Path | None) -> Decision:
        """Whether the challenger may replace the champion."""

    def write(
        self, folder: Path, decision: Decision, challenger: Path, champion: Path | None
    ) -> None:
        """Write decision.json and the pages that show it."""

    def decided_before(self, folder: Path, challenger: str, champion: str) -> Decision | None:
        """What was decided on bundles of these digests, if the same is asked again."""


@dataclass(frozen=True)
class ProjectGate:
    """The gate on the test images of a project."""

    root: Path
    params: Params

    def decide(self, challenger: Path, champion: Path | None) -> Decision:
        """See `sgseg.gate.decide.decide`."""
        from sgseg.gate.decide import decide  # noqa: PLC0415

        return decide(
            challenger,
            champion,
            dataset=self.root / DATASET,
            split=self.root / SPLIT,
            rule=self.params.promote,
            handed_over=self.root / RAW,
            **self._settings(),
        )

    def _settings(self) -> Settings:
        evaluate = self.params.evaluate
        return {
            "object_iou": evaluate.object_iou,
            "resamples": evaluate.bootstrap,
            "seed": evaluate.seed,
        }

    def write(
        self, folder: Path, decision: Decision, challenger: Path, champion: Path | None
    ) -> None:
        """See `sgseg.gate.page.write_decision`."""
        from sgseg.gate.page import write_decision  # noqa: PLC0415

        write_decision(
            folder,
            decision,
            challenger=challenger,
            champion=champion,
            dataset=self.root / DATASET,
        )

    def decided_before(self, folder: Path, challenger: str, champion: str) -> Decision | None:
        """The decision in `folder`, if it is on the same bundles, images, rule and settings.

        The images are compared by the MD5s of their files, as the decision has them. Latency is
        measured, so deciding again would write another file for nothing.
        """
        dataset = self.root / DATASET
        try:
            found = read_decision(folder)
            data = {
                "manifest.csv": file_md5(dataset / "manifest.csv"),
                "roles.csv": file_md5(self.root / SPLIT / "roles.csv"),
            }
            files = [
                (file_md5(dataset / "images" / name), file_md5(dataset / "masks" / name))
                for name in (f"{image.image_id}.tif" for image in found.images)
            ]
        except (InputError, OSError):
            return None
        same = (
            found.challenger.digest == challenger
            and ("" if found.champion is None else found.champion.digest) == champion
            and found.rule == self.params.promote.model_dump()
            and found.settings == self._settings()
            and found.data == data
            and files == [(image.image_md5, image.mask_md5) for image in found.images]
        )
        return found if same else None
