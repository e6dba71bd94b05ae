"""The report of a retrain: Markdown and one HTML page, from whatever there is.

What it is made of is gathered in `material`; how it reads is in templates/report.md.jinja.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from sgseg.errors import Problem
from sgseg.evaluation.pages import render, to_html
from sgseg.evaluation.timing import machine
from sgseg.images.write import replacing
from sgseg.registry.evaluated import DATASET
from sgseg.retrain.drift_figure import drawn, save_drift
from sgseg.retrain.material import Material, gather
from sgseg.retrain.overlays import PREFIX, Picture, save_overlays
from sgseg.retrain.page import (
    changes_context,
    decision_context,
    drift_context,
    head_context,
    scores_context,
)
from sgseg.retrain.phrases import COLOURS, as_cell, cut, kind_of, listed, said
from sgseg.tracking.provenance import dvc_md5

PAGE, TEXT, SUMMARY = "report.html", "report.md", "summary.md"
DRIFT = "drift.png"
MOST = 60_000
"""Characters. GitHub takes 65,536 in the description of a pull request; others may add to it."""
LIMITS = (30, 10, 3)
"""Names per list; the shorter ones where the text is too long."""
PACKAGES = (
    "sgseg",
    "keras",
    "tensorflow",
    "onnxruntime",
    "numpy",
    "scikit-image",
    "optuna",
    "mlflow",
    "dvc",
)
STYLE = """
body{{max-width:68rem}}h1{{margin:0 0 .5rem}}h2{{margin-top:2.4rem}}
blockquote{{margin:1rem 0;padding:.2rem 1.2rem;border-left:.5rem solid {colour};background:#f6f6f6}}
code{{overflow-wrap:anywhere}}td code{{overflow-wrap:break-word}}
td[style*="left"]{{white-space:normal;min-width:5rem}}
@media(max-width:40rem){{body{{margin:.8rem auto}}h1{{font-size:1.5rem}}
th,td{{padding:.25rem .4rem}}p:has(img){{overflow-x:auto}}img{{max-width:none;width:50rem}}}}
@media print{{body{{margin:0;max-width:none;font-size:10pt}}img,tr{{break-inside:avoid}}
h2,h3{{break-after:avoid}}table{{display:table;font-size:8.5pt}}
blockquote{{-webkit-print-color-adjust:exact;print-color-adjust:exact}}}}
"""


@dataclass(frozen=True)
class Pictures:
    """Files of pictures, and what could not be drawn."""

    overlays: list[Picture] = field(default_factory=list)
    drift: str = ""
    missing: list[str] = field(default_factory=list)

    @property
    def files(self) -> list[str]:
        """All of them."""
        return [picture.file for picture in self.overlays] + [self.drift] * bool(self.drift)


def write_report(
    root: str | Path,
    folder: str | Path,
    *,
    base: str,
    branch: str,
    outcome: str,
    problems: Sequence[Problem | str] = (),
) -> None:
    """Write report.html, report.md with its pictures, and summary.md without pictures.

    Whatever is missing or broken is said in the report; other files in `folder` are left alone.

    Parameters
    ----------
    root
        The project's root.
    folder
        Such as reports/retrain.
    base, branch
        The commit that was retrained, and the branch with the result; empty without one.
    outcome
        In the words of the retrain: "promote", "not promoted", "refused by validation", ...
    problems
        What validation refused; by default what it left in findings.json.
    """
    root, folder = Path(root), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    found = gather(root, base=base, outcome=outcome, problems=problems)
    # Those of an earlier report, of which this one may have fewer.
    for old in (folder / DRIFT, *folder.glob(f"{PREFIX}*.png")):
        old.unlink(missing_ok=True)
    pictures = _draw(root, folder, found)
    context = _context(root, found, branch=branch)
    text = _render(context, pictures, LIMITS[0])
    _write(folder / TEXT, text)
    _write(folder / SUMMARY, _summary(context, pictures))
    page = to_html(
        text,
        title=context["headline"].title,
        inline={name: folder / name for name in pictures.files},
    )
    _write(folder / PAGE, _for_screens(page, COLOURS[kind_of(outcome)]))


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _draw(root: Path, folder: Path, found: Material) -> Pictures:
    drift = ""
    if found.drift is not None and (shifts := drawn(found.drift)):
        found.attempt("the figure of drift", lambda: save_drift(folder / DRIFT, shifts))
        drift = DRIFT * (folder / DRIFT).is_file()
    decision, challenger = found.decision, found.challenger
    if decision is None or challenger is None:
        return Pictures(drift=drift)
    overlays = found.attempt(
        "the pictures",
        lambda: save_overlays(
            folder,
            decision,
            challenger=challenger,
            champion=found.champion,
            dataset=root / DATASET,
        ),
    )
    drawn_ones, missing = overlays or ([], [])
    return Pictures(drawn_ones, drift, missing)


def _context(root: Path, found: Material, *, branch: str) -> dict[str, Any]:
    """What the template is filled with, but for the pictures and how long lists are."""
    return {
        **head_context(root, found, branch=branch),
        **decision_context(found),
        **scores_context(found),
        "reproduce": _reproduce(root, found, branch=branch),
        "material": found,
        "said": said,
        "cell": as_cell,
    }


def _render(context: dict[str, Any], pictures: Pictures | None, limit: int) -> str:
    """The report with lists of at most `limit` names; without pictures for None."""
    found: Material = context["material"]
    full = {
        **context,
        **changes_context(found, limit),
        **drift_context(found, limit),
        "pictures": pictures,
        "limit": limit,
        "listed": listed,
        "gaps": [*found.gaps, *(pictures.missing if pictures else [])],
    }
    text = render("report.md.jinja", full, package="sgseg.retrain")
    # Parts that are not there leave empty lines.
    lines = [line.rstrip() for line in text.strip().splitlines()]
    kept = [line for number, line in enumerate(lines) if line or (number and lines[number - 1])]
    return "\n".join(kept) + "\n"


def _summary(context: dict[str, Any], pictures: Pictures) -> str:
    """For a pull request: no pictures, and no longer than GitHub takes."""
    without = None if not pictures.files else Pictures(missing=pictures.missing)
    texts = (_render(context, without, limit) for limit in LIMITS)
    text = ""
    for text in texts:
        if len(text) <= MOST:
            return text
    return cut(text, MOST, where=PAGE)


def _reproduce(root: Path, found: Material, *, branch: str) -> dict[str, Any]:
    names = (f"data/raw/{found.changes.source}", DATASET, "models/evaluated")
    md5s = {
        name: md5
        for name in names
        if (root / name).exists() and (md5 := found.attempt(name, partial(dvc_md5, name, root)))
    }
    return {
        "md5s": md5s,
        "versions": {"Python": platform.python_version(), **_versions()},
        "machine": f"{machine()}, {platform.system()} {platform.machine()}",
        "checkout": branch or found.changes.base,
        "fetch": bool(branch),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _for_screens(page: str, colour: str) -> str:
    """A page that fits a phone, with the colour of its outcome beside the first lines."""
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    page = page.replace('<meta charset="utf-8">', f'<meta charset="utf-8">{view}', 1)
    return page.replace("</style>", f"{STYLE.format(colour=colour)}</style>", 1)
