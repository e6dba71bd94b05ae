"""Draws fields.png, the picture of the README: three fields that no network has seen.

    python docs/figures/fields.py            # after `make run`

Simulated with another seed than the training images, one field per condition, and outlined by the
model in models/evaluated.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image as PillowImage

from sgseg.config import load_params
from sgseg.dataset.simulate import simulate_field
from sgseg.images.write import overlay, replacing
from sgseg.inference.segmenter import Segmenter

ROOT = Path(__file__).parents[2]
UNSEEN_SEED = 7
NAMES = {"control": "control", "arsenite_low": "little arsenite", "arsenite_high": "much arsenite"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="the project, after `make run`")
    arguments = parser.parse_args()
    settings = load_params(arguments.root / "params.yaml").simulate
    settings = settings.model_copy(update={"seed": UNSEEN_SEED})
    segmenter = Segmenter.load(arguments.root / "models/evaluated")
    figure = Figure(figsize=(9, 6.4), layout="constrained", dpi=80)
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(NAMES))
    for column, (condition, name) in enumerate(NAMES.items()):
        field = simulate_field(settings, condition=condition, replicate=1, field=1)
        pixels = np.ascontiguousarray(field.image[0])
        found = segmenter.predict(pixels, pixel_size_um=settings.pixel_size_um)
        count, there = int(found.labels.max()), int(field.granules.max())
        empty = np.zeros_like(found.labels)
        axes[0, column].imshow(overlay(pixels, empty))
        axes[0, column].set_title(name)
        axes[1, column].imshow(overlay(pixels, found.labels))
        axes[1, column].set_title(f"{count} found, {there} simulated", fontsize=10)
    for axis in axes.flat:
        axis.set_axis_off()
    target = Path(__file__).with_suffix(".png")
    with replacing(target) as temporary:
        figure.savefig(temporary, format="png")
        # Gray with one colour: a palette is a third of the size.
        picture = PillowImage.open(temporary).convert("RGB").quantize(128)
        picture.save(temporary, format="PNG", optimize=True)


if __name__ == "__main__":
    main()
