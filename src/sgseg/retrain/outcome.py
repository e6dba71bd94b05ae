"""What came of a retrain: for a shell its exit code, for a workflow a file, for a reader lines."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sgseg.images.write import replacing

What = Literal["promote", "nothing to do", "not promoted", "refused by validation", "gave way"]
EXIT_CODES: Mapping[What, int] = {
    "promote": 0,
    "nothing to do": 10,
    "not promoted": 11,
    "refused by validation": 12,
    "gave way": 13,
}
"""1 and 2 are left for errors: a defect, and something that the user can mend."""
REPORTED: frozenset[What] = frozenset({"promote", "not promoted", "refused by validation"})
"""Those that have a report."""
FOLDER, FILE = "reports/retrain", "outcome.json"


@dataclass(frozen=True)
class Outcome:
    """How a retrain ended.

    Parameters
    ----------
    outcome
        "promote": trained, and the gate would take it; "nothing to do"; "not promoted": trained,
        and the champion stays; "refused by validation": the data cannot be trained on; "gave way":
        somebody else is at it, or was faster.
    branch
        Where it is committed, or where somebody else has committed it; empty: nowhere.
    base, commit
        The commit that it was made from, and that it made.
    decision
        The content of decision.json.
    reasons
        Why, in sentences.
    problems
        What validation says of the data, an image each.
    started, ended
        UTC, ISO 8601.
    """

    outcome: What
    branch: str = ""
    base: str = ""
    commit: str = ""
    decision: Mapping[str, Any] | None = None
    reasons: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    started: str = ""
    ended: str = ""

    @property
    def exit_code(self) -> int:
        """0, or 10 and up for what is no error and yet no new model."""
        return EXIT_CODES[self.outcome]

    def to_dict(self) -> dict[str, Any]:
        """The content of outcome.json."""
        content = asdict(self)
        return {"outcome": content.pop("outcome"), "exit_code": self.exit_code, **content}


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Write outcome.json."""
    with replacing(folder / FILE) as temporary:
        text = json.dumps(outcome.to_dict(), indent=1, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def tell_github(outcome: Outcome, page: Path) -> None:
    """Hand outcome and branch to later steps of a job in GitHub Actions, the report to its summary.

    Elsewhere it does nothing.
    """
    output, summary = (os.environ.get(f"GITHUB_{name}") for name in ("OUTPUT", "STEP_SUMMARY"))
    if output:
        with Path(output).open("a", encoding="utf-8") as stream:
            stream.write(f"outcome={outcome.outcome}\nbranch={outcome.branch}\n")
    if summary:
        reported = outcome.outcome in REPORTED and page.is_file()
        lines = [f"# Retrain: {outcome.outcome}", *outcome.reasons]
        text = page.read_text(encoding="utf-8") if reported else "\n\n".join(lines)
        with Path(summary).open("a", encoding="utf-8") as stream:
            stream.write(f"{text}\n")
