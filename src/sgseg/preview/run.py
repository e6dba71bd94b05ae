"""A preview from beginning to end: both runs, what differs between them, the page."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from sgseg.dataset.folders import replacing_folder
from sgseg.preview.calls import CallError, call
from sgseg.preview.clone import Clone
from sgseg.preview.revisions import Revisions, find_revisions
from sgseg.preview.summary import Preview, page, run_url
from sgseg.preview.tables import of_one_run, rows
from sgseg.preview.tiny import overridden, tiny_sections

logger = logging.getLogger(__name__)

PICTURES = ("reports/evaluation/gallery_*.png", "reports/quantify/overlays/*.png")
LAST_LINES = 40  # of what a failed run said


def preview(root: Path, base: str, out: Path, build: Path) -> bool:
    """Run the pipeline tiny at the present state and where it left `base`, and write what differs.

    Parameters
    ----------
    root
        The project; only read.
    base
        Branch, tag or commit to compare with.
    out
        Folder to write: summary.md, and the pictures in base/ and head/. Replaced as a whole.
    build
        Folder of the scratch clone and its cache.

    Returns
    -------
    bool
        Whether the pipeline ran through at the present state.
    """
    found = Preview(find_revisions(root, base), tiny=overridden(tiny_sections(root)))
    with replacing_folder(out) as folder:
        run_both(root, found, Clone(root, build), folder)
        if found.revisions.base:
            compare_commits(root, found, found.revisions.base)
        found.pictures = tuple(
            path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.png"))
        )
        text = page(found, run_url())
        (folder / "summary.md").write_text(text, encoding="utf-8")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(text)
    return "head" not in found.failures


def run_both(root: Path, found: Preview, clone: Clone, folder: Path) -> None:
    """Run the base, then the head, and compare their scores."""
    sections = tiny_sections(root)
    commits = {"base": found.revisions.base, "head": found.revisions.head}
    for which, commit in commits.items():
        if commit is None:
            continue
        logger.info("%s, %s: the pipeline, tiny", which, commit[:7])
        try:
            run = clone.run(commit, sections)
        except CallError as error:
            lines = error.said.replace("\r", "\n").splitlines()
            found.failures[which] = "\n".join(lines[-LAST_LINES:])
            continue
        setattr(found, which, run)
        copy_pictures(clone.path, folder / which)
    if found.head and found.base:
        found.scores = clone.dvc("metrics", "diff", "--md", found.base.commit, found.head.commit)
    elif found.head:
        found.scores = of_one_run(clone.dvc("metrics", "show", "--json"))


def copy_pictures(project: Path, folder: Path) -> None:
    """Copy the overlays of a run, flat; names are told apart by their folder."""
    for pattern in PICTURES:
        for path in sorted(project.glob(pattern)):
            folder.mkdir(exist_ok=True)
            shutil.copyfile(path, folder / f"{path.parent.name}_{path.name}")


def compare_commits(root: Path, found: Preview, base: str) -> None:
    """What differs between the commits themselves: parameters, packages, dvc.lock's model."""
    revisions: Revisions = found.revisions
    found.params = call("dvc", "params", "diff", "--md", base, revisions.head, cwd=root)
    changed = call("git", "diff", "--name-only", base, revisions.head, cwd=root).splitlines()
    found.has_other_packages = "requirements.lock" in changed
    found.is_locked = "dvc.lock" in changed
    if not found.is_locked:
        return
    # From DVC's cache, or from its remote where there is one and the credentials for it.
    difference = ("dvc", "metrics", "diff", "--md", base, revisions.head)
    try:
        found.real_scores = call(*difference, cwd=root)
        if not rows(found.real_scores) and not rows(call(*difference, "--all", cwd=root)):
            found.real_problem = "neither DVC's cache nor a remote has them."
    except CallError as error:
        found.real_problem = error.said.strip().rpartition("\n")[2]
