"""What the section `quantify` refuses; tests/test_config.py has what holds for every section."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sgseg.config import Params, load_params, with_values
from sgseg.errors import InputError

PARAMS = Path(__file__).parents[1] / "params.yaml"


def changed(**values: Any) -> Params:
    return with_values(load_params(PARAMS), {f"quantify.{key}": v for key, v in values.items()})


@pytest.mark.parametrize("channel", [0, 3, "DAPI"])
def test_channels_by_number_or_name(channel: int | str) -> None:
    assert changed(nuclei_channel=channel).quantify.nuclei_channel == channel


@pytest.mark.parametrize("unit", ["image", "foreground"])
def test_without_a_nuclear_channel(unit: str) -> None:
    assert changed(nuclei_channel=None, unit=unit).quantify.nuclei_channel is None


@pytest.mark.parametrize("unit", ["cells", "nuclei"])
def test_cells_need_a_nuclear_channel(unit: str) -> None:
    with pytest.raises(InputError, match=rf"quantify\.nuclei_channel: .*unit {unit} needs one"):
        changed(nuclei_channel=None, unit=unit)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("nuclei_channel", -1),
        ("nuclei_channel", "1"),
        ("marker_channel", 1.5),
        ("cell_channel", ""),
        ("unit", "cell"),
        ("split", "watershed"),
        ("min_positive", 0),
        ("count_border_cells", "no"),
        ("nucleus_diameter_um", 0.0),
        ("reference", ""),
        ("design", "mixed"),
    ],
)
def test_out_of_range(key: str, wrong: Any) -> None:
    with pytest.raises(InputError, match=rf"quantify\.{key}"):
        changed(**{key: wrong})
