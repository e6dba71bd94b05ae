"""Recipes cross-validated in processes of their own; no finished fold is ever trained again.

A fold is known by the digest of all that shapes its network: parameters, training images, data and
code. Under it lie its probability maps, so that a stage that was stopped goes on, a table can grow,
and recipes that differ in name only are trained once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from sgseg.config import Params
from sgseg.experiments.children import run_children
from sgseg.experiments.fold import load_result, read_roles, result_file, write_job
from sgseg.tracking import DatasetInput, cross_validation, dvc_md5
from sgseg.tracking.provenance import digest
from sgseg.training.code import WEIGHT_CODE
from sgseg.training.out_of_fold import FoldResult

# What shapes the weights of a fold and its predictions.
CODE = (
    *WEIGHT_CODE,
    "src/sgseg/inference/network.py",
    "src/sgseg/inference/tiles.py",
    "src/sgseg/training/out_of_fold.py",
)
LOG_FILE = "log.txt"


@dataclass(frozen=True)
class Fold:
    """One fold of one recipe.

    Parameters
    ----------
    key
        Digest of all that shapes its network.
    number
        Which fold it is.
    params
        The recipe, with the number of orientations to predict in.
    train_ids
        Its training images; None for all that the split gives it.
    """

    key: str
    number: int
    params: Params
    train_ids: tuple[str, ...] | None

    @property
    def orientations(self) -> int:
        """In how many it predicts."""
        return self.params.predict.orientations


@dataclass(frozen=True)
class Bench:
    """Where recipes are tried.

    Parameters
    ----------
    dataset, split
        Folders that `ingest` and `split` wrote.
    work
        Folder for folds, finished and unfinished; may be deleted at any time.
    source
        Name of the data.
    workers
        How many recipes are trained at once.
    root
        The project's root.
    """

    dataset: Path
    split: Path
    work: Path
    source: str
    workers: int
    root: Path = Path()

    @cached_property
    def roles(self) -> pd.DataFrame:
        """The table that `split` wrote."""
        return read_roles(self._roles_file)

    @property
    def _roles_file(self) -> Path:
        return self.split / "roles.csv"

    @cached_property
    def inputs(self) -> list[DatasetInput]:
        """What the folds read."""
        return [
            DatasetInput(self.source, dvc_md5(self.dataset, self.root), str(self.dataset)),
            DatasetInput("split", dvc_md5(self.split, self.root), str(self.split)),
        ]

    def folds(
        self, params: Params, train_ids: Mapping[int, Sequence[str]] | None = None
    ) -> list[Fold]:
        """All folds of a recipe, or those of which the training images are given.

        Raises
        ------
        InputError
            `train.init` names no file.
        """
        recipe = cross_validation(params, datasets=self.inputs, code=CODE, root=self.root).key
        chosen: Mapping[int, Sequence[str] | None] = (
            dict.fromkeys(params.split.folds) if train_ids is None else train_ids
        )
        result = []
        for number, ids in chosen.items():
            every = self.roles.loc[self.roles[f"role_{number}"] == "train", "image_id"].tolist()
            some = None if ids is None or set(ids) == set(every) else tuple(ids)
            result.append(Fold(digest([recipe, number, some]), number, params, some))
        return result

    def run(self, recipes: Mapping[str, Sequence[Fold]]) -> Iterator[tuple[str, str]]:
        """Train what is not finished, a process for each recipe.

        Yields
        ------
        Name of a recipe as soon as it is done with, and what went wrong: nothing, where its results
        are there. Of folds that several recipes share the first one trains them all.
        """
        commands = self._commands(recipes)
        waiting = list(recipes)

        def finished() -> Iterator[tuple[str, str]]:
            for name in list(waiting):
                if all(self._file(fold, fold.orientations).is_file() for fold in recipes[name]):
                    waiting.remove(name)
                    yield name, ""

        yield from finished()
        for name, status in run_children(commands, workers=self.workers):
            if status:
                waiting.remove(name)
                yield name, _last_words(commands[name][1], status)
            yield from finished()
        for name in waiting:
            yield name, "a recipe that trains the same folds failed"

    def _commands(self, recipes: Mapping[str, Sequence[Fold]]) -> dict[str, tuple[list[str], Path]]:
        """What has to run, by the recipe that it is first needed for, and where it writes its log.

        Leaves the jobs in their folders.
        """
        wanted: dict[str, set[int]] = {}
        for fold in (fold for folds in recipes.values() for fold in folds):
            if not self._file(fold, fold.orientations).is_file():
                wanted.setdefault(fold.key, set()).add(fold.orientations)
        commands = {}
        for name, folds in recipes.items():
            jobs = [(fold, wanted.pop(fold.key)) for fold in folds if fold.key in wanted]
            for fold, orientations in jobs:
                write_job(
                    self._folder(fold),
                    params=fold.params,
                    fold=fold.number,
                    train_ids=fold.train_ids,
                    orientations=orientations,
                    dataset=self.dataset,
                    roles=self._roles_file,
                )
            if jobs:
                folders = [self._folder(fold) for fold, _ in jobs]
                arguments = ["-m", "sgseg.experiments.fold", *map(str, folders)]
                commands[name] = (arguments, folders[0] / LOG_FILE)
        return commands

    def result(self, fold: Fold) -> FoldResult:
        """A finished fold."""
        return load_result(self._file(fold, fold.orientations), self.dataset, self.roles)

    def _folder(self, fold: Fold) -> Path:
        return self.work / fold.key[:16]

    def _file(self, fold: Fold, orientations: int) -> Path:
        return result_file(self._folder(fold), orientations)


def _last_words(path: Path, status: int) -> str:
    """What a process that failed said last: its message to the user, or the end of the trace."""
    if status < 0:
        return f"killed by signal {-status}"
    text = "\n" + path.read_text(encoding="utf-8", errors="replace").strip()
    _, is_message, message = text.rpartition("\nerror: ")
    return " ".join((message if is_message else text.rpartition("\n")[2]).split())
