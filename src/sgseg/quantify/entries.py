"""What each column of each file means. Text alone; `dictionary` looks it up."""

from __future__ import annotations

from dataclasses import dataclass

UNITS = {"um": "µm", "um2": "µm²", "px": "px", "px2": "px"}
COUNTS = "camera counts"


@dataclass(frozen=True)
class Column:
    """A column; `*` at the end of its name stands for a unit of length or area.

    Parameters
    ----------
    name, unit, definition
        `unit` of a column whose name has none in it; "" for plain numbers and texts.
    """

    name: str
    unit: str
    definition: str

    def spelled(self) -> list[str]:
        """The names it may have."""
        if not self.name.endswith("*"):
            return [self.name]
        return [self.name.replace("*", unit) for unit in UNITS]

    def unit_of(self, column: str) -> str:
        """The unit under one of its names."""
        if not self.name.endswith("*"):
            return self.unit
        return UNITS[column.removeprefix(self.name.removesuffix("*"))]


def _columns(*rows: tuple[str, str, str]) -> tuple[Column, ...]:
    return tuple(Column(*row) for row in rows)


FIELD = ("field", "", "Name of the field of view: its image file, without the ending.")
CONDITION = ("condition", "", "Condition of the field, as given in samples.csv.")
REPLICATE = (
    "replicate",
    "",
    "Independent repetition of the experiment, as given: the unit of statistics.",
)
PARTS = (
    ("condition", "", "Condition."),
    ("reference", "", "Condition that it is compared with."),
    ("measure", "", "What is compared: a column of replicates.csv."),
)

COLUMNS: dict[str, tuple[Column, ...]] = {
    "granules.csv": _columns(
        FIELD,
        ("granule", "", "Label of the granule in the field's mask."),
        ("cell", "", "Label of the cell that holds most of it; 0: in none; empty: cells unknown."),
        ("row_px", "px", "Centroid, rows from the middle of the first pixel."),
        ("col_px", "px", "Centroid, columns from the middle of the first pixel."),
        ("area_*", "", "Area of its pixels."),
        ("equivalent_diameter_*", "", "Diameter of a disk of the same area, 2 sqrt(area / pi)."),
        (
            "perimeter_*",
            "",
            "Length of the outline, those of holes included (Crofton's formula,"
            " doi:10.5566/ias.v26.p83-92).",
        ),
        ("major_axis_*", "", "Long axis of the ellipse with the same second moments."),
        ("minor_axis_*", "", "Short axis of that ellipse."),
        ("circularity", "", "4 pi area / perimeter², 1 for a disk; cut to 1."),
        ("aspect_ratio", "", "Major over minor axis, at least 1."),
        ("solidity", "", "Area over the area of the convex hull, at most 1."),
        ("eccentricity", "", "sqrt(1 - minor² / major²): 0 for a circle, towards 1 for a line."),
        ("mean_intensity", COUNTS, "Mean of the SG marker over the granule, nothing removed."),
        ("max_intensity", COUNTS, "Brightest pixel of the granule."),
        (
            "integrated_intensity",
            COUNTS,
            "Sum over the granule of what exceeds background_intensity.",
        ),
        (
            "background_intensity",
            COUNTS,
            "Local background: median of a ring around the granule, within its cell and outside of"
            " nuclei and other granules.",
        ),
        (
            "contrast_to_noise",
            "",
            "(mean_intensity - background_intensity) / noise of the ring (1.4826 x median absolute"
            " deviation).",
        ),
        (
            "partition_coefficient",
            "",
            "Granule mean over the cytoplasm around it, both above the level where no cell is.",
        ),
        (
            "distance_to_nucleus_*",
            "",
            "From the centroid to the outline of the nearest nucleus of its cell; 0 inside.",
        ),
        ("distance_to_cell_edge_*", "", "From the centroid to the outline of its cell."),
        ("n_neighbours", "", "Other granules of the same cell nearby (see parameters)."),
        ("nearest_neighbour_*", "", "From centroid to centroid of the next granule of the cell."),
        ("mean_probability", "", "Mean probability that the model gave its pixels, 0 to 1."),
        ("uncertainty", "", "Disagreement of the model's networks on it, 0 (none) to 1."),
        ("touches_border", "", "Whether it touches the border of the image: it may go on outside."),
    ),
    "cells.csv": _columns(
        FIELD,
        ("cell", "", "Label of the cell in the field's label image."),
        CONDITION,
        REPLICATE,
        ("n_granules", "", "Granules that belong to the cell; 0 where there are none."),
        ("is_positive", "", "SG-positive: has at least as many granules as the rule asks for."),
        ("granule_area_*", "", "Area of its granules together."),
        ("granule_area_fraction", "", "Granule area over cell area, the nucleus included."),
        (
            "condensed_fraction",
            "",
            "Share of the cell's SG marker, above the level where no cell is, that lies in granule"
            " pixels.",
        ),
        ("cell_area_*", "", "Area of the cell, the nucleus included."),
        ("nucleus_area_*", "", "Area of its nuclei together."),
        ("mean_intensity", COUNTS, "Mean of the SG marker over the cell, nothing removed."),
        ("n_nuclei", "", "Nuclei in the cell; empty: nuclei unknown."),
        ("touches_border", "", "Whether the border of the image cuts the cell."),
        ("is_counted", "", "Whether it enters the numbers per cell; one that is cut does not."),
    ),
    "fields.csv": _columns(
        FIELD,
        CONDITION,
        REPLICATE,
        ("group", "", "What images that belong together share, as given in samples.csv."),
        ("n_cells", "", "Cells found; empty where nobody knows how many there are."),
        ("n_counted_cells", "", "Of them, those that enter the numbers per cell."),
        ("positive_fraction", "share of cells", "SG-positive share of the counted cells."),
        ("n_granules", "", "Granules in the field, wherever they are."),
        ("n_granules_outside", "", "Of them, those outside of any cell."),
        ("granules_per_cell", "", "Mean over the counted cells."),
        ("granule_area_*", "", "Area of all granules of the field together."),
        ("area_fraction", "", "Granule area over the area of the field."),
        (
            "granule_area_fraction",
            "",
            "Granule area over cell area, of the counted cells together; over the foreground where"
            " no cells are known.",
        ),
        ("mean_granule_area_*", "", "Mean over granules that the border does not cut."),
        ("pearson_all", "", "Pearson correlation of both markers over the pixels of cells."),
        ("pearson_inside", "", "The same over pixels in granules."),
        ("pearson_outside", "", "The same over pixels of cells outside of granules."),
        ("manders_m1", "", "Share of the SG marker where the second marker exceeds its threshold."),
        ("manders_m2", "", "Share of the second marker where the SG marker exceeds its threshold."),
        ("uncertainty", "", "Disagreement of the model's networks on the field, 0 to 1."),
        ("warnings", "", "What makes its numbers doubtful; several are separated by |."),
        ("status", "", "`done`, or why there are no numbers."),
    ),
    "replicates.csv": _columns(
        CONDITION,
        REPLICATE,
        ("n_fields", "", "Fields of this condition and replicate."),
        ("n_cells", "", "Cells that count."),
        ("n_granules", "", "Granules in them that the border does not cut."),
    ),
    "conditions.csv": _columns(
        *PARTS,
        ("mean", "that of the measure", "Mean over replicates, each counting once."),
        ("sd", "that of the measure", "Standard deviation between replicates (n - 1)."),
        ("n_replicates", "", "Replicates with a value of this measure."),
        ("mean_low", "that of the measure", "Lower limit of the t-based interval of the mean."),
        ("mean_high", "that of the measure", "Upper limit."),
        ("design", "", "`paired`: within replicates; `independent`: Welch."),
        ("n", "", "Replicates compared: pairs, where they are paired."),
        ("n_reference", "", "Replicates of the reference compared."),
        ("difference", "that of the measure", "Mean of the condition minus that of the reference."),
        ("difference_low", "that of the measure", "Lower limit of its t-based interval."),
        ("difference_high", "that of the measure", "Upper limit."),
        ("ratio", "", "Geometric mean over replicates, over that of the reference."),
        ("ratio_low", "", "Lower limit of its interval, t-based on logarithms."),
        ("ratio_high", "", "Upper limit."),
        (
            "hedges_g",
            "standard deviations",
            "Difference over the standard deviation between replicates, corrected for few of them"
            " (Hedges, doi:10.3102/10769986006002107).",
        ),
        ("hedges_g_low", "standard deviations", "Lower limit, from the noncentral t."),
        ("hedges_g_high", "standard deviations", "Upper limit."),
        ("t", "", "Of the t-test on the means of replicates."),
        ("df", "", "Its degrees of freedom."),
        ("p_uncorrected", "", "Its two-sided p-value."),
        ("p", "", "The p-value after Holm's correction; empty with the reason beside it."),
        ("finding", "", "`higher`, `lower` or `no effect shown`, by the corrected p-value."),
        ("reason", "", "Why a value of this row is missing."),
    ),
    "samples.csv": _columns(
        ("image", "", "Image file."),
        ("field", "", "The same, by its name without the ending."),
        CONDITION,
        REPLICATE,
        ("group", "", "What images that belong together share."),
    ),
    "data_dictionary.csv": _columns(
        ("file", "", "File of the run."),
        ("column", "", "Its column."),
        ("unit", "", "Unit of the numbers; empty for plain numbers and texts."),
        ("definition", "", "What they are."),
    ),
}
