"""The tables that a run ends with: text for a terminal, rows for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# What the report, the console and the comparison of runs lead with, and how a reader knows them.
HEADLINE = {
    "object_f1": "object F1",
    "object_precision": "object precision",
    "object_recall": "object recall",
    "object_f1_50": "object F1 at IoU 0.5",
    "panoptic_quality": "panoptic quality",
    "foreground_iou": "foreground IoU, mean of images",
    "foreground_dice": "Dice, mean of images",
    "precision": "pixel precision",
    "recall": "pixel recall",
    "accuracy": "pixel accuracy",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "count_error": "error of the count per image",
    "false_per_empty": "false granules per empty image",
}
COLUMNS = (
    "score",
    "folds, mean ± sd",
    "out of fold [95 %]",
    "test [95 %]",
    "baseline, out of fold",
    "baseline, test",
    "two labellers",
)
AVERAGING_COLUMNS = (
    "averaged over",
    "object F1, out of fold",
    "foreground IoU, out of fold",
    "object F1, test",
    "foreground IoU, test",
    "ms per megapixel",
)
CEILING = {
    "object_f1": "object_f1",
    "foreground_iou": "iou",
    "foreground_dice": "dice",
}


def score_rows(metrics: Mapping[str, Any], names: Mapping[str, str]) -> list[list[str]]:
    """One row of text cells per score, in the order of `COLUMNS`; empty where there is none."""
    rows = []
    for name, title in names.items():
        fold = metrics.get("cv", {}).get(name)
        ceiling = (metrics.get("label_ceiling") or {}).get(CEILING.get(name, ""))
        rows.append(
            [
                title,
                f"{fold['mean']:.3f} ± {fold['std']:.3f}" if fold else "",
                _interval(metrics, "out_of_fold", name),
                _interval(metrics, "test", name),
                _value(metrics, "baseline_out_of_fold", name),
                _value(metrics, "baseline_test", name),
                "" if ceiling is None else f"{ceiling:.3f}",
            ]
        )
    return rows


def measured(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Those of `score_rows` that say anything: where no image is empty, none has false granules."""
    return [row for row in rows if any(row[1:])]


def averaging_rows(
    metrics: Mapping[str, Any], milliseconds: Mapping[str, float], *, in_use: tuple[str, int]
) -> list[list[str]]:
    """Rows of text cells for `AVERAGING_COLUMNS`, from the cheapest to the dearest.

    Parameters
    ----------
    metrics
        Of an evaluation; its section `averaging` is shown.
    milliseconds
        Per megapixel by `<members>_<orientations>`; shown also as multiples of one_1.
    in_use
        "one" or "all" members and the number of orientations: that row says so.
    """
    section = metrics.get("averaging", {})
    n_members = len(metrics.get("folds", {}))
    rows = []
    for members, shown in (("one", "1 network"), ("all", f"all {n_members} networks")):
        for n in (1, 8):
            name = f"{shown}, {n} orientation{'' if n == 1 else 's'}"
            cells = [
                _spread(section.get(f"{members}_{n}_{part}_{score}"))
                for part in ("out_of_fold", "test")
                for score in ("object_f1", "foreground_iou")
            ]
            cost = milliseconds.get(f"{members}_{n}")
            rows.append(
                [
                    f"**{name}** (in use)" if (members, n) == in_use else name,
                    *cells,
                    "" if cost is None else f"{cost:.0f} ({cost / milliseconds['one_1']:.1f} x)",
                ]
            )
    return rows


def gain_rows(metrics: Mapping[str, Any], names: Mapping[str, str]) -> list[list[str]]:
    """Rows of text cells: what is compared, and its gain in object F1 and foreground IoU."""
    section = metrics.get("averaging", {})
    rows = [
        [title, *(_gain(section.get(f"gain_{name}_{s}")) for s in ("object_f1", "foreground_iou"))]
        for name, title in names.items()
    ]
    return [row for row in rows if any(row[1:])]


def as_text(rows: Sequence[Sequence[str]], columns: Sequence[str] = COLUMNS) -> str:
    """Aligned columns for a terminal."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    lines = [columns, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def _interval(metrics: Mapping[str, Any], part: str, name: str) -> str:
    entry = metrics.get(part, {}).get(name)
    if not entry or "value" not in entry:
        return ""
    text = f"{entry['value']:.3f}"
    if "low" in entry and "high" in entry:
        text += f" [{entry['low']:.2f}, {entry['high']:.2f}]"
    return text


def _value(metrics: Mapping[str, Any], part: str, name: str) -> str:
    entry = metrics.get(part, {}).get(name)
    return f"{entry['value']:.3f}" if entry and "value" in entry else ""


def _spread(entry: Mapping[str, float] | None) -> str:
    if not entry or "value" not in entry:
        return ""
    text = f"{entry['value']:.3f}"
    return f"{text} ± {entry['std']:.3f}" if "std" in entry else text


def _gain(entry: Mapping[str, float] | None) -> str:
    if not entry or "value" not in entry:
        return ""
    text = f"{entry['value']:+.3f}"
    if "low" in entry and "high" in entry:
        text += f" [{entry['low']:+.3f}, {entry['high']:+.3f}]"
    return text
