"""Section `promote`: what a new model must show before it replaces the one in use."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sgseg.config.values import Count, Fraction, NotNegative, Section


class Floors(Section):
    """The least of each score, whatever the champion reaches."""

    object_f1: Fraction
    foreground_iou: Fraction


class Margins(Section):
    """What a challenger may lose of each score, on the same images as the champion.

    `object_f1` is the primary score: within the margin it is a tie. `count_error` is a share of the
    mean number of granules per image, `false_per_empty` a number of granules per image.
    """

    object_f1: Fraction
    pooled_iou: Fraction
    object_precision: Fraction
    object_recall: Fraction
    count_error: NotNegative
    false_per_empty: NotNegative


class Promote(Section):
    """The rule; docs/gate.md says what it is worth.

    `on_tie`: `keep` the champion, `promote` a challenger that is not lower, or `more_data`: promote
    it if it was trained on more images as well.
    """

    floors: Floors
    most_false_per_empty: NotNegative
    margins: Margins
    most_slowdown: Annotated[float, Field(ge=1)]
    on_tie: Literal["promote", "more_data", "keep"]
    min_groups: Count
