"""One row per granule: what `granules.csv` holds. The quantities are defined in the modules below.

`shape` has size and form, `intensity` brightness and local background, `distances` the place in the
cell and neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgseg.quantify import distances
from sgseg.quantify.intensity import Intensities, Ring, measure_intensities, outside_level
from sgseg.quantify.per_cell import owners
from sgseg.quantify.pixels import FloatArray, IntArray, Pixels
from sgseg.quantify.shape import Shapes, measure_shapes

COLUMNS = {
    "granule": "",
    "cell": "",
    "row_px": "",
    "col_px": "",
    "area": "area",
    "equivalent_diameter": "length",
    "perimeter": "length",
    "major_axis": "length",
    "minor_axis": "length",
    "circularity": "",
    "aspect_ratio": "",
    "solidity": "",
    "eccentricity": "",
    "mean_intensity": "",
    "max_intensity": "",
    "integrated_intensity": "",
    "background_intensity": "",
    "contrast_to_noise": "",
    "partition_coefficient": "",
    "distance_to_nucleus": "length",
    "distance_to_cell_edge": "length",
    "n_neighbours": "",
    "nearest_neighbour": "length",
    "mean_probability": "",
    "uncertainty": "",
    "touches_border": "",
}
"""The columns in order, and which of them are lengths or areas and get a unit."""
UNITS = {"length": ("_px", "_um"), "area": ("_px2", "_um2"), "": ("", "")}


@dataclass(frozen=True)
class GranuleOptions:
    """What is a matter of choice in measuring granules.

    Attributes
    ----------
    ring_gap_um, ring_gap_px
        Local background: pixels this close to any granule are left out. The blur of a microscope of
        NA 0.95 has a standard deviation of 0.12 um. In px where the pixel size is unknown; at
        least 1 px.
    ring_width_um, ring_width_px
        How far the ring reaches beyond the gap; at least 2 px.
    min_ring_px
        With fewer pixels in the ring there is no local background, nor what is made from it.
    neighbour_um, neighbour_px
        How near the centroid of a neighbour is.
    outside_intensity
        Camera counts where there is no cell, for the partition coefficient; None to take the median
        of the pixels in no cell.
    """

    ring_gap_um: float = 0.4
    ring_gap_px: float = 2.0
    ring_width_um: float = 0.8
    ring_width_px: float = 4.0
    min_ring_px: int = 10
    neighbour_um: float = 2.0
    neighbour_px: float = 10.0
    outside_intensity: float | None = None

    def ring(self, pixel_size_um: float | None) -> Ring:
        """The ring in px."""
        gap, width = self.ring_gap_px, self.ring_width_px
        if pixel_size_um is not None:
            gap, width = self.ring_gap_um / pixel_size_um, self.ring_width_um / pixel_size_um
        return Ring(max(gap, 1.0), max(width, 2.0), max(self.min_ring_px, 1))

    def within_px(self, pixel_size_um: float | None) -> float:
        """How near a neighbour is, in px."""
        return self.neighbour_px if pixel_size_um is None else self.neighbour_um / pixel_size_um


def granule_columns(pixel_size_um: float | None) -> list[str]:
    """Names of the columns with units: um and um2 where the pixel size is known, else px."""
    return [name + UNITS[kind][pixel_size_um is not None] for name, kind in COLUMNS.items()]


def measure_granules(
    labels: NDArray[np.integer],
    image: NDArray[np.generic],
    *,
    probability: NDArray[np.floating] | None = None,
    cells: NDArray[np.integer] | None = None,
    nuclei: NDArray[np.integer] | None = None,
    uncertainty: NDArray[np.floating] | None = None,
    pixel_size_um: float | None = None,
    options: GranuleOptions | None = None,
) -> pd.DataFrame:
    """Measure every granule of a field.

    Parameters
    ----------
    labels
        Granules, label image (H, W), 0 is background. Labels need not be consecutive.
    image
        Camera counts of the marker, (H, W).
    probability
        (H, W) in [0, 1], of which the mean over each granule is listed.
    cells, nuclei
        Label images (H, W). Without `cells` the field is taken for one cell, of which neither the
        edge nor the outside is known.
    uncertainty
        (largest label,): one number for each label from 1, as in `Disagreement.granules`; after
        splitting see `parents`.
    pixel_size_um
        None where it is not known.

    Returns
    -------
    table
        One row per granule in the order of the labels, columns as `granule_columns` says; empty
        (NaN) where a quantity does not exist. `granule` is the label; `cell` that of the cell as
        `owners` has it, 0 in none, empty without `cells`; `row_px`, `col_px` the centroid from the
        middle of the first pixel. For the others see `Shapes`, `Intensities`,
        `distances.to_nucleus`, `distances.to_cell_edge` and `distances.neighbours`.

    Raises
    ------
    ValueError
        Arrays of different shapes, no label image, or a pixel size that is none.
    """
    options = options or GranuleOptions()
    _check(labels, image, probability, cells, nuclei)
    if pixel_size_um is not None and not 0 < pixel_size_um < np.inf:
        raise ValueError(f"a pixel size above 0 is needed. Received: {pixel_size_um}")
    pixels = Pixels.of(labels)
    cell = None if cells is None else owners(labels, cells)[pixels.names]
    given = options.outside_intensity
    values = _values(
        measure_shapes(pixels),
        measure_intensities(
            pixels,
            image,
            ring=options.ring(pixel_size_um),
            cell=cell,
            cells=cells,
            nuclei=nuclei,
            outside=outside_level(image, cells) if given is None else given,
        ),
    )
    centres = np.column_stack([values["row_px"], values["col_px"]])
    values |= _places(centres, cell, cells, nuclei, options.within_px(pixel_size_um))
    nothing = np.full(pixels.n, np.nan)
    values |= {
        "granule": pixels.names,
        "mean_probability": nothing if probability is None else pixels.mean(pixels.at(probability)),
        "uncertainty": nothing if uncertainty is None else _of_labels(uncertainty, pixels.names),
    }
    scale = {"length": pixel_size_um or 1.0, "area": (pixel_size_um or 1.0) ** 2}
    for name, kind in COLUMNS.items():
        if kind:
            values[name] = values[name].astype(np.float64) * scale[kind]
    names = granule_columns(pixel_size_um)
    table = pd.DataFrame(dict(zip(names, (values[name] for name in COLUMNS), strict=True)))
    # Whole numbers and empty where there are no cells.
    cell_column = pd.array([pd.NA] * pixels.n if cell is None else cell, dtype="Int64")
    return table.assign(cell=cell_column)


def _check(labels: NDArray[np.integer], *others: NDArray[np.generic] | None) -> None:
    shapes = [labels.shape] + [other.shape for other in others if other is not None]
    if len(set(shapes)) > 1:
        raise ValueError(f"arrays of one shape are needed. Received: {shapes}")


def _values(shapes: Shapes, intensities: Intensities) -> dict[str, NDArray[np.generic]]:
    """Columns by name, lengths and areas in px."""
    return {
        "row_px": shapes.row,
        "col_px": shapes.column,
        "area": shapes.area,
        "equivalent_diameter": shapes.equivalent_diameter,
        "perimeter": shapes.perimeter,
        "major_axis": shapes.major_axis,
        "minor_axis": shapes.minor_axis,
        "circularity": shapes.circularity,
        "aspect_ratio": shapes.aspect_ratio,
        "solidity": shapes.solidity,
        "eccentricity": shapes.eccentricity,
        "touches_border": shapes.touches_border,
        "mean_intensity": intensities.mean,
        "max_intensity": intensities.largest,
        "integrated_intensity": intensities.integrated,
        "background_intensity": intensities.background,
        "contrast_to_noise": intensities.contrast_to_noise,
        "partition_coefficient": intensities.partition_coefficient,
    }


def _places(
    centres: FloatArray,
    cell: IntArray | None,
    cells: NDArray[np.integer] | None,
    nuclei: NDArray[np.integer] | None,
    within_px: float,
) -> dict[str, NDArray[np.generic]]:
    """Columns by name, lengths in px."""
    nothing = np.full(len(centres), np.nan)
    count, nearest = distances.neighbours(centres, cell, within_px=within_px)
    to_edge, to_nucleus = nothing, nothing
    if cell is not None and cells is not None:
        to_edge = distances.to_cell_edge(centres, cell, cells)
    if nuclei is not None:
        to_nucleus = distances.to_nucleus(centres, cell, cells, nuclei)
    return {
        "cell": nothing if cell is None else cell,
        "n_neighbours": count,
        "nearest_neighbour": nearest,
        "distance_to_cell_edge": to_edge,
        "distance_to_nucleus": to_nucleus,
    }


def _of_labels(numbers: NDArray[np.floating], names: IntArray) -> FloatArray:
    """The number of each label, of one for each label from 1."""
    if numbers.ndim != 1 or len(numbers) < names.max(initial=0):
        raise ValueError(
            f"one number for each of {names.max(initial=0)} labels is needed. "
            f"Received: shape={numbers.shape}"
        )
    return np.asarray(numbers[names - 1], np.float64)
