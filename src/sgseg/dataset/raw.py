"""The folder of a data set as it was handed over, data/raw/NAME: its layout and its dataset.yaml.

dataset.yaml   how to read it (`RawSettings`)
images/        originals, byte for byte, in subfolders or not
masks/         originals; the same path and stem as the image
samples.csv    optional: group, condition, replicate and pixel size of each image
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sgseg.config.yaml_file import read_mapping, shown
from sgseg.errors import InputError, Problem
from sgseg.images.calibration import LARGEST_UM, SMALLEST_UM

SETTINGS = "dataset.yaml"
SAMPLES = "samples.csv"
IMAGES = "images"
MASKS = "masks"


class RawSettings(BaseModel):
    """How the files of one data set are read; the same for all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    channel: Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)] | None = None
    projection: Literal["max", "mean", "sum", "min", "median"] | None = None
    pixel_size_um: Annotated[float, Field(ge=SMALLEST_UM, le=LARGEST_UM)] | None = None
    bit_depth: Annotated[int, Field(ge=1, le=32)] | None = None
    masks: Literal["auto", "binary", "labels", "colour", "roi"] = "auto"
    pattern: str | None = None


_HELP = {
    "name": "letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 80",
    "channel": "a number counted from 0, or a name",
    "projection": "max, mean, sum, min or median",
    "pixel_size_um": f"micrometres, {SMALLEST_UM} to {LARGEST_UM:g}",
    "bit_depth": "a whole number of bits, such as 12",
    "masks": "auto, binary, labels, colour or roi",
}


def make_settings(where: str = "", /, **values: Any) -> RawSettings:
    """Checked settings; `where` (a file) begins the name of each problem.

    Raises
    ------
    InputError
        One or more values are unknown, of the wrong type or out of range; all are named.
    """
    try:
        return RawSettings(**values)
    except ValidationError as error:
        names = {str(item["loc"][0]) for item in error.errors()}
        raise InputError(
            *(_problem(where, key, values.get(key)) for key in sorted(names))
        ) from None


def read_settings(folder: str | Path) -> RawSettings:
    """The dataset.yaml of data/raw/NAME.

    Raises
    ------
    InputError
        The file is missing, no YAML, or a value is wrong.
    """
    path = Path(folder) / SETTINGS
    remedy = "Import the images with `sgseg import`, or fetch them with `dvc pull`."
    content = read_mapping(path, expected="keys such as `name:`", remedy=remedy)
    return make_settings(str(path), **{str(key): value for key, value in content.items()})


def write_settings(folder: str | Path, settings: RawSettings) -> None:
    """Write dataset.yaml, every key included."""
    text = yaml.safe_dump(settings.model_dump(), sort_keys=False, allow_unicode=True)
    (Path(folder) / SETTINGS).write_text(text, encoding="utf-8")


def _problem(where: str, key: str, value: Any) -> Problem:
    place = f"{where}: {key}" if where else key
    if key not in RawSettings.model_fields:
        return Problem(place, "unknown key", f"one of {', '.join(RawSettings.model_fields)}")
    return Problem(place, f"got {shown(value)}", _HELP.get(key, ""))
