"""A decision as people read it: a page in HTML and Markdown, with pictures of both models."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import jinja2

from sgseg.dataset.folders import replacing_folder
from sgseg.dataset.manifest import (
    read_canonical_image,
    read_canonical_labels,
    read_manifest,
)
from sgseg.evaluation.pages import render
from sgseg.gate.decision import Check, Decision, Model, UsedImage, write_json
from sgseg.gate.images import segment_canonical
from sgseg.gate.pictures import (
    Comparison,
    drawn,
    most_different,
    save_comparison,
    save_differences,
)
from sgseg.gate.rule import LOWER_IS_BETTER, TITLES, signed
from sgseg.inference.segmenter import Segmenter

HEADLINES = {
    ("promote", True): "The challenger replaces the champion",
    ("promote", False): "The challenger becomes the first champion",
    ("keep", True): "The champion stays",
    ("keep", False): "The challenger is refused; there is no champion yet",
}
MARKS = {True: "passed", False: "failed", None: "unknown"}
KINDS = {
    "floor": "The challenger alone",
    "primary": "The score that decides",
    "margin": "What must not be lost",
}
ON_TIE = {
    "keep": "A tie goes to the champion.",
    "promote": "A tie goes to a challenger that is not lower.",
    "more_data": "A tie goes to a challenger that is not lower and was trained on more images.",
}


def write_decision(
    folder: str | Path,
    decision: Decision,
    *,
    challenger: str | Path,
    champion: str | Path | None,
    dataset: str | Path,
) -> None:
    """Write decision.json, decision.md and decision.html with its pictures into `folder`.

    The folder is replaced, whole or not at all. The page in HTML needs no other file.

    Parameters
    ----------
    challenger, champion, dataset
        What the decision was made on: both models are run again on the few images shown.
    """
    with replacing_folder(folder) as new:
        write_json(new, decision)
        pictures = _pictures(
            new,
            decision,
            Segmenter.load(challenger) if decision.images else None,
            Segmenter.load(champion) if decision.images and champion is not None else None,
            Path(dataset),
        )
        context = _context(decision) | {"pictures": pictures}
        _write(new / "decision.md", render("decision.md.jinja", context, package="sgseg.gate"))
        _write(new / "decision.html", _html(new, context))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _html(folder: Path, context: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sgseg.gate"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def inline(name: str) -> str:
        content = base64.b64encode((folder / name).read_bytes()).decode("ascii")
        return f"data:image/png;base64,{content}"

    environment.filters["inline"] = inline
    return environment.get_template("decision.html.jinja").render(context)


def _pictures(
    folder: Path,
    decision: Decision,
    challenger: Segmenter | None,
    champion: Segmenter | None,
    dataset: Path,
) -> dict[str, Any]:
    differences = drawn(decision.checks)
    if differences:
        save_differences(folder / "differences.png", differences)
    images = []
    if challenger is not None:
        sizes = read_manifest(dataset).set_index("image_id")["pixel_size_um"].dropna()
        for number, image in enumerate(most_different(decision), start=1):
            size = sizes.get(image.image_id)
            mine, theirs = (
                None if model is None else segment_canonical(model, dataset, image.image_id, size)
                for model in (challenger, champion)
            )
            assert mine is not None
            truth = read_canonical_labels(dataset, image.image_id)
            name = f"image_{number}.png"
            pixels = read_canonical_image(dataset, image.image_id)
            save_comparison(folder / name, Comparison(pixels, truth, theirs, mine))
            images.append({"file": name, "title": image.image_id, "said": _in_words(image)})
    return {"differences": "differences.png" if differences else None, "images": images}


def _in_words(image: UsedImage) -> str:
    sides = [("challenger", image.challenger)]
    if image.champion is not None:
        sides.insert(0, ("champion", image.champion))
    return f"{image.granules} granules. " + " ".join(
        f"The {name} finds {scores.found} and {scores.false} false ones: "
        f"object F1 {scores.object_f1:.2f}, foreground IoU {scores.foreground_iou:.2f}."
        for name, scores in sides
    )


def _context(decision: Decision) -> dict[str, Any]:
    has_champion = decision.champion is not None
    return {
        "decision": decision,
        "headline": HEADLINES[decision.outcome, has_champion],
        "groups": len({image.group for image in decision.images}),
        "models": _model_rows(decision.challenger, decision.champion),
        "checks": {
            title: [_check_row(check) for check in decision.checks if check.kind == kind]
            for kind, title in KINDS.items()
            if any(check.kind == kind for check in decision.checks)
        },
        "latency": decision.latency,
        "on_tie": ON_TIE[decision.rule["on_tie"]],
        "has_champion": has_champion,
    }


def _model_rows(challenger: Model, champion: Model | None) -> list[tuple[str, str, str]]:
    def facts(model: Model) -> dict[str, str]:
        return {
            "bundle": model.digest,
            "trained on": f"{model.trained_on} images" if model.trained_on else "not said",
            "members averaged": str(model.members),
            "orientations averaged": str(model.orientations),
            "threshold": f"{model.threshold:g}",
            "minimum area (px)": str(model.min_area_px),
            "data": str(model.facts.get("data", "")),
            "commit": str(model.facts.get("commit", "")),
        }

    mine, theirs = facts(challenger), facts(champion) if champion else {}
    return [(name, theirs.get(name, ""), value) for name, value in mine.items()]


def _check_row(check: Check) -> dict[str, str]:
    """One row of text cells."""
    lower = check.score in LOWER_IS_BETTER
    asked = {
        "floor": f"{'at most' if lower else 'at least'} {check.limit:.3g}",
        "primary": f"a win, or a tie above -{check.limit:.3g}",
        "margin": f"{'rises' if lower else 'falls'} by at most {check.limit:.3g}",
    }[check.kind]
    return {
        "score": TITLES[check.score],
        "asked": asked,
        "champion": "" if check.champion is None else f"{check.champion:.3f}",
        "challenger": "" if check.challenger is None else f"{check.challenger:.3f}",
        "difference": "" if check.difference is None else signed(check.difference),
        "mark": MARKS[check.passed],
    }
