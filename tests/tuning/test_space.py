"""From the space in params.yaml to values, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import RandomSampler
from optuna.study import create_study
from optuna.trial import FixedTrial

from sgseg.config import Bounds, Choice, Params, Range, Variants, load_params, with_values
from sgseg.errors import InputError
from sgseg.tuning.space import (
    Space,
    as_suggested,
    check_space,
    flatten,
    nested,
    shown,
    start_values,
    suggest,
)

from .fake import ROOT, SPACE, params_of

OWN = load_params(ROOT / "params.yaml")
VARIANTS = Variants(
    start={"name": "tversky", "alpha": 0.3, "beta": 0.5},
    choices={"dice": {}, "tversky": {"alpha": Bounds(low=0.2, high=0.8), "beta": 0.5}},
)


def drawn(space: Space, seed: int) -> dict[str, Any]:
    """The values that Optuna suggests at random."""
    study = create_study(sampler=RandomSampler(seed=seed))
    return suggest(study.ask(), space)


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Params:
    return params_of(tmp_path_factory.mktemp("params"))


def test_a_parameter_of_a_variant_exists_only_with_it() -> None:
    trial = FixedTrial({"train.loss.name": "dice"})
    assert suggest(trial, {"train.loss": VARIANTS}) == {"train.loss": {"name": "dice"}}
    assert set(trial.params) == {"train.loss.name"}
    # `beta` is written as a plain value: nothing to suggest.
    trial = FixedTrial({"train.loss.name": "tversky", "train.loss.tversky.alpha": 0.7})
    values = suggest(trial, {"train.loss": VARIANTS})
    assert values == {"train.loss": {"name": "tversky", "alpha": 0.7, "beta": 0.5}}


@pytest.mark.parametrize(
    ("spec", "kind", "allowed"),
    [
        (Range(start=2, low=1, high=4), int, {1, 2, 3, 4}),
        (Range(start=16, low=8, high=32, step=8), int, {8, 16, 24, 32}),
        (Range(start=0.5, low=0.25, high=1.0, step=0.25), float, {0.25, 0.5, 0.75, 1.0}),
        (Choice(start="a", choices=["a", "b"]), str, {"a", "b"}),
        (Choice(start=True, choices=[True, False]), bool, {True, False}),
    ],
)
def test_values_drawn_are_those_allowed(spec: Any, kind: type, allowed: set[Any]) -> None:
    values = {drawn({"train.x": spec}, seed)["train.x"] for seed in range(40)}
    assert values == allowed
    assert {type(value) for value in values} == {kind}


def test_a_logarithmic_range_is_drawn_by_its_magnitude() -> None:
    space = {"train.learning_rate": Range(start=0.001, low=1e-6, high=1.0, log=True)}
    values = [drawn(space, seed)["train.learning_rate"] for seed in range(60)]
    # Of numbers from 1e-6 to 1 half lie below 1e-3; drawn evenly one in a thousand would.
    assert 15 < sum(value < 1e-3 for value in values) < 45


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_what_is_suggested_can_be_suggested_again(seed: int) -> None:
    space = OWN.tune.space
    values = drawn(space, seed)
    assert suggest(FixedTrial(as_suggested(values, space)), space) == values


def test_start_values_flat_and_nested() -> None:
    space: Space = {
        "train.learning_rate": Range(start=0.003, low=0.001, high=0.01),
        "train.loss": VARIANTS,
        "network.depth": Range(start=3, low=1, high=5),
    }
    values = start_values(space)
    assert flatten(values) == {
        "train.learning_rate": 0.003,
        "train.loss.name": "tversky",
        "train.loss.alpha": 0.3,
        "train.loss.beta": 0.5,
        "network.depth": 3,
    }
    assert nested(values) == {
        "train": {
            "learning_rate": 0.003,
            "loss": {"name": "tversky", "alpha": 0.3, "beta": 0.5},
        },
        "network": {"depth": 3},
    }


def test_the_project_s_own_space_is_sound() -> None:
    check_space(OWN.tune.space, OWN)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_whatever_is_drawn_from_the_project_s_space_is_allowed(seed: int) -> None:
    with_values(OWN, drawn(OWN.tune.space, seed))


@pytest.mark.parametrize(
    ("key", "spec", "said"),
    [
        ("train.learning_rate", {"start": 0.1, "low": 0.2, "high": 0.1}, "low 0.2 is above"),
        ("train.learning_rate", {"start": 0.5, "low": 0.0, "high": 0.1}, "got 0.5"),
        ("train.learning_rate", {"start": 0.0, "low": 0.0, "high": 0.1, "log": True}, "more than"),
        (
            "train.learning_rate",
            {"start": 0.1, "low": 0.1, "high": 0.2, "log": True, "step": 0.1},
            "both log and step",
        ),
        ("train.learning_rate", {"start": 0.0, "low": 0.0, "high": 0.1}, "0.0 cannot be used"),
        ("network.depth", {"start": 2.5, "low": 1, "high": 5}, "got 2.5; expected a whole number"),
        ("network.depth", {"start": 2, "low": 1, "high": 5, "step": 3}, "no whole number of steps"),
        ("network.depth", {"start": 3, "low": 1, "high": 5, "step": 4}, "plus steps of 4"),
        ("network.depth", {"start": 1, "low": 1, "high": 5, "step": 0.5}, "step is 0.5"),
        ("network.depth", {"start": 1, "low": 1, "high": 50}, "50 cannot be used"),
        (
            "network.normalisation",
            {"start": "layer", "choices": ["batch"]},
            "'layer'; expected one",
        ),
        ("network.normalisation", {"start": "batch", "choices": ["batch", "layer"]}, "'layer'"),
        ("train.soft_labels", {"start": 1, "choices": [True, False]}, "got 1; expected one of"),
        ("train.loss", {"start": {"name": "iou"}, "choices": {"dice": {}}}, "name is 'iou'"),
        ("train.loss", {"start": {"name": "dice", "a": 1}, "choices": {"dice": {}}}, "['a']"),
        ("train.loss", {"start": {"name": "iou"}, "choices": {"iou": {}}}, "cannot be used"),
        (
            "train.loss",
            {
                "start": {"name": "tversky", "alpha": 0.9, "beta": 0.5},
                "choices": {"tversky": {"alpha": {"low": 0.2, "high": 0.8}, "beta": 0.5}},
            },
            "start.alpha: got 0.9; expected a number from 0.2 to 0.8",
        ),
        (
            "train.loss",
            {
                "start": {"name": "tversky", "alpha": 0.5, "beta": 0.7},
                "choices": {"tversky": {"alpha": {"low": 0.2, "high": 0.8}, "beta": 0.5}},
            },
            "start.beta: got 0.7; expected 0.5",
        ),
        (
            "train.loss",
            {
                "start": {"name": "dice"},
                "choices": {
                    "dice": {},
                    "tversky": {"alpha": {"low": 0.2, "high": -1.0}, "beta": 0.5},
                },
            },
            "choices.tversky.alpha: low 0.2 is above high -1.0",
        ),
    ],
)
def test_a_mistake_in_a_space(params: Params, key: str, spec: Any, said: str) -> None:
    kind = Range if "low" in spec else Variants if isinstance(spec["choices"], dict) else Choice
    with pytest.raises(InputError) as error:
        check_space({key: kind.model_validate(spec)}, params)
    assert f"tune.space.{key}" in str(error.value)
    assert said in str(error.value)


def test_all_mistakes_are_named_at_once(params: Params) -> None:
    space: Space = {
        "train.learning_rate": Range(start=1.0, low=0.1, high=0.2),
        "network.depth": Range(start=1, low=1, high=50),
    }
    with pytest.raises(InputError) as error:
        check_space(space, params)
    assert len(error.value.problems) == 2


def test_values_for_people() -> None:
    assert shown(0.00123456) == "0.001235"
    assert shown({"name": "dice"}) == "dice"
    assert shown({"name": "tversky", "alpha": 0.3, "beta": 0.5}) == "tversky (alpha 0.3, beta 0.5)"
    assert shown(True) == "True"


def test_the_fake_search_is_sound(tmp_path: Path) -> None:
    params = params_of(tmp_path)
    assert set(params.tune.space) == set(SPACE)
    check_space(params.tune.space, params)
