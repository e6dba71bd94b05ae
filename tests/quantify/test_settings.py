from __future__ import annotations

import pytest

from sgseg.errors import InputError
from sgseg.quantify.cells import CellOptions
from sgseg.quantify.settings import Channels, Settings
from sgseg.quantify.split import SplitOptions


def check(
    settings: Settings, *, channel: int | None = None, cells: bool = False, nuclei: bool = False
) -> None:
    settings.check(Channels(nuclei=channel), cells=cells, nuclei=nuclei, probability=True)


def test_cells_need_something_to_be_found_by() -> None:
    with pytest.raises(
        InputError, match=r"nothing to find cells by.*--unit image .*--unit foreground"
    ):
        check(Settings())
    check(Settings(), channel=0)
    check(Settings(), cells=True)
    check(Settings(), nuclei=True)
    check(Settings("image"))
    check(Settings("foreground"))


def test_nuclei_for_cells_need_nuclei() -> None:
    with pytest.raises(InputError, match="unit nuclei: no nuclear channel, and no nuclei given"):
        check(Settings("nuclei"))
    check(Settings("nuclei"), nuclei=True)


@pytest.mark.parametrize("unit", ["nuclei", "image", "foreground"])
def test_given_cells_are_no_other_unit(unit: str) -> None:
    with pytest.raises(InputError, match=f"unit {unit}: cells are given; expected unit cells"):
        check(Settings(unit), cells=True, channel=1)


def test_given_masks_have_no_probability_to_split_by() -> None:
    settings = Settings("image", split=SplitOptions("probability"))
    settings.check(Channels(), cells=False, nuclei=False, probability=True)
    with pytest.raises(InputError, match="split: masks made elsewhere have no probability"):
        settings.check(Channels(), cells=False, nuclei=False, probability=False)


def test_nuclei_for_cells_are_not_grown() -> None:
    assert Settings("nuclei", cells=CellOptions(same_cell=0.2)).grown == CellOptions(
        method="expansion", expansion=0.0
    )
    assert Settings().grown == CellOptions()


def test_only_what_was_in_use_is_listed() -> None:
    of_crop = Settings("image").sections(Channels())
    assert list(of_crop) == ["reading", "split", "granules", "per_cell"]
    of_all = Settings().sections(Channels(0, 1, None, 2))
    assert list(of_all) == [
        *("reading", "split", "granules", "nuclei", "cells", "per_cell", "colocalisation"),
    ]
    assert "expansion" not in of_all["cells"]
    assert of_all["split"]["min_depth"] == 0.05  # the default of `distance`
    given = Settings().sections(Channels(0, 1), cells=True, nuclei=True)
    assert "cells" not in given
    assert "nuclei" not in given
    assert given["given"] == dict.fromkeys(("cells", "nuclei"), "label images made elsewhere")
    assert "per_cell" not in Settings("foreground").sections(Channels())
