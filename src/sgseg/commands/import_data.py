"""`sgseg import`: bring in one's own images and masks."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

_DESCRIPTION = """\
Bring in your own images and masks. Every file is read and checked first; if anything is wrong, all
of it is listed and nothing is copied. Then images and masks are copied, byte for byte, into
data/raw/NAME and put under version control (DVC).

A mask belongs to the image of the same name: images/day1/cell 3.tif and masks/day1/cell 3.png.
Images: PNG, JPEG, BMP, TIFF, OME-TIFF. Masks: a picture with granules white or in one colour on
black, a label image (Cellpose, StarDist), or outlines drawn in Fiji (.roi, RoiSet.zip)."""

_EXAMPLES = """\
examples:
  sgseg import ~/SG --images raw --masks drawn --name arsenite --use
  sgseg import ~/SG --images raw --masks drawn --name stacks --channel G3BP1 --projection max
  sgseg import ~/SG --images raw --masks drawn --name dose --samples ~/SG/samples.csv
  sgseg import ~/SG --images raw --masks drawn --name dose \\
      --pattern '(?P<condition>[^/]+)/rep(?P<replicate>[0-9]+)'"""


def add_parser(subparsers: Any) -> None:
    """Add `import` to the commands."""
    parser = subparsers.add_parser(
        "import",
        help="bring in your own images and masks",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    parser.set_defaults(run=run)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `sgseg import`."""
    parser.add_argument("src", metavar="SRC", help="the folder that holds images and masks")
    files = parser.add_argument_group("which files")
    files.add_argument("--images", required=True, metavar="DIR", help="folder of images in SRC")
    files.add_argument("--masks", required=True, metavar="DIR", help="folder of masks in SRC")
    files.add_argument(
        "--name", required=True, metavar="NAME", help="what to call the data set: data/raw/NAME"
    )
    samples = parser.add_argument_group(
        "what the images show (one of)"
    ).add_mutually_exclusive_group()
    samples.add_argument(
        "--samples",
        metavar="TABLE",
        help="CSV table with a column `image` and any of group, condition, replicate, "
        "pixel_size_um; images of one group (field, well, donor) never serve for both training "
        "and testing",
    )
    samples.add_argument(
        "--pattern",
        metavar="REGEX",
        help="regular expression that finds (?P<group>...), (?P<condition>...) or "
        "(?P<replicate>...) in each image's path below the folder of images",
    )
    reading = parser.add_argument_group("how to read them")
    reading.add_argument(
        "--channel",
        metavar="N",
        help="which channel shows the granules: its number, counted from 0 (Fiji counts from 1), "
        "its name in the file, or red, green or blue of a colour picture",
    )
    reading.add_argument(
        "--projection",
        choices=["max", "mean", "sum", "min", "median"],
        help="how a Z-stack becomes one image",
    )
    reading.add_argument(
        "--pixel-size-um",
        type=float,
        metavar="UM",
        help="side of a pixel in micrometres, where the files do not say or are wrong",
    )
    reading.add_argument(
        "--bit-depth",
        type=int,
        metavar="BITS",
        help="bits of the camera, such as 12 where 16-bit files hold 12-bit counts",
    )
    reading.add_argument(
        "--mask-rule",
        choices=["auto", "binary", "labels", "colour", "roi"],
        default="auto",
        help="what the masks are, if `auto` (the default) cannot tell",
    )
    then = parser.add_argument_group("what to do then")
    then.add_argument("--use", action="store_true", help="make it the data that `dvc repro` uses")
    then.add_argument(
        "--replace", action="store_true", help="put it in the place of the data set of this name"
    )
    then.add_argument("--no-dvc", action="store_true", help="do not put it under version control")
    parser.add_argument("--root", default=".", metavar="DIR", help="the project's root")


def run(arguments: argparse.Namespace) -> int:
    """Carry out `sgseg import`."""
    from sgseg.dataset.importer import import_folder  # noqa: PLC0415
    from sgseg.dataset.registry import start_registry  # noqa: PLC0415
    from sgseg.dataset.source import track, use_source  # noqa: PLC0415

    root = Path(arguments.root)
    folder = import_folder(
        arguments.src,
        images=arguments.images,
        masks=arguments.masks,
        name=arguments.name,
        samples=arguments.samples,
        pattern=arguments.pattern,
        channel=_channel(arguments.channel),
        projection=arguments.projection,
        pixel_size_um=arguments.pixel_size_um,
        bit_depth=arguments.bit_depth,
        mask_rule=arguments.mask_rule,
        root=root,
        replace=arguments.replace,
    )
    start_registry(root / "splits" / f"{arguments.name}.csv")
    tracked = not arguments.no_dvc and track(folder, root=root)
    if arguments.use:
        use_source(arguments.name, params=root / "params.yaml")
    if tracked:
        name = arguments.name
        changed = f"data/raw/.gitignore data/raw/{name}.dvc splits/{name}.csv"
        changed += " params.yaml" if arguments.use else ""
        logger.info("To keep this version: git add %s && git commit", changed)
    return 0


def _channel(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdecimal() else text
