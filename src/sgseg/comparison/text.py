"""A comparison in words and tables, for a terminal and for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sgseg.comparison.evaluated import Evaluated, differing
from sgseg.comparison.images import PARTS, Common, Part, reasons
from sgseg.comparison.paired import COUNTS, LOWER_IS_BETTER, SAME, SCORES, Comparison, Row
from sgseg.evaluation.table import as_text

COLUMNS = ("score", "A", "B", "B - A [95 %]", "")
MOST = 10
"""Images that are listed."""
SHOWN_OF_DIGEST = 8


@dataclass(frozen=True)
class Compared:
    """All that is said of two evaluations.

    Parameters
    ----------
    part
        Which images.
    min_groups
        With fewer, an interval is no evidence (`promote.min_groups`).
    notes
        What a reader has to know before the numbers.
    """

    a: Evaluated
    b: Evaluated
    part: Part
    common: Common
    result: Comparison
    min_groups: int
    notes: tuple[str, ...] = ()


def as_page(found: Compared) -> str:
    """The whole comparison for a terminal."""
    result = found.result
    sections = [
        f"A  {found.a.name}\nB  {found.b.name}\n"
        f"{result.n_images} images in {result.n_groups} groups, {PARTS[found.part]}",
        "\n".join(f"note: {line}" for line in all_notes(found)),
        as_text([score_cells(row) for row in result.rows], COLUMNS),
        said(found),
        f"{by_image_title(result)}\n{_most(result)}",
        f"What differs\n{_differences(found.a, found.b)}",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def all_notes(found: Compared) -> list[str]:
    """What limits the comparison."""
    common, result = found.common, found.result
    notes = [*found.notes, *found.a.notes, *found.b.notes]
    if common.left_out:
        notes.append(f"{len(common.left_out)} left out: {'; '.join(reasons(common.left_out))}.")
    if not same_data(found.a, found.b):
        known = found.a.data and found.b.data
        why = "The data sets differ" if known else "Which data one of them had is not known"
        notes.append(
            f"{why}: images are taken for the same if name, area of the mask and number of "
            "granules are."
        )
    if common.a[list(COUNTS)].equals(common.b[list(COUNTS)]):
        notes.append("Every image has the same counts: the two are the same in all that is scored.")
    if common.refolded:
        notes.append(
            f"{common.refolded} images were held out in other folds, so their networks were "
            "trained on other images too."
        )
    if result.n_groups == 1:
        notes.append("All images are of one group: there is no interval.")
    elif result.n_groups < found.min_groups:
        notes.append(
            f"{result.n_groups} groups are few: an interval over fewer than {found.min_groups} is "
            "no evidence."
        )
    return notes


def said(found: Compared) -> str:
    """The outcome in a sentence or two."""
    result = found.result
    row, title = result.row(result.score), SCORES[result.score]
    verdict = row.verdict
    if row.difference is None or verdict == "undefined":
        sentence = f"{title}: the difference is not defined on these images."
    elif verdict == "no interval":
        sentence = f"{title}: B - A is {row.difference:+.3f}; without an interval this says little."
    elif verdict == "tie":
        sentence = f"A tie in {title}: the interval of B - A includes 0."
    else:
        how = "lower, which is better" if result.score in LOWER_IS_BETTER else "higher"
        worse = "A" if verdict == "B" else "B"
        sentence = f"{verdict} is better than {worse} in {title}: the interval of B - A excludes 0"
        sentence += f" ({verdict} is {how})."
    return (
        f"{sentence}\nBy image: B is better in {result.b_better}, A in {result.a_better}, "
        f"equal in {result.equal}."
    )


def by_image_title(result: Comparison) -> str:
    """Heading of the list of images."""
    return f"Images that differ most in {SCORES[result.score]}"


def score_cells(row: Row) -> list[str]:
    """One row of the table of scores."""
    words = {"tie": "tie", "A": "A better", "B": "B better"}
    return [
        SCORES[row.name],
        _number(row.a),
        _number(row.b),
        _gain(row),
        words.get(row.verdict, ""),
    ]


def same_data(a: Evaluated, b: Evaluated) -> bool:
    """Whether both are known to have had the same images and masks."""
    names = {name for name in (*a.data, *b.data) if name != "split"}
    return bool(names) and all(a.data.get(name) == b.data.get(name) for name in names)


def as_mapping(found: Compared) -> dict[str, Any]:
    """The whole comparison for programs."""
    result = found.result
    return {
        "a": _side(found.a),
        "b": _side(found.b),
        "part": found.part,
        "score": result.score,
        "images": result.n_images,
        "groups": result.n_groups,
        "verdict": result.row(result.score).verdict,
        "scores": {row.name: scores_of(row) for row in result.rows},
        "by_image": {"b_better": result.b_better, "a_better": result.a_better}
        | {"equal": result.equal},
        "same_data": same_data(found.a, found.b),
        "left_out": [vars(item) for item in found.common.left_out],
        "parameters": {name: [a, b] for name, a, b in differing(found.a, found.b)},
        "notes": all_notes(found),
        "differences": [
            {name: row[name] for name in ("image_id", "group", "a", "b", "difference")}
            for row in result.images.round(6).to_dict("records")
        ],
    }


def scores_of(row: Row) -> dict[str, Any]:
    """A score, its values and its verdict."""
    return {
        "a": row.a,
        "b": row.b,
        "difference": row.difference,
        "low": row.low,
        "high": row.high,
        "verdict": row.verdict,
    }


def _side(side: Evaluated) -> dict[str, Any]:
    known = {"name": side.name, "run_id": side.run_id, "data": dict(side.data), **side.origin}
    return {name: value for name, value in known.items() if value}


def _most(result: Comparison) -> str:
    differing_images = result.images[result.images["difference"].abs() > SAME]
    rows = [
        [str(row.image_id), f"{row.a:.3f}", f"{row.b:.3f}", f"{row.difference:+.3f}"]
        for row in differing_images.head(MOST).itertuples()
    ]
    return as_text(rows, ("image", "A", "B", "B - A")) if rows else "none"


def _differences(a: Evaluated, b: Evaluated) -> str:
    rows = [list(row) for row in differing(a, b)]
    rows += _digests("data", a.data, b.data)
    rows += [
        row for row in _digests("", a.origin, b.origin) if row[0] == "code" or row[1] != row[2]
    ]
    if not (a.params and b.params):
        rows.insert(
            0, ["parameters", *("known" if side.params else "not known" for side in (a, b))]
        )
    return as_text(rows, ("", "A", "B")) if rows else "nothing that is known"


def _digests(kind: str, a: Any, b: Any) -> list[list[str]]:
    """Rows of digests; equal ones are said to be the same."""
    rows = []
    for name in dict.fromkeys([*a, *b]):
        title = f"{kind}: {name}" if kind else name
        first, second = (str(side.get(name, "-"))[:SHOWN_OF_DIGEST] for side in (a, b))
        rows.append([title, first, "the same" if a.get(name) == b.get(name) else second])
    return rows


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _gain(row: Row) -> str:
    if row.difference is None:
        return "-"
    if row.low is None or row.high is None:
        return f"{row.difference:+.3f}"
    return f"{row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"
