"""A network that is shown a second channel: from the files to the granules, in every way there is.

Granules are bright in the first channel alone; debris is as bright in the second. The networks by
hand look at the difference of the two, in which debris and cells are nothing.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from examples import draw_field
from gate.cases import fields, write_bundle, write_test_set
from numpy.typing import NDArray
from training.tiny import RECIPE, draw

from sgseg.cli import parser
from sgseg.errors import InputError
from sgseg.inference.segmenter import Segmenter
from sgseg.serving.options import Options
from sgseg.serving.request import Asked, Request
from sgseg.serving.service import Service
from sgseg.training.augment import Augmentation
from sgseg.training.batches import Example
from sgseg.training.fold import train_fold

MakeBundle = Callable[..., Path]
GRANULES, DEBRIS = [(10, 10), (20, 30)], [(40, 12)]
DIFFERENCE = (1.0, -1.0)
MARKER, TRUTH = draw_field(GRANULES + DEBRIS)
BOTH = np.stack([MARKER, draw_field(DEBRIS, seed=1)[0]], axis=-1)
GRANULES_ALONE = (TRUTH > 0) & (len(GRANULES) >= TRUTH)


def as_file(pixels: NDArray[Any]) -> bytes:
    """(H, W, 2) as ImageJ writes it."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.moveaxis(pixels, -1, 0), imagej=True, metadata={"axes": "CYX"})
    return buffer.getvalue()


def test_granules_that_the_second_channel_tells_from_debris(make_bundle: MakeBundle) -> None:
    one = Segmenter.load(make_bundle(1.5))
    two = Segmenter.load(make_bundle(1.5, weights=DIFFERENCE))
    assert (one.channels, two.channels) == (1, 2)
    assert np.array_equal(one.segment(MARKER) > 0, TRUTH > 0)
    found = two.predict(BOTH)
    assert np.array_equal(found.labels > 0, GRANULES_ALONE)
    # The warnings are about the marker, as with one channel.
    assert found.warnings == one.predict(MARKER).warnings


def test_members_orientations_tiles_and_sizes_as_with_one_channel(make_bundle: MakeBundle) -> None:
    large = np.tile(BOTH, (20, 15, 1))  # 1200 x 1200 px, more than a tile
    settings = {"normalise": "background", "resize": None, "target_pixel_size_um": 0.1}
    segmenter = Segmenter.load(
        make_bundle(1.4, 1.6, weights=DIFFERENCE, orientations=8, preprocessing=settings)
    )
    tiled = segmenter.predict(large, with_deviation=True)
    assert tiled.labels.max() == 20 * 15 * len(GRANULES)
    assert tiled.deviation is not None
    assert tiled.deviation.shape == large.shape[:2]
    whole = Segmenter(
        replace(segmenter.spec, margin_px=2048),
        segmenter._networks,
        segmenter._preprocessing,
        channels=2,
    )
    assert np.array_equal(tiled.probability, whole.probability(large))
    enlarged = segmenter.segment(BOTH, pixel_size_um=0.2)
    assert enlarged.shape == BOTH.shape[:2]
    assert enlarged.max() == len(GRANULES)


def test_an_image_of_other_channels_is_refused(make_bundle: MakeBundle) -> None:
    facts = {"second_channel": "DNA"}
    two = Segmenter.load(make_bundle(1.5, weights=DIFFERENCE, facts=facts))
    with pytest.raises(InputError, match=r"1 channel; expected two: .* shown channel DNA beside"):
        two.segment(MARKER)
    with pytest.raises(InputError, match="image: 2 channels; expected one"):
        Segmenter.load(make_bundle(1.5)).segment(BOTH)


def test_on_the_command_line(make_bundle: MakeBundle, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(as_file(BOTH))
    bundle = make_bundle(1.5, weights=DIFFERENCE)

    def run(*arguments: object) -> int:
        parsed = parser().parse_args([*map(str, arguments), "--model", str(bundle)])
        return int(parsed.run(parsed))

    given = (tmp_path / "a.tif", "--channel", 0)
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"a\.tif: image: 1 channel; expected two"):
        run("predict", *given, "--out", out)
    assert run("predict", *given, "--out", out, "--second-channel", 1, "--overlay") == 0
    assert np.array_equal(tifffile.imread(out / "a_mask.tif") > 0, GRANULES_ALONE)
    out = tmp_path / "measured"
    given = (tmp_path / "a.tif", "--sg-channel", 0, "--second-channel", 1)
    assert run("quantify", *given, "--out", out, "--unit", "image") == 0
    assert (out / "granules.csv").read_text().count("\n") == 1 + len(GRANULES)


def test_served(make_bundle: MakeBundle) -> None:
    service = Service.load(make_bundle(1.5, weights=DIFFERENCE))
    shown = [{"channel": 0}, {"channel": 0, "second_channel": 1}]
    request = Request(tuple(Asked(as_file(BOTH), Options(**options)) for options in shown))
    alone, both = service.answers(request)
    assert both["n_granules"] == len(GRANULES)
    assert "the second channel (second_channel)" in str(alone["error"])


def test_a_challenger_of_two_channels_and_a_champion_of_one(tmp_path: Path) -> None:
    made = write_test_set(tmp_path, fields(4, distractors=3))
    champion = write_bundle(tmp_path / "champion", middle=1.5)
    challenger = write_bundle(tmp_path / "challenger", middle=1.5, weights=DIFFERENCE)
    with pytest.raises(InputError, match=r"second/field_0\.tif: no such file"):
        made.decide(challenger, champion)
    (made.dataset / "second").mkdir()
    for name, (pixels, labels) in fields(4, distractors=3).items():
        # Here debris is what is bright and no granule.
        second = np.where(labels > 0, np.median(pixels), pixels).astype(np.uint16)
        tifffile.imwrite(made.dataset / "second" / f"{name}.tif", second)
    decision = made.decide(challenger, champion)
    assert decision.outcome == "promote", decision.reasons
    assert made.decide(champion, challenger).outcome == "keep"


def test_training_learns_from_it(tmp_path: Path) -> None:
    """Half of the bright disks are debris, which the second channel shows as well."""

    def example(seed: int) -> Example:
        field = draw(seed, n=6, radius=4.0)
        debris = np.where(field.labels % 2, 0, field.image)
        labels = np.where(field.labels % 2, field.labels, 0).astype(np.int32)
        return replace(field, image=np.stack([field.image, debris], axis=-1), labels=labels)

    images, held_out = [example(seed) for seed in range(6)], [example(seed) for seed in (10, 11)]
    sampling = replace(RECIPE.sampling, coverage=4.0, batch_size=4)
    recipe = replace(
        RECIPE, epochs=10, sampling=sampling, augmentation=Augmentation(), monitor="val_loss"
    )
    scores = {}
    for name, shown in (("both", lambda one: one.image), ("marker", lambda one: one.first)):
        train, validation = (
            [replace(one, image=shown(one)) for one in some] for some in (images, held_out)
        )
        checkpoint = tmp_path / f"{name}.npz"
        trained = train_fold(train, validation, recipe, fold=0, checkpoint=checkpoint)
        scores[name] = trained.history[trained.best_epoch - 1]["val_iou"]
    assert trained.model.input_shape[-1] == 1
    assert scores["both"] > scores["marker"] + 0.1
