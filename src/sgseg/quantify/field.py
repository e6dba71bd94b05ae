"""One field: its channels read, its cells found, its granules measured. No files are written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgseg.images.read import Image, open_file, read_image
from sgseg.quantify.cells import (
    cell_warnings,
    cells_without_nuclei,
    foreground,
    segment_cells,
)
from sgseg.quantify.colocalisation import colocalise
from sgseg.quantify.fields import field_row
from sgseg.quantify.granules import measure_granules
from sgseg.quantify.nuclei import segment_nuclei
from sgseg.quantify.per_cell import background_level, measure_cells, owners
from sgseg.quantify.settings import Channel, Channels, Settings
from sgseg.quantify.split import parents, split_touching

Labels = NDArray[np.int32]
NUCLEAR = ("dna", "dapi", "hoechst", "draq5", "nuclei", "nucleus", "nuclear")
"""What a channel of nuclei is called, among other letters."""
UNKNOWN_SIZE = "pixel size unknown: lengths and areas are in px"


@dataclass(frozen=True)
class FieldImages:
    """The channels of a field, each (H, W); None where there is no such channel.

    `granules` holds the second channel as well, where the model is shown one.
    """

    granules: Image
    nuclei: NDArray[Any] | None = None
    cells: NDArray[Any] | None = None
    marker: NDArray[Any] | None = None

    @property
    def pixels(self) -> NDArray[Any]:
        """The SG marker, camera counts."""
        return self.granules.first

    @property
    def pixel_size_um(self) -> float | None:
        """Side of a pixel, None where unknown."""
        return self.granules.pixel_size_um


@dataclass(frozen=True)
class Found:
    """Granules of a field, by a model or given.

    Attributes
    ----------
    labels
        (H, W), 0 is background.
    probability
        (H, W) in [0, 1]; None where nobody knows.
    uncertainty, field_uncertainty
        As in `Disagreement`: one number per label from 1, and one for the field.
    deviation
        (H, W), see `Prediction`.
    warnings
        In what the image is unlike the training images.
    """

    labels: Labels
    probability: NDArray[np.float32] | None = None
    uncertainty: NDArray[np.floating] | None = None
    field_uncertainty: float | None = None
    deviation: NDArray[np.float32] | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """The numbers of a field, and the label images (H, W) that they are of.

    `row` is that of fields.csv without condition, replicate and group; the tables lack the column
    `field`.
    """

    row: dict[str, Any]
    cells_table: pd.DataFrame
    granules_table: pd.DataFrame
    granules: Labels
    cells: Labels
    nuclei: Labels | None


def nuclear_channel(path: Path) -> int | None:
    """Number of the channel that shows nuclei, by its name in the file; None if not just one does.

    Raises
    ------
    InputError
        The file is no image.
    """
    with open_file(path) as file:
        names = [name.lower() for name in file.layout.names]
    found = [i for i, name in enumerate(names) if any(part in name for part in NUCLEAR)]
    return found[0] if len(found) == 1 else None


def read_field(
    path: Path, channels: Channels, *, pixel_size_um: float | None = None
) -> FieldImages:
    """Read the channels of a field.

    Parameters
    ----------
    pixel_size_um
        Of this field, in place of that of `channels` and of the file.

    Raises
    ------
    InputError
        The file cannot be read, or has not these channels.
    """
    size = channels.pixel_size_um if pixel_size_um is None else pixel_size_um

    def read(channel: Channel, beside: Channel = None) -> Image:
        return read_image(
            path,
            channel=channel,
            second_channel=beside,
            projection=channels.projection,
            pixel_size_um=size,
        )

    def pixels(channel: Channel) -> NDArray[Any] | None:
        return None if channel is None else read(channel).pixels

    return FieldImages(
        read(channels.granules, channels.second_channel),
        pixels(channels.nuclei),
        pixels(channels.cells),
        pixels(channels.marker),
    )


def measure_field(
    name: str,
    images: FieldImages,
    found: Found,
    *,
    cells: Labels | None = None,
    nuclei: Labels | None = None,
    settings: Settings | None = None,
) -> Measured:
    """Measure granules, cells and the field.

    Parameters
    ----------
    name
        Of the field.
    cells, nuclei
        Label images (H, W) made elsewhere, in place of those found here.
    settings
        Defaults where None; see `Settings.check` for what must fit together.
    """
    settings = settings or Settings()
    size = images.pixel_size_um
    granules = split_touching(found.labels, found.probability, options=settings.split)
    if nuclei is None and images.nuclei is not None:
        nuclei = segment_nuclei(images.nuclei, pixel_size_um=size, options=settings.nuclei)
    warnings = [*found.warnings, *([UNKNOWN_SIZE] if size is None else [])]
    if cells is None:
        cells, doubts = _cells_of(images, nuclei, settings)
        warnings += doubts
    owner = owners(granules, cells)
    granules_table = _granules_of(
        images, found, granules=granules, cells=cells, nuclei=nuclei, settings=settings
    )
    cells_table = measure_cells(
        cells,
        granules,
        images.pixels,
        nuclei=nuclei,
        granule_cells=owner,
        pixel_size_um=size,
        unit=settings.kind,
        options=settings.per_cell,
    )
    both = None
    if images.marker is not None:
        options = settings.colocalisation
        both = colocalise(images.pixels, images.marker, granules, cells, options=options)
    row = field_row(
        name,
        cells_table=cells_table,
        cells=cells,
        granules=granules,
        granule_cells=owner,
        pixel_size_um=size,
        unit=settings.kind,
        colocalisation=both,
        uncertainty=found.field_uncertainty,
        warnings=warnings,
    )
    return Measured(row, cells_table, granules_table, granules, cells, nuclei)


def _cells_of(
    images: FieldImages, nuclei: Labels | None, settings: Settings
) -> tuple[Labels, list[str]]:
    """Cells (H, W), and what makes them doubtful."""
    marker = images.pixels if images.cells is None else images.cells
    if settings.kind != "cell" or nuclei is None:
        return cells_without_nuclei(marker, unit=settings.kind), []
    doubts = cell_warnings(marker, nuclei) if settings.grown.method == "watershed" else []
    return segment_cells(marker, nuclei, options=settings.grown), doubts


def _granules_of(
    images: FieldImages,
    found: Found,
    *,
    granules: Labels,
    cells: Labels,
    nuclei: Labels | None,
    settings: Settings,
) -> pd.DataFrame:
    """The table of granules, with the cells that the unit means."""
    options = settings.granules
    if settings.unit == "image" and options.outside_intensity is None:
        # All of the image is the cell, yet around it there is what is none.
        outside = background_level(images.pixels, foreground(images.pixels))
        options = replace(options, outside_intensity=outside)
    uncertainty = found.uncertainty
    if uncertainty is not None:
        uncertainty = uncertainty[parents(granules, found.labels) - 1]
    table = measure_granules(
        granules,
        images.pixels,
        probability=found.probability,
        cells=None if settings.unit == "image" else cells,
        # Where nuclei stand for cells, the surroundings of a granule lie in its nucleus.
        nuclei=None if settings.unit == "nuclei" else nuclei,
        uncertainty=uncertainty,
        pixel_size_um=images.pixel_size_um,
        options=options,
    )
    if settings.unit == "image":
        return table.assign(cell=pd.array([1] * len(table), dtype="Int64"))
    if settings.unit == "foreground":
        edge = f"distance_to_cell_edge_{'px' if images.pixel_size_um is None else 'um'}"
        # Which cell, and where it ends, nobody knows.
        unknown = pd.array([pd.NA] * len(table), dtype="Int64")
        table[edge] = np.nan
        return table.assign(cell=unknown)
    return table
