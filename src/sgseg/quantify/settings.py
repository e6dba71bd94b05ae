"""What a run is told: which channel is what, what granules are counted in, how it is measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from sgseg.errors import InputError, Problem
from sgseg.quantify.cells import CellOptions, Unit
from sgseg.quantify.colocalisation import ColocalisationOptions
from sgseg.quantify.granules import GranuleOptions
from sgseg.quantify.nuclei import NucleusOptions
from sgseg.quantify.per_cell import PerCellOptions
from sgseg.quantify.split import SplitOptions

Counted = Literal["cells", "nuclei", "image", "foreground"]
UNITS: tuple[Counted, ...] = ("cells", "nuclei", "image", "foreground")
Channel = int | str | None


@dataclass(frozen=True)
class Channels:
    """Which channel of the files is what; see `sgseg.images.read.read_image`.

    Attributes
    ----------
    granules
        The SG marker, in which granules are found; None where files have one channel.
    nuclei, cells, marker
        Nuclei; a cell stain, in place of the SG marker's cytoplasm; a second marker. None: no such
        channel.
    second_channel
        What the model is shown beside the granules; None for a model that is shown these alone.
    projection
        How a Z-stack becomes one image, in all channels alike.
    pixel_size_um
        In place of what the files say.
    """

    granules: Channel = None
    nuclei: Channel = None
    cells: Channel = None
    marker: Channel = None
    projection: str | None = None
    pixel_size_um: float | None = None
    second_channel: Channel = None


@dataclass(frozen=True)
class Settings:
    """How fields are measured.

    Attributes
    ----------
    unit
        What granules are counted in. `cells`: around nuclei, or given. `nuclei`: these stand for
        cells, as where condensates are in nuclei. `image`, `foreground`: see
        `cells_without_nuclei`.
    """

    unit: Counted = "cells"
    split: SplitOptions = field(default_factory=SplitOptions)
    granules: GranuleOptions = field(default_factory=GranuleOptions)
    nuclei: NucleusOptions = field(default_factory=NucleusOptions)
    cells: CellOptions = field(default_factory=CellOptions)
    per_cell: PerCellOptions = field(default_factory=PerCellOptions)
    colocalisation: ColocalisationOptions = field(default_factory=ColocalisationOptions)

    @property
    def kind(self) -> Unit:
        """What a label of the cells is, for `measure_cells` and `field_row`."""
        return self.unit if self.unit in {"image", "foreground"} else "cell"

    @property
    def grown(self) -> CellOptions:
        """How cells are grown from nuclei: not at all where these stand for cells."""
        if self.unit == "nuclei":
            return replace(self.cells, method="expansion", expansion=0.0, same_cell=0.0)
        return self.cells

    def check(self, channels: Channels, *, cells: bool, nuclei: bool, probability: bool) -> None:
        """Refuse what cannot be measured.

        Parameters
        ----------
        cells, nuclei
            Whether label images of them are given.
        probability
            Whether granules come with one.

        Raises
        ------
        InputError
            Nothing says what a cell is, or too much does; a split by a probability that is not
            there. All are named.
        """
        problems = [*self._of_unit(channels, cells=cells, nuclei=nuclei)]
        if self.split.method == "probability" and not probability:
            what = "masks made elsewhere have no probability"
            problems.append(Problem("split", what, "distance or none"))
        if problems:
            raise InputError(*problems)

    def _of_unit(self, channels: Channels, *, cells: bool, nuclei: bool) -> list[Problem]:
        has_nuclei = nuclei or channels.nuclei is not None
        problems = []
        if self.unit == "nuclei" and not has_nuclei:
            problems.append(Problem("unit nuclei", "no nuclear channel, and no nuclei given"))
        if self.unit == "cells" and not (has_nuclei or cells):
            problems.append(
                Problem(
                    "unit cells",
                    "nothing to find cells by",
                    "a nuclear channel, or cells or nuclei segmented elsewhere",
                    "Without them say what granules are counted in: --unit image (a crop around "
                    "one cell) or --unit foreground (cells, nobody knows how many).",
                )
            )
        if cells and self.unit != "cells":
            problems.append(Problem(f"unit {self.unit}", "cells are given", "unit cells"))
        return problems

    def sections(
        self, channels: Channels, *, cells: bool = False, nuclei: bool = False
    ) -> dict[str, dict[str, Any]]:
        """What was in use, section by section: for the report, the methods and parameters.json."""
        found: dict[str, dict[str, Any]] = {"reading": {"unit": self.unit, **asdict(channels)}}
        depth = None if self.split.method == "none" else self.split.depth
        found["split"] = asdict(self.split) | {"min_depth": depth}
        found["granules"] = asdict(self.granules)
        given = {
            name: "label images made elsewhere"
            for name, is_given in (("cells", cells), ("nuclei", nuclei))
            if is_given
        }
        if given:
            found["given"] = dict(given)
        if channels.nuclei is not None and not nuclei:
            found["nuclei"] = asdict(self.nuclei)
        if self.kind == "cell" and not cells:
            nuclei_are_cells = self.unit == "nuclei"
            found["cells"] = {"method": "nuclei"} if nuclei_are_cells else _in_use(self.cells)
        if self.kind != "foreground":
            found["per_cell"] = asdict(self.per_cell)
        if channels.marker is not None:
            found["colocalisation"] = asdict(self.colocalisation)
        return found


def _in_use(cells: CellOptions) -> dict[str, Any]:
    other = {"edge", "valley", "reach"} if cells.method == "expansion" else {"expansion"}
    return {name: value for name, value in asdict(cells).items() if name not in other}
