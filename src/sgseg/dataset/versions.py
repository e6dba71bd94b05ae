"""What data/raw/NAME holds, now or at a git revision: names, checksums, descriptions; no pixels.

At a revision DVC says it: it keeps the MD5 of every file of a folder in one small object, so that
no image is fetched. Here alone DVC is imported, within functions: it takes a while.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from sgseg.dataset.manifest import read_manifest
from sgseg.dataset.raw import IMAGES, MASKS, SAMPLES, SETTINGS, RawSettings, read_settings
from sgseg.dataset.samples import (
    FACTORS,
    PIXEL_SIZE,
    compile_pattern,
    read_number,
    read_rows,
    spelling,
    spellings,
)
from sgseg.errors import InputError, Problem
from sgseg.images.files import IMAGE_SUFFIXES, MASK_SUFFIXES, image_id, list_files

if TYPE_CHECKING:
    from dvc.api import DVCFileSystem

RAW = PurePosixPath("data/raw")
MANIFEST = "data/dataset/manifest.csv"
WORKSPACE = "the workspace"


@dataclass(frozen=True)
class RawImage:
    """An image of a listing: its file and its mask's, relative to data/raw/NAME, and their MD5.

    `mask` and `mask_md5` are '' where there is no mask. `sample` holds what is said of group,
    condition, replicate and pixel_size_um.
    """

    image: str
    image_md5: str
    mask: str = ""
    mask_md5: str = ""
    sample: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """The files of data/raw/<source>.

    Parameters
    ----------
    source : name of the data set
    where : "the workspace", or the git revision
    files : MD5 of each file, by its path relative to data/raw/<source>; hidden files left out
    settings : dataset.yaml
    samples : header and rows of samples.csv, None where there is none
    """

    source: str
    where: str
    files: Mapping[str, str]
    settings: RawSettings
    samples: tuple[list[str], list[list[str]]] | None = None

    @cached_property
    def images(self) -> dict[str, RawImage]:
        """Each image by its name in the data set (`image_id`), sorted."""
        masks = {_id(path): path for path in self._of(MASKS, MASK_SUFFIXES)}
        images = {_id(path): path for path in self._of(IMAGES, IMAGE_SUFFIXES)}
        said = self._samples(images)
        found = {}
        for key, path in sorted(images.items()):
            mask = masks.get(key)
            found[key] = RawImage(
                image=str(path),
                image_md5=self.files[str(path)],
                mask=str(mask or ""),
                mask_md5=self.files[str(mask)] if mask else "",
                sample=said[key],
            )
        return found

    @cached_property
    def other(self) -> dict[str, str]:
        """MD5 of the files that are no image, no mask, no table and no settings of the data set."""
        known = {SETTINGS, SAMPLES}
        known |= {text for item in self.images.values() for text in (item.image, item.mask)}
        return {path: md5 for path, md5 in sorted(self.files.items()) if path not in known}

    def _of(self, folder: str, suffixes: frozenset[str]) -> Iterator[PurePosixPath]:
        for text in self.files:
            path = PurePosixPath(text)
            if path.parts[0] == folder and path.suffix.lower() in suffixes:
                yield path

    def _samples(self, images: Mapping[str, PurePosixPath]) -> dict[str, dict[str, str]]:
        """As `ingest` reads them: from the names, then from the table."""
        names = {PurePosixPath(*path.parts[1:]): key for key, path in images.items()}
        said: dict[str, dict[str, str]] = {key: {} for key in images}
        if self.settings.pattern:
            expression = compile_pattern(self.settings.pattern)
            for name, key in names.items():
                match = expression.search(str(name))
                found = match.groupdict() if match else {}
                said[key] = {factor: text.strip() for factor, text in found.items() if text}
        if self.samples is not None:
            header, rows = self.samples
            known = spellings(names)
            for row in rows:
                cells = dict(zip(header, row, strict=False))
                size = read_number(cells.get(PIXEL_SIZE, ""))
                cells[PIXEL_SIZE] = "" if size is None else repr(size)
                for name in known.get(spelling(cells.get("image", "")), []):
                    wanted = (*FACTORS, PIXEL_SIZE)
                    said[names[name]] |= {key: cells[key] for key in wanted if cells.get(key)}
        return said


def _id(path: PurePosixPath) -> str:
    return image_id(PurePosixPath(*path.parts[1:]))


def listing(root: str | Path, source: str, rev: str | None = None) -> Listing:
    """The files of data/raw/<source>, in the workspace or at a git revision.

    Parameters
    ----------
    root : of the project
    source : name of the data set
    rev : a commit, branch, tag, or such as HEAD~1; None for the workspace

    Raises
    ------
    InputError
        The revision is unknown, has no such data set, or what DVC keeps of it is neither in the
        cache nor in a remote.
    """
    if rev is None:
        return _in_workspace(Path(root), source)
    folder = str(RAW / source)
    with _opened(Path(root), rev) as dvc, tempfile.TemporaryDirectory() as name:
        if not dvc.isdvc(folder):
            what = f"{rev} has no such data set"
            expected = f"one of: {', '.join(_sources(dvc)) or 'none'}"
            raise InputError(Problem(folder, what, expected))
        files = _files(dvc, source)
        temporary = Path(name)
        for part in (SETTINGS, SAMPLES):
            if part in files:
                (temporary / part).write_bytes(dvc.read_bytes(f"{folder}/{part}"))
        return _described(temporary, source, rev, files)


def tracked_files(root: str | Path, source: str) -> dict[str, str]:
    """MD5 of each file of data/raw/<source> as DVC saw it last, whatever is there now.

    Raises
    ------
    InputError
        DVC's list of the files is neither in the cache nor in a remote.
    """
    with _opened(Path(root), None) as dvc:
        return _files(dvc, source)


def manifest_at(root: str | Path, rev: str | None = None) -> pd.DataFrame | None:
    """The manifest of the canonical data set, in the workspace or at a git revision.

    None where it cannot be had: not made yet, or neither in DVC's cache nor in a remote.
    """
    if rev is None:
        path = Path(root, MANIFEST)
        return read_manifest(path.parent) if path.is_file() else None
    try:
        with _opened(Path(root), rev) as dvc, tempfile.TemporaryDirectory() as name:
            Path(name, "manifest.csv").write_bytes(dvc.read_bytes(MANIFEST))
            return read_manifest(name)
    except InputError:
        return None


def source_at(root: str | Path, rev: str | None = None) -> str | None:
    """`data.source` of params.yaml, in the workspace or at a git revision; None where unknown."""
    try:
        if rev is None:
            text = Path(root, "params.yaml").read_text(encoding="utf-8")
        else:
            with _opened(Path(root), rev) as dvc:
                text = dvc.read_bytes("params.yaml").decode()
        source = yaml.safe_load(text)["data"]["source"]
    except (OSError, InputError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return None
    return str(source)


def md5_of(path: Path) -> str:
    """MD5 of a file's content, as DVC names it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _in_workspace(root: Path, source: str) -> Listing:
    folder = root / RAW / source
    if not folder.is_dir():
        remedy = f"Fetch it with `dvc pull`, or bring it in: `sgseg import ... --name {source}`."
        if source == "simulated":
            remedy = "Fetch it with `dvc pull`, or make it: `dvc repro simulate`."
        raise InputError(Problem(str(folder), "no such data set here", remedy=remedy))
    files = {path.relative_to(folder).as_posix(): md5_of(path) for path in list_files(folder)}
    return _described(folder, source, WORKSPACE, files)


def _described(folder: Path, source: str, where: str, files: Mapping[str, str]) -> Listing:
    """A listing with the settings and the table that lie in `folder`."""
    try:
        settings = read_settings(folder)
        samples = None
        if SAMPLES in files:
            header, rows = read_rows(folder / SAMPLES)
            samples = header, [row for _, row in rows]
    except InputError as error:
        # The folder may be a temporary one, which means nothing to anybody.
        place = f"{RAW / source} in {where}"
        raise InputError(
            *(
                Problem(p.where.replace(str(folder), place), p.what, p.expected, p.remedy)
                for p in error.problems
            )
        ) from None
    return Listing(source, where, files, settings, samples)


@contextmanager
def _opened(root: Path, rev: str | None) -> Iterator[DVCFileSystem]:
    """The project as DVC sees it; what DVC raises is named."""
    from dvc.api import DVCFileSystem  # noqa: PLC0415
    from dvc.exceptions import DvcException  # noqa: PLC0415
    from dvc.scm import RevError  # noqa: PLC0415
    from dvc_data.index import DataIndexError  # noqa: PLC0415

    where = rev if rev is not None else str(root)
    try:
        # Versions from before a remote was set up are fetched from it all the same.
        dvc = DVCFileSystem(str(root.resolve()), rev=rev, config=_remotes(root) if rev else None)
        try:
            yield dvc
        finally:
            dvc.close()
    except RevError:
        expected = "a commit, branch or tag, or such as HEAD~1"
        remedy = "`git log --oneline` lists the commits; `git fetch` brings those of others."
        raise InputError(Problem(repr(where), "unknown git revision", expected, remedy)) from None
    except DataIndexError:
        what = "DVC's list of the files of this version is neither in the cache nor in a remote"
        remedy = "`dvc fetch --all-commits`; or whoever has it runs `dvc push --all-commits`."
        raise InputError(Problem(where, what, remedy=remedy)) from None
    except FileNotFoundError as error:
        what = f"{error.filename or error.args[-1]} cannot be had"
        remedy = "`dvc fetch --all-commits`; or whoever has it runs `dvc push --all-commits`."
        raise InputError(Problem(where, what, remedy=remedy)) from None
    except (DvcException, OSError) as error:
        what = f"DVC cannot read it: {' '.join(str(error).split())[:300]}"
        expected = "a project under git and DVC"
        raise InputError(Problem(where, what, expected)) from None


def _remotes(root: Path) -> dict[str, Any] | None:
    """The remotes that are set up now, None if there is none."""
    from dvc.repo import Repo  # noqa: PLC0415

    with Repo(str(root.resolve())) as repo:
        default = repo.config["core"].get("remote")
        return {"core": {"remote": default}, "remote": repo.config["remote"]} if default else None


def _files(dvc: DVCFileSystem, source: str) -> dict[str, str]:
    folder = RAW / source
    found = dvc.find(str(folder), detail=True, dvc_only=True)
    files = {}
    for name, info in found.items():
        path = PurePosixPath(name).relative_to(folder)
        if not any(part.startswith(".") for part in path.parts):
            files[str(path)] = str(info["dvc_info"]["md5"])
    return dict(sorted(files.items()))


def _sources(dvc: DVCFileSystem) -> list[str]:
    """Names of the data sets of a revision."""
    if not dvc.exists(str(RAW)):
        return []
    names = (entry["name"] for entry in dvc.ls(str(RAW), detail=True) if "dvc_info" in entry)
    return sorted(PurePosixPath(name).name for name in names)
