"""Section `quantify`: how the stage of this name measures the test images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from sgseg.config.values import Count, Positive, Section

# A name is no number in quotes.
Channel = Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"\D")] | None


class Quantify(Section):
    """Channels of the files as they were handed over, and what is counted; docs/quantify.md.

    The SG marker is the channel that dataset.yaml names.
    """

    unit: Literal["auto", "cells", "nuclei", "image", "foreground"]
    nuclei_channel: Channel
    cell_channel: Channel
    marker_channel: Channel
    split: Literal["distance", "probability", "none"]
    min_positive: Count
    count_border_cells: bool
    nucleus_diameter_um: Positive
    reference: Annotated[str, Field(min_length=1)] | None
    design: Literal["auto", "paired", "independent"]

    @field_validator("nuclei_channel")
    @classmethod
    def _is_there(cls, channel: Channel, info: ValidationInfo) -> Channel:
        unit = info.data.get("unit")
        if channel is None and unit in {"cells", "nuclei"}:
            raise ValueError(f"unit {unit} needs one; without: unit image or foreground")
        return channel
