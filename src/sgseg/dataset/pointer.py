"""Whether data/raw/NAME is what DVC saw last: what its file data/raw/NAME.dvc points to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from sgseg.dataset.versions import listing, tracked_files
from sgseg.errors import InputError, Problem


def changed_files(root: Path, source: str) -> dict[str, tuple[str | None, str | None]]:
    """Files of the workspace that DVC has not seen as they are: MD5 (then, now), None for absent.

    Hidden files do not count. Empty where DVC has never seen the data set.

    Raises
    ------
    InputError
        data/raw/NAME.dvc is damaged; or files differ, and DVC's list of what they were is neither
        in the cache nor in a remote.
    """
    pointer = root / "data" / "raw" / f"{source}.dvc"
    if not pointer.exists():
        return {}
    try:
        kept = str(yaml.safe_load(pointer.read_text(encoding="utf-8"))["outs"][0]["md5"])
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, IndexError, TypeError):
        remedy = f"Take it back from version control: `git checkout {pointer.name}` beside it."
        raise InputError(Problem(str(pointer), "no file of DVC's", remedy=remedy)) from None
    now = listing(root, source).files
    # Nearly always so, and then DVC need not be asked.
    if _digest(now) == kept:
        return {}
    then = tracked_files(root, source)
    paths = sorted({*then, *now})
    return {
        path: (then.get(path), now.get(path)) for path in paths if then.get(path) != now.get(path)
    }


def _digest(files: Mapping[str, str]) -> str:
    """What DVC calls a folder of these files."""
    from dvc_data.hashfile.hash_info import HashInfo  # noqa: PLC0415
    from dvc_data.hashfile.tree import Tree  # noqa: PLC0415

    tree = Tree()  # type: ignore[no-untyped-call]
    for path, md5 in files.items():
        tree.add(tuple(path.split("/")), None, HashInfo("md5", md5))
    tree.digest()
    return str(tree.hash_info.value)
