"""What a search is, as every process that takes part in it knows it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgseg.config import Params
from sgseg.tuning.space import Space

OBJECTIVE = "sgseg.tuning.objective:cross_validated"


@dataclass(frozen=True)
class Job:
    """A search.

    Parameters
    ----------
    key
        Digest of all that shapes a trial's value. It names the study.
    folder
        For the study's journal and the working state of its trials.
    params
        Complete parameters, with the search's own number of epochs; what is searched stands at its
        start.
    searched
        Keys of `params.tune.space` that are searched.
    trials
        How many are to be done in all, by all workers together.
    folds
        On which a trial is scored, in this order.
    dataset, roles
        What `ingest` and `split` wrote: a folder and a table.
    objective
        `module:function` that scores a recipe fold by fold, see `objective.cross_validated`.
    """

    key: str
    folder: Path
    params: Params
    searched: tuple[str, ...]
    trials: int
    folds: tuple[int, ...]
    dataset: Path
    roles: Path
    objective: str = OBJECTIVE

    @property
    def space(self) -> Space:
        """What is searched."""
        return {key: self.params.tune.space[key] for key in self.searched}

    @property
    def study_name(self) -> str:
        """In the study's storage, which a database may share with others."""
        return f"sgseg-{self.key[:12]}"

    def trial_folder(self, root: int) -> Path:
        """Where the trial that began as number `root` works; who continues it works there too."""
        return self.folder / "trials" / str(root)

    def to_json(self) -> str:
        """In one line."""
        content = {
            **vars(self),
            "folder": str(self.folder),
            "params": dump(self.params),
            "dataset": str(self.dataset),
            "roles": str(self.roles),
        }
        return json.dumps(content)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """What `to_json` wrote."""
        content: dict[str, Any] = json.loads(text)
        return cls(
            key=content["key"],
            folder=Path(content["folder"]),
            params=Params.model_validate(content["params"]),
            searched=tuple(content["searched"]),
            trials=content["trials"],
            folds=tuple(content["folds"]),
            dataset=Path(content["dataset"]),
            roles=Path(content["roles"]),
            objective=content["objective"],
        )


def dump(params: Params) -> dict[str, Any]:
    """Parameters in values that JSON and YAML can hold."""
    return params.model_dump(mode="json", by_alias=True)
