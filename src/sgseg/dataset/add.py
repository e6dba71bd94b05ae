"""More images for a data set: planned and tried out completely first, then carried out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sgseg.config import load_params
from sgseg.dataset import commit, source
from sgseg.dataset.add_text import commit_message, said_by_the_data_set
from sgseg.dataset.commit import Commit, commit_files
from sgseg.dataset.difference import DataDifference, compare_versions
from sgseg.dataset.entries import find_entries
from sgseg.dataset.importer import RESERVED, Samples, check_files, folders, here_or_below
from sgseg.dataset.in_use import held, refuse_in_use
from sgseg.dataset.merge import Merge, hard_link, lay_out, merge
from sgseg.dataset.new_samples import describe
from sgseg.dataset.pairs import Found, find_pairs
from sgseg.dataset.placing import placing, recover
from sgseg.dataset.pointer import changed_files
from sgseg.dataset.raw import IMAGES, MASKS, SAMPLES, read_settings
from sgseg.dataset.registry import read_registry, start_registry, write_registry
from sgseg.dataset.trial import Trial, try_out
from sgseg.dataset.versions import listing
from sgseg.errors import InputError, Problem
from sgseg.images.files import image_id
from sgseg.images.planes import MAX_PIXELS

Stamps = Mapping[Path, tuple[int, int]]


@dataclass(frozen=True)
class Addition:
    """What adding a folder to a data set comes to; nothing has been changed yet.

    Parameters
    ----------
    root : of the project
    merged : which images are new
    trial : what the stages up to `split` say of the data set as it will be; None if there is
        nothing to do
    unfinished : whether an earlier addition was interrupted before its commit
    stamps : size and time of each file of the data set, and of its registry, when they were looked
        at
    """

    root: Path
    merged: Merge
    trial: Trial | None
    unfinished: bool
    stamps: Stamps

    @property
    def name(self) -> str:
        """Of the data set."""
        return self.merged.target.name


@dataclass(frozen=True)
class Outcome:
    """What was done: whether DVC has it, and the commit, or the files that are to be committed."""

    with_dvc: bool
    commit: Commit
    files: tuple[str, ...]


def plan_addition(
    src: str | Path,
    *,
    images: str | Path,
    masks: str | Path,
    name: str | None = None,
    samples: str | Path | None = None,
    pattern: str | None = None,
    relabel: bool = False,
    root: str | Path = Path(),
) -> Addition:
    """Read and check images that are to be added, and try the stages up to `split` on all of them.

    Parameters
    ----------
    src : the folder handed over
    images, masks : folders below `src` (or anywhere); a mask has its image's path and stem
    name : of the data set; None for `data.source` of params.yaml. How its files are read says its
        own dataset.yaml
    samples, pattern : what the new images show, see `new_samples`
    relabel : whether new masks of old images take the place of the old masks
    root : of the project

    Raises
    ------
    InputError
        Something is wrong with an argument, with any of the files or with all images together: all
        of it is named.
    """
    root = Path(root)
    params = load_params(root / "params.yaml")
    target = _target(root, name or params.data.source)
    stamps = _stamps(target, _registry(root, target.name))
    src = Path(src)
    merged = _read_all(
        target,
        find_pairs(*folders(src, images, masks)),
        samples=None if samples is None else here_or_below(Path(samples), src),
        pattern=pattern,
        relabel=relabel,
    )
    unfinished = _unfinished(root, merged)
    trial = None
    if merged or unfinished:
        try:
            trial = try_out(merged, params=params, registry=_registry(root, target.name))
        except InputError as error:
            raise _refused(target, error.problems) from None
    return Addition(root, merged, trial, unfinished, stamps)


def carry_out(addition: Addition, *, with_commit: bool = True) -> Outcome:
    """Put the merged data set in its place, hand it to DVC, and make one commit of it.

    The commit holds the sides of the new images too: the test set is for ever, whatever becomes of
    the networks that are trained next. Interrupted at any point and given again, it ends the same.

    Raises
    ------
    InputError
        The data set was changed since it was looked at, a stage is at it, or DVC refuses it.
    OSError
        Copying failed: the data set is as it was.
    """
    root, target = addition.root, addition.merged.target
    recover(target)
    if addition.merged:
        with placing(target, check=lambda: _refuse_changed(addition)) as folder:
            lay_out(addition.merged, folder, keep=hard_link, bring=shutil.copyfile)
    _assign(addition)
    if not source.has_dvc(root):
        return Outcome(False, Commit(reason="there is no DVC here"), ())
    source.add(target, root=root)
    if not commit.has_git(root):
        return Outcome(True, Commit(reason="there is no git repository here"), ())
    files = _files_to_commit(root, target.name)
    if not with_commit:
        return Outcome(True, Commit(reason="--no-commit"), tuple(files))
    if not files:
        return Outcome(True, Commit(reason="git has it already"), ())
    return Outcome(True, commit_files(root, files, _message(addition)), tuple(files))


def _target(root: Path, name: str) -> Path:
    raw = root / "data" / "raw"
    target = raw / name
    if name in RESERVED:
        what = "is made by the stage `simulate`, which would take added images away again"
        remedy = (
            "Begin a data set of your own: `sgseg import ... --name NAME --use`. More simulated "
            "images: simulate.fields_per_replicate in params.yaml."
        )
        raise InputError(Problem(f"data set {name!r}", what, "an imported one", remedy))
    if not target.exists():
        recover(target)
    if target.is_dir():
        return target
    pointer = raw / f"{name}.dvc"
    if pointer.exists():
        remedy = f"Fetch it: `dvc pull {pointer.relative_to(root).as_posix()}`."
        raise InputError(Problem(str(target), "is under DVC, but not here", remedy=remedy))
    found = sorted(path.name for path in raw.glob("*") if path.is_dir()) if raw.is_dir() else []
    there = sorted({item for item in found if not item.startswith(".")} - RESERVED)
    expected = f"one of: {', '.join(there) or 'none is here'}"
    remedy = f"`sgseg import ... --name {name}` begins it."
    raise InputError(Problem(str(target), "no such data set", expected, remedy))


def _read_all(
    target: Path, found: Found, *, samples: Path | None, pattern: str | None, relabel: bool
) -> Merge:
    """Check every file and tell new images from old ones; anything wrong is refused."""
    settings = read_settings(target)
    entries = {entry.image_id.casefold(): entry for entry in find_entries(target, settings)}
    problems = list(found.problems)
    table: Samples | None = None
    try:
        table = describe(target, settings, found.pairs, entries, samples=samples, pattern=pattern)
    except InputError as error:
        problems += error.problems
    wrong = check_files(found.pairs, settings, table or {}, MAX_PIXELS)
    problems += wrong
    files = {problem.where for problem in wrong}
    good = [pair for pair in found.pairs if not files & {str(pair.image), str(pair.mask)}]
    try:
        merged = merge(target, settings, entries, good, relabel=relabel, samples=table)
    except InputError as error:
        problems += error.problems
    if problems:
        raise _refused(target, problems)
    return merged


def _refused(target: Path, problems: Sequence[Problem]) -> InputError:
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    told = (said_by_the_data_set(problem, target) for problem in problems)
    return InputError(*told, title=f"{count}; nothing was added to {target}:")


def _unfinished(root: Path, merged: Merge) -> bool:
    """Whether an earlier addition of the same images was interrupted before its commit.

    Raises
    ------
    InputError
        The data set was changed by something else: that would be committed with the new images.
    """
    name = merged.target.name
    changes = changed_files(root, name)
    own = {item.casefold() for item in merged.there}
    others = [path for path, (then, _) in changes.items() if not _is_of(path, own, then)]
    if others == [SAMPLES] and len(changes) > 1:
        others = []
    if others:
        shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        what = f"changed since DVC saw it last: {shown}"
        pointer = f"data/raw/{name}"
        remedy = (
            f"Keep the changes with `dvc add {pointer}` and `git commit {pointer}.dvc`, or take "
            f"them back with `dvc checkout --force {pointer}.dvc`."
        )
        raise InputError(Problem(str(merged.target), what, remedy=remedy))
    if changes:
        return True
    if not (source.has_dvc(root) and commit.has_git(root)):
        return False
    pointer = f"data/raw/{name}.dvc"
    return not (root / pointer).exists() or bool(commit.uncommitted(root, [pointer]))


def _is_of(path: str, names: set[str], then: str | None) -> bool:
    """Whether a file that DVC has not seen belongs to images that are being added."""
    parts = PurePosixPath(path).parts
    # The image of an old name has to be what it was; its mask may be another.
    if parts[0] not in {IMAGES, MASKS} or (parts[0] == IMAGES and then is not None):
        return False
    return image_id(PurePosixPath(*parts[1:])).casefold() in names


def _registry(root: Path, name: str) -> Path:
    return root / "splits" / f"{name}.csv"


def _assign(addition: Addition) -> None:
    """Let splits/<name>.csv be what `split` will make of it."""
    registry = _registry(addition.root, addition.name)
    with held(registry):
        if addition.trial is not None:
            before, after = read_registry(registry), addition.trial.assigned
            # What somebody else has assigned meanwhile was not known to the trial.
            if len(before.merge(after)) < len(before):
                raise _changed(registry)
            if len(after) > len(before):
                write_registry(registry, after)
        start_registry(registry)


def _stamps(folder: Path, registry: Path) -> Stamps:
    paths = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
    paths += [registry] if registry.exists() else []
    found = {path: path.lstat() for path in paths}
    return {path: (status.st_size, status.st_mtime_ns) for path, status in found.items()}


def _refuse_changed(addition: Addition) -> None:
    target, registry = addition.merged.target, _registry(addition.root, addition.name)
    # `split` reads it at its beginning and writes it at its end.
    refuse_in_use(registry)
    if _stamps(target, registry) != addition.stamps:
        raise _changed(target)


def _changed(path: Path) -> InputError:
    what = "was changed while the new images were looked at"
    return InputError(Problem(str(path), what, remedy="Give the command again."))


def _files_to_commit(root: Path, name: str) -> list[str]:
    """What of the data set and its registry git does not have yet."""
    paths = [f"data/raw/{name}.dvc", f"splits/{name}.csv", "data/raw/.gitignore"]
    return commit.uncommitted(root, [path for path in paths if (root / path).exists()])


def _message(addition: Addition) -> str:
    """What differs from the last commit, also if an earlier addition never got its own."""
    now = listing(addition.root, addition.name)
    try:
        then = listing(addition.root, addition.name, "HEAD")
        difference = compare_versions(then, now)
    except InputError:
        # Its first commit; or DVC has lost the version before, and then the plan has to do.
        merged = addition.merged
        is_first = not commit.is_committed(addition.root, f"data/raw/{addition.name}.dvc")
        added = tuple(sorted(pair.id for pair in merged.added))
        again = tuple(sorted(pair.id for pair, _ in merged.relabelled))
        difference = DataDifference(
            new=tuple(now.images) if is_first else added, relabelled=() if is_first else again
        )
    return commit_message(addition.name, difference, n_images=len(now.images))
