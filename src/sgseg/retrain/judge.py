"""The registry as a retrain uses it: given what the files hold, and asked about the new model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sgseg.config import load_params


@dataclass(frozen=True)
class Verdict:
    """What became of the new model in the registry, and why."""

    passed: bool
    reasons: tuple[str, ...]


class Judge(Protocol):
    """The registry and its gate; another in tests."""

    def restore(self, root: Path) -> None:
        """Put into the registry what the files hold and it lacks."""

    def judge(self, root: Path) -> Verdict:
        """What the gate says of the model in models/evaluated; the champion stays."""


class ProjectJudge:
    """The registry of the project."""

    def restore(self, root: Path) -> None:
        """See `sgseg track`.

        Raises
        ------
        StoreError
            The store cannot be used.
        """
        from sgseg.registry import put_back  # noqa: PLC0415
        from sgseg.tracking import track  # noqa: PLC0415

        track(root)
        put_back(root)

    def judge(self, root: Path) -> Verdict:
        """See `sgseg promote --propose`: decides anew where the champion is another by now."""
        from sgseg.registry import promote  # noqa: PLC0415

        done = promote(root, load_params(root / "params.yaml"), propose=True)
        return Verdict(not done.against, tuple(done.against or [done.said]))
