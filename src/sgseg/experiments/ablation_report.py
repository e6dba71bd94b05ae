"""Tables and pictures of recipes: what was tried, what it was worth, what the best one misses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sgseg.config import Params
from sgseg.evaluation.data import DataSet
from sgseg.evaluation.illustrations import best_median_worst
from sgseg.evaluation.operating import granules
from sgseg.evaluation.pictures import Case, save_gallery
from sgseg.evaluation.summary import ImageCounts
from sgseg.experiments.ablations import Outcome
from sgseg.experiments.compare import (
    SHOWN,
    Interval,
    as_cell,
    as_row,
    with_intervals,
)
from sgseg.training.out_of_fold import held_out, operating_points

BASELINE, CEILING = "difference of Gaussians", "two labellers"
# In the page; the files have Dice and the object F1 at IoU 0.5 with intervals, too.
WITH_INTERVAL = ("object_f1", "foreground_iou")
COLUMNS = [
    *("recipe", "compared_with", "changes", "seeds"),
    *(f"{name}{part}" for name in SHOWN for part in ("", "_low", "_high")),
    *(f"{name}_gain{part}" for name in SHOWN for part in ("", "_low", "_high")),
    *("single_object_f1", "seconds", "ms_per_megapixel", "error"),
]


def write_ablations(
    folder: Path,
    outcomes: Sequence[Outcome],
    params: Params,
    data: DataSet,
    *,
    baseline: Sequence[ImageCounts],
    ceiling: Mapping[str, Interval],
) -> None:
    """Write `table.csv`, `table.md`, `per_image.csv` and `worst.png`, failures of the best recipe.

    Parameters
    ----------
    baseline
        The classical method on the same images.
    ceiling
        Scores of one mask of an image against another.
    """
    baseline_scores = with_intervals(baseline, params)
    rows = [
        {"recipe": BASELINE, **as_row(baseline_scores)},
        *(_row(outcome) for outcome in outcomes),
        {"recipe": CEILING, **as_row(ceiling)},
    ]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / "table.csv", index=False)
    methods = [(BASELINE, baseline), *((o.variant.name, o.counts) for o in outcomes)]
    images = [_image_row(name, c) for name, counts in methods for c in counts]
    pd.DataFrame(images).to_csv(folder / "per_image.csv", index=False)
    best = max(
        (outcome for outcome in outcomes if outcome.counts),
        key=lambda outcome: outcome.scores["object_f1"]["value"] or 0.0,
        default=None,
    )
    page = _page(outcomes, params, baseline_scores, ceiling)
    if best is not None:
        _save_worst(folder / "worst.png", best, params, data)
        page += (
            f"\n## Where the best recipe fails\n\n*{_plain(best.variant.name)}* has the highest "
            "object F1; its worst images, as they were held out:\n\n![worst images](worst.png)\n"
        )
    (folder / "table.md").write_text(page, encoding="utf-8")


def _row(outcome: Outcome) -> dict[str, Any]:
    variant = outcome.variant
    done = (
        {
            "seconds": round(outcome.seconds, 1),
            "ms_per_megapixel": round(outcome.milliseconds_per_megapixel, 1),
        }
        if outcome.results
        else {}
    )
    return {
        "recipe": variant.name,
        "compared_with": variant.origin,
        "changes": json.dumps(variant.changes, ensure_ascii=False) if variant.changes else "",
        "seeds": " ".join(map(str, variant.seeds)),
        **as_row(outcome.scores),
        **as_row(outcome.gain, "_gain"),
        "single_object_f1": " ".join(f"{f1:.6f}" for f1 in outcome.single_f1),
        **done,
        "error": outcome.error,
    }


def _image_row(name: str, counts: ImageCounts) -> dict[str, Any]:
    return {
        "recipe": name,
        "image_id": counts.image_id,
        "group": counts.group,
        "object_f1": round(counts.objects.f1, 6),
        "objects_tp": counts.objects.tp,
        "objects_fp": counts.objects.fp,
        "objects_fn": counts.objects.fn,
        "object_f1_50": round(counts.objects_50.f1, 6),
        "foreground_iou": round(counts.pixels.iou, 6),
        "foreground_dice": round(counts.pixels.dice, 6),
    }


def _page(
    outcomes: Sequence[Outcome],
    params: Params,
    baseline: Mapping[str, Interval],
    ceiling: Mapping[str, Interval],
) -> str:
    columns = ["recipe", "compared with", "what differs"]
    for name, title in SHOWN.items():
        columns += [f"{title} [95 %]", "gain"] if name in WITH_INTERVAL else [title]
    lines = [
        [BASELINE, "", "", *_cells(baseline, {}), ""],
        *(_line(outcome) for outcome in outcomes),
        [CEILING, "", "", *_cells(ceiling, {}), ""],
    ]
    table = "\n".join(
        f"| {' | '.join(cells)} |"
        for cells in ([*columns, "seconds"], ["---"] * (len(columns) + 1), *lines)
    )
    settings, iou = params.evaluate, params.evaluate.object_iou
    return f"""# {_plain(params.data.source)}: what each change of the recipe is worth

{table}

Out of fold: each image by a network that neither trained on its group nor was stopped by it, at a
threshold and minimum area chosen on the other folds. A granule counts as found at IoU {iou}.
Intervals are over groups ({settings.bootstrap} bootstrap resamples). *Gain* is that over the recipe
compared with, on the same images, with an interval of the difference itself: one that holds 0 may
be chance, and so may one in twenty that does not. What another seed of the training would change is
in none of them. *Two labellers* is the agreement of different masks of the same image. Seconds are
those of training and prediction in all folds, with {params.ablations.workers} trained at once.
{_singles(outcomes)}"""


def _line(outcome: Outcome) -> list[str]:
    variant = outcome.variant
    differs = [f"{key.partition('.')[2]} {_value(value)}" for key, value in variant.changes.items()]
    if len(variant.seeds) > 1:
        differs.append(f"mean of {len(variant.seeds)} trainings")
    head = [_plain(variant.name), _plain(variant.origin), _plain("; ".join(differs))]
    if outcome.error:
        empty = [""] * (len(SHOWN) + len(WITH_INTERVAL))
        return [*head, f"failed: {_plain(outcome.error)}", *empty]
    return [*head, *_cells(outcome.scores, outcome.gain), f"{outcome.seconds:.0f}"]


def _cells(scores: Mapping[str, Interval], gain: Mapping[str, Interval]) -> list[str]:
    cells = []
    for name in SHOWN:
        if name in WITH_INTERVAL:
            cells += [as_cell(scores.get(name)), as_cell(gain.get(name), signed=True)]
        else:
            cells.append(as_cell(scores.get(name), interval=False))
    return cells


def _value(value: Any) -> str:
    if not isinstance(value, Mapping):
        return str(value).lower() if isinstance(value, bool) else str(value)
    rest = ", ".join(f"{key} {part}" for key, part in value.items() if key != "name")
    return f"{value.get('name', '')} ({rest})" if rest else str(value.get("name", ""))


def _singles(outcomes: Sequence[Outcome]) -> str:
    lines = [
        f"- *{_plain(o.variant.name)}*: {', '.join(f'{f1:.3f}' for f1 in o.single_f1)}"
        for o in outcomes
        if o.single_f1
    ]
    if not lines:
        return ""
    return "\nObject F1 of each training alone, which differ by their seed only:\n\n" + "\n".join(
        [*lines, ""]
    )


def _plain(text: str) -> str:
    """One line that does not end a cell of the table."""
    return " ".join(text.split()).replace("|", "\\|").replace("*", "\\*")


def _save_worst(path: Path, best: Outcome, params: Params, data: DataSet) -> None:
    points = operating_points(best.results, best.variant.params)
    found = {
        image.image_id: granules(image.probability, points[image.fold])
        for image in held_out(best.results)
    }
    cases = [
        Case(
            f"{c.image_id}: F1 {c.objects.f1:.2f}, IoU {c.pixels.iou:.2f}",
            data.pixels(c.image_id),
            data.truth(c.image_id),
            found[c.image_id],
        )
        for c in best_median_worst(best.counts, params.evaluate.gallery).get("worst", [])
    ]
    if cases:
        save_gallery(path, cases)
