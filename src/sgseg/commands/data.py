"""`sgseg data`: extend a data set, and tell two versions of one apart."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgseg.errors import InputError, Problem

if TYPE_CHECKING:
    import pandas as pd

    from sgseg.dataset.difference import DataDifference
    from sgseg.dataset.versions import Listing

_ADD = """\
Add images and masks to a data set in data/raw. They are read as the data set says (dataset.yaml:
channel, projection, bit depth, masks, pattern), and every one of them is checked first. Then the
stages up to `split` are tried on all images together: copies of old images are found and stay with
their group, and no old image changes between test and development. If anything is wrong, all of it
is listed and nothing changes. Otherwise the data set takes its new form at one stroke, DVC gets it,
and one git commit holds the change, and nothing else."""

_ADD_EXAMPLES = """\
examples:
  sgseg data add ~/SG_march --images raw --masks drawn --dry-run
  sgseg data add ~/SG_march --images raw --masks drawn
  sgseg data add ~/SG_march --images raw --masks drawn --name dose --samples samples.csv
  sgseg data add ~/corrected --images raw --masks drawn --relabel"""

_DIFF = """\
Tell two versions of a data set apart by image: new, removed, relabelled (another mask), changed
(other pixels), renamed, described otherwise. No image is fetched."""

_DIFF_EXAMPLES = """\
examples:
  sgseg data diff HEAD~1              the version before the last commit, against the workspace
  sgseg data diff v1 main             two git revisions
  sgseg data diff HEAD --source dose --json"""


def add_parser(subparsers: Any) -> None:
    """Add `data` to the commands."""
    parser = subparsers.add_parser("data", help="add images to a data set, tell versions apart")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_add(actions)
    _add_diff(actions)


def _add_add(actions: Any) -> None:
    parser = actions.add_parser(
        "add",
        help="add images and masks to a data set",
        description=_ADD,
        epilog=_ADD_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("src", metavar="NEW_FOLDER", help="the folder that holds images and masks")
    parser.add_argument(
        "--images", required=True, metavar="DIR", help="folder of images in NEW_FOLDER"
    )
    parser.add_argument(
        "--masks", required=True, metavar="DIR", help="folder of masks in NEW_FOLDER"
    )
    parser.add_argument(
        "--name", metavar="NAME", help="the data set, data/raw/NAME; default: data.source"
    )
    said = parser.add_mutually_exclusive_group()
    said.add_argument(
        "--samples",
        metavar="TABLE",
        help="table with a row for each new image: image, group, condition, replicate, ...",
    )
    said.add_argument(
        "--pattern",
        metavar="REGEX",
        help="finds the same in the new names, for a data set that has a table",
    )
    parser.add_argument(
        "--relabel",
        action="store_true",
        help="let new masks of images that are there take the place of the old ones",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be done, and change nothing"
    )
    parser.add_argument("--no-commit", action="store_true", help="leave the git commit to me")
    parser.add_argument("--root", default=".", metavar="DIR", help="the project's root")
    parser.set_defaults(run=run_add)


def _add_diff(actions: Any) -> None:
    parser = actions.add_parser(
        "diff",
        help="tell two versions of a data set apart, by image",
        description=_DIFF,
        epilog=_DIFF_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("old", metavar="REV", help="a commit, branch or tag, or such as HEAD~1")
    parser.add_argument(
        "new", metavar="REV2", nargs="?", help="another one; default: the workspace"
    )
    parser.add_argument(
        "--source", metavar="NAME", help="the data set; default: data.source of params.yaml"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--root", default=".", metavar="DIR", help="the project's root")
    parser.set_defaults(run=run_diff)


def run_add(arguments: argparse.Namespace) -> int:
    """Carry out `sgseg data add`."""
    from sgseg.dataset.add import carry_out, plan_addition  # noqa: PLC0415
    from sgseg.dataset.add_text import counts_line, trial_lines  # noqa: PLC0415

    addition = plan_addition(
        arguments.src,
        images=arguments.images,
        masks=arguments.masks,
        name=arguments.name,
        samples=arguments.samples,
        pattern=arguments.pattern,
        relabel=arguments.relabel,
        root=arguments.root,
    )
    merged, trial = addition.merged, addition.trial
    _print(f"{merged.target}: {counts_line(merged)}")
    if trial is None:
        _print("Nothing to add.")
        return 0
    _print(*trial_lines(merged, trial), "")
    if arguments.dry_run:
        _print("Nothing was changed (--dry-run).")
        return 0
    outcome = carry_out(addition, with_commit=not arguments.no_commit)
    if outcome.commit:
        _print(f"Commit {outcome.commit.name} holds it: {', '.join(outcome.files)}")
        _print("Now send the images, then the commit:", "", "    dvc push", "    git push")
    elif not outcome.with_dvc:
        _print(f"The images are in {merged.target}; not under version control: there is no DVC.")
    else:
        _print(f"DVC has it; no commit was made: {outcome.commit.reason}")
        if outcome.files:
            files = " ".join(outcome.files)
            message = f"Data set {addition.name}: {counts_line(merged)}"
            _print("By hand:", "", f"    git add {files}", f"    git commit -m '{message}' {files}")
            _print("    dvc push", "    git push")
    return 0


def run_diff(arguments: argparse.Namespace) -> int:
    """Carry out `sgseg data diff`."""
    from sgseg.dataset.difference import compare_versions  # noqa: PLC0415
    from sgseg.dataset.versions import WORKSPACE, listing, manifest_at, source_at  # noqa: PLC0415

    root, old_rev, new_rev = Path(arguments.root), arguments.old, arguments.new
    used = source_at(root, old_rev), source_at(root, new_rev)
    source = arguments.source or used[1]
    if source is None:
        remedy = "Name the data set with --source, or run from the project's root."
        where = f"params.yaml in {new_rev or WORKSPACE}"
        raise InputError(Problem(where, "no data.source", remedy=remedy))
    new = listing(root, source, new_rev)
    note = ""
    try:
        old: Listing | None = listing(root, source, old_rev)
    except InputError:
        # Another data set was in use then: all of this one is new, unless REV itself is wrong.
        if arguments.source or used[0] in {None, source}:
            raise
        old = None
    if used[0] != used[1] and not arguments.source:
        note = f"params.yaml used data.source {used[0]} at {old_rev}, and {used[1]} in {new.where}."
    difference = compare_versions(old, new)
    if arguments.json:
        content = {"source": source, "from": old_rev, "to": new_rev, "note": note}
        _print(json.dumps(content | difference.to_dict(), indent=1, ensure_ascii=False))
        return 0
    _print(*([note] if note else []))
    _print(f"{source}: {_count(old)} at {old_rev}, {_count(new)} in {new.where}")
    if not difference:
        _print("Nothing differs.")
        return 0
    granules = [
        _granules(listed, manifest_at(root, rev) if difference.relabelled else None)
        for listed, rev in ((old, old_rev), (new, new_rev))
    ]
    _print(*_difference_lines(difference, granules))
    return 0


def _count(listed: Listing | None) -> str:
    return "not there" if listed is None else f"{len(listed.images)} images"


def _granules(listed: Listing | None, manifest: pd.DataFrame | None) -> dict[str, int]:
    """Granules of each image whose mask is the one that the manifest was made of."""
    if listed is None or manifest is None:
        return {}
    rows = manifest[manifest["source"] == listed.source].dropna(subset=["n_objects"])
    return {
        name: int(count)
        for name, md5, count in zip(
            rows["image_id"], rows["mask_md5"], rows["n_objects"], strict=True
        )
        if name in listed.images and listed.images[name].mask_md5 == md5
    }


def _difference_lines(difference: DataDifference, granules: Sequence[dict[str, int]]) -> list[str]:
    old_names = {new: old for old, new in difference.renamed}
    relabelled = []
    for name in difference.relabelled:
        before, after = granules[0].get(old_names.get(name, name)), granules[1].get(name)
        known = before is not None and after is not None
        relabelled.append(f"{name}: {before} -> {after} granules" if known else name)
    kinds: dict[str, Sequence[str]] = {
        "new": difference.new,
        "removed": difference.removed,
        "relabelled": relabelled,
        "other pixels": difference.changed,
        "renamed": [f"{old} -> {new}" for old, new in difference.renamed],
        "described otherwise": [
            f"{name}: {_changes(changes)}" for name, changes in difference.described.items()
        ],
        "dataset.yaml": [_changes({key: item}) for key, item in difference.settings.items()],
        "other files": difference.other,
    }
    lines = [f"  {len(items):5d} {kind}" for kind, items in kinds.items() if items]
    for kind, items in kinds.items():
        if items:
            lines += ["", f"{kind}:", *(f"  {item}" for item in items)]
    return lines


def _changes(changes: Any) -> str:
    return ", ".join(
        f"{key} {_said(before)} -> {_said(after)}" for key, (before, after) in changes.items()
    )


def _said(value: object) -> str:
    return "not stated" if value in {None, ""} else str(value)


def _print(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
