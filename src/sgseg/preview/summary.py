"""The page of a preview, in Markdown: for a terminal, a job's summary and a comment alike."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from sgseg.preview.clone import Run
from sgseg.preview.revisions import Revisions
from sgseg.preview.tables import compact, folded, headline, names, rows

# GitHub takes 65,536 characters; three long tables and the text around them stay below.
MOST = 15_000


@dataclass
class Preview:
    """All that a preview has found out; None or empty: not to be had, or no difference."""

    revisions: Revisions
    base: Run | None = None
    head: Run | None = None
    failures: dict[str, str] = field(default_factory=dict)  # "base" or "head": what was said
    scores: str = ""  # Markdown, as all tables
    params: str = ""
    tiny: set[str] = field(default_factory=set)  # parameters that params.tiny.yaml replaces
    is_locked: bool = False  # dvc.lock differs
    real_scores: str = ""
    real_problem: str = ""
    has_other_packages: bool = False  # requirements.lock differs
    pictures: tuple[str, ...] = ()  # files, relative to the page


def run_url(environment: Mapping[str, str] = os.environ) -> str:
    """Where this job of GitHub Actions is to be seen; empty elsewhere."""
    parts = [environment.get(f"GITHUB_{n}", "") for n in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
    return "{}/{}/actions/runs/{}".format(*parts) if all(parts) else ""


def page(preview: Preview, url: str = "") -> str:
    """The page.

    Parameters
    ----------
    preview
        What was found out.
    url
        Where the job is to be seen. Its pictures are an artifact there: a comment cannot show them.
    """
    revisions = preview.revisions
    against = f" against `{revisions.base[:7]}`" if revisions.base else ""
    blocks = [f"## Preview of `{revisions.head[:7]}`{against}", revisions.note]
    for which, said in preview.failures.items():
        blocks += [f"**The pipeline failed at the {which}.**", f"```text\n{said.strip()}\n```"]
    if preview.head:
        blocks += [*_tiny(preview), "### Stages", stages(preview.head, preview.base)]
    if revisions.base:
        blocks += [
            "### Parameters",
            *_params(preview),
            "### The model in dvc.lock",
            *_real(preview),
        ]
    if preview.pictures:
        blocks += ["### Pictures", *_pictures(preview.pictures, url)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def stages(head: Run, base: Run | None) -> str:
    """Which stages the change makes run again."""
    touched, untouched = (
        ", ".join(f"`{name}`" for name in group) or "none"
        for group in (head.touched, head.untouched)
    )
    if base is None:
        return f"Ran: {touched}."
    return (
        f"This change makes run again: {touched}.\n\nUntouched, taken from the base: {untouched}."
    )


def _tiny(preview: Preview) -> list[str]:
    text = (
        "The whole pipeline on a few simulated fields, by `params.tiny.yaml`. These scores are of "
        "a model that nobody would use: what counts is that everything runs, and which of them "
        "change."
    )
    if preview.has_other_packages:
        text += " `requirements.lock` differs: both ran with the packages of this change."
    if preview.base and not rows(preview.scores):
        return ["### Scores, tiny", text, "**No score changes.**"]
    return ["### Scores, tiny", text, headline(preview.scores), *_whole(preview.scores)]


def _whole(table: str) -> list[str]:
    if not rows(table):
        return []
    return [folded(f"All {len(rows(table))} scores", compact(table), most=MOST)]


def _params(preview: Preview) -> list[str]:
    if not rows(preview.params):
        return ["No parameter changes."]
    # `tune.budgets` replaces everything below it.
    hidden = [
        name
        for name in names(preview.params)
        if any(name == own or name.startswith((f"{own}.", f"{own}[")) for own in preview.tiny)
    ]
    shown = compact(preview.params)
    blocks = [shown if len(shown) <= MOST else folded("Parameters", shown, most=MOST)]
    if hidden:
        listed = ", ".join(f"`{name}`" for name in hidden)
        blocks.append(
            f"The tiny run has values of its own for {listed}: its scores say nothing of these."
        )
    return blocks


def _real(preview: Preview) -> list[str]:
    if not preview.is_locked:
        return [
            "`dvc.lock` is the same: no other model yet. Merged, a change of a stage is retrained."
        ]
    if preview.real_problem:
        return [f"`dvc.lock` differs, but its scores cannot be had here: {preview.real_problem}"]
    if not rows(preview.real_scores):
        return ["`dvc.lock` differs, and no score does."]
    return [headline(preview.real_scores), *_whole(preview.real_scores)]


def _pictures(pictures: tuple[str, ...], url: str) -> list[str]:
    if url:
        return [f"{len(pictures)} pictures are in the artifact `preview` of [this run]({url})."]
    files = sorted({name.partition("/")[2] for name in pictures})
    sides = [side for side in ("base", "head") if any(name.startswith(side) for name in pictures)]
    table = [f"| picture | {' | '.join(sides)} |", f"|---|{'---|' * len(sides)}"]
    for file in files:
        shown = [f"{side}/{file}" if f"{side}/{file}" in pictures else "" for side in sides]
        links = [f"![{name}]({name})" if name else "" for name in shown]
        table.append(f"| {file.removesuffix('.png')} | {' | '.join(links)} |")
    return ["\n".join(table)]
