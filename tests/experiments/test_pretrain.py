"""The simulated fields to train on, and the network that comes of them."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from sgseg.config import Params
from sgseg.errors import InputError
from sgseg.experiments import pretrain as module
from sgseg.experiments.pretrain import pretrain, simulated_example
from sgseg.training.fold import start_from

from .lab import ROOT, tiny_params

VARY = {
    "pixel_size_um": [0.2, 0.4],
    "granule_diameter_um": [],
    "photons": [50.0, 5000.0],
    "distractors": [],
    "visible_contrast": [],
}


def params(**values: object) -> Params:
    tiny = {
        "pretrain__fields": 3,
        "pretrain__validation_fields": 1,
        "pretrain__size": 64,
        "pretrain__epochs": 2,
        "pretrain__vary": VARY,
        "train__epochs": 9,
    }
    return tiny_params(**(tiny | values))


def test_each_field_gets_one_of_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def simulate(settings: object, **which: object) -> object:
        seen.append((settings, which))
        return real(settings, **which)

    real = module.simulate_field
    monkeypatch.setattr(module, "simulate_field", simulate)
    chosen = params()
    for number in range(20):
        simulated_example(chosen, number)
    settings = [item for item, _ in seen]
    assert {s.pixel_size_um for s in settings} == {0.2, 0.4}
    assert {s.photons for s in settings} == {50.0, 5000.0}
    # One does not go with the other.
    assert len({(s.pixel_size_um, s.photons) for s in settings}) == 4
    assert {s.distractors for s in settings} == {chosen.simulate.distractors}
    assert {s.seed for s in settings} == {chosen.pretrain.seed}
    assert {which["condition"] for _, which in seen} == set(chosen.simulate.conditions)
    assert [which["replicate"] for _, which in seen] == list(range(1, 21))


def test_a_field_is_what_the_network_would_see() -> None:
    example = simulated_example(params(preprocess__resize=[40, 48]), 0)
    assert example.image.shape == example.labels.shape == (40, 48)
    assert (example.image.dtype, example.labels.dtype) == (np.float32, np.int32)
    again, other = (simulated_example(params(preprocess__resize=[40, 48]), n) for n in (0, 1))
    np.testing.assert_array_equal(example.image, again.image)
    assert (example.image != other.image).any()


def test_with_a_second_channel_the_nuclei_are_shown_as_well() -> None:
    one, two = (
        simulated_example(params(ingest__second_channel=second), 0) for second in (None, "DNA")
    )
    assert two.image.shape == (*one.image.shape, 2)
    np.testing.assert_array_equal(two.first, one.image)
    np.testing.assert_array_equal(two.labels, one.labels)
    assert (two.image[..., 1] != one.image).any()


def test_its_fields_are_not_those_of_the_data(tmp_path: Path) -> None:
    seed = params().simulate.seed
    with pytest.raises(InputError, match=r"pretrain\.seed and simulate\.seed must differ"):
        params(pretrain__seed=seed)


def test_a_network_to_start_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, out = params(train__init="of-no-use.keras"), tmp_path / "pretrained"
    trained = pretrain(chosen, out, checkpoints=tmp_path / "checkpoints", root=ROOT)
    assert {path.name for path in out.iterdir()} == {"model.keras", "history.csv", "facts.json"}
    assert pd.read_csv(out / "history.csv")["epoch"].tolist() == [1, 2]
    facts = json.loads((out / "facts.json").read_text())
    assert (facts["fields"], facts["validation_fields"]) == (3, 1)
    assert facts["best_epoch"] in {1, 2}
    # What `train.init` does with it.
    network = keras.models.clone_model(trained.model)
    start_from(network, out / "model.keras")
    for mine, its in zip(network.get_weights(), trained.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, its)

    # Run again, nothing is trained; with other settings, what was left of these goes.
    steps: list[object] = []
    monkeypatch.setattr("sgseg.training.fold._one_epoch", lambda *_, **__: steps.append(1))
    pretrain(chosen, out, checkpoints=tmp_path / "checkpoints", root=ROOT)
    assert steps == []
    (before,) = (tmp_path / "checkpoints").glob("*/pretrain.npz")
    monkeypatch.undo()
    pretrain(params(pretrain__seed=8), out, checkpoints=tmp_path / "checkpoints", root=ROOT)
    (after,) = (tmp_path / "checkpoints").glob("*/pretrain.npz")
    assert before != after
