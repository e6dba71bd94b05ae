"""Every mistake in params.yaml is named with its path, all of them at once."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml

from sgseg.config import Params, Variants, load_params, sources_of_space, with_values
from sgseg.errors import InputError

PARAMS = Path(__file__).parents[1] / "params.yaml"
CONTENT: dict[str, Any] = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
# What may be searched has rules of its own, below.
SPACE: dict[str, Any] = CONTENT["tune"]["space"]
# Keys of these are dotted paths themselves; tests/experiments has their rules.
APART = (SPACE, CONTENT["learning_curve"]["pretrained"], CONTENT["ablations"]["rows"])
REMOVED = object()
Load = Callable[..., Params]


def leaves(tree: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Every value by its dotted path."""
    found = {}
    for key, value in tree.items():
        if any(value is part for part in APART):
            continue
        if isinstance(value, dict):
            found |= leaves(value, f"{path}{key}.")
        else:
            found[path + key] = value
    return found


def at(tree: Any, path: str) -> Any:
    for key in path.split("."):
        tree = tree[key]
    return tree


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    content = copy.deepcopy(CONTENT)
    for path, value in changes.items():
        *folders, name = path.split(".")
        section = content
        for folder in folders:
            section = section[folder]
        if value is REMOVED:
            del section[name]
        else:
            section[name] = value
    return content


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load params.yaml with changes, given as {dotted path: value}."""

    def load_changed(changes: dict[str, Any]) -> Params:
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(changed(changes)), encoding="utf-8")
        return load_params(path)

    return load_changed


def wheres(error: InputError) -> list[str]:
    """The paths in the file that the problems name."""
    return [problem.where.rpartition(": ")[2] for problem in error.problems]


def test_the_project_s_own_file_is_right_and_arrives_as_it_is() -> None:
    arrived = load_params(PARAMS).model_dump(by_alias=True)
    for path, value in leaves(CONTENT).items():
        assert at(arrived, path) == value
    for path, spec in SPACE.items():
        assert at(arrived, path) == spec["start"]


def test_values_are_frozen() -> None:
    params = load_params(PARAMS)
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        params.train.epochs = 1  # type: ignore[misc]


@pytest.mark.parametrize("path", leaves(CONTENT))
def test_every_value_refuses_another_type(path: str, load: Load) -> None:
    wrong: Any = {"a": "mapping"}
    with pytest.raises(InputError) as caught:
        load({path: wrong})
    assert wheres(caught.value) == [path]
    assert "got {'a': 'mapping'}" in str(caught.value)


@pytest.mark.parametrize(
    "path", [path for path, value in leaves(CONTENT).items() if type(value) in (int, float)]
)
@pytest.mark.parametrize("wrong", [True, "1", None])
def test_every_number_refuses_what_is_none(path: str, wrong: Any, load: Load) -> None:
    if wrong is None and path.startswith("tune.budgets.") and path.endswith(".epochs"):
        pytest.skip("as many as in train")
    with pytest.raises(InputError) as caught:
        load({path: wrong})
    assert wheres(caught.value) == [path]


@pytest.mark.parametrize(
    "path", [path for path, value in leaves(CONTENT).items() if type(value) is float]
)
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_every_number_is_finite(path: str, wrong: float, load: Load) -> None:
    with pytest.raises(InputError) as caught:
        load({path: wrong})
    assert wheres(caught.value) == [path]


@pytest.mark.parametrize(
    "path", [path for path, value in leaves(CONTENT).items() if type(value) is int]
)
def test_every_whole_number_refuses_a_fraction_and_a_negative(path: str, load: Load) -> None:
    for wrong in (1.5, 1.0, -1):
        with pytest.raises(InputError) as caught:
            load({path: wrong})
        assert wheres(caught.value) == [path]


@pytest.mark.parametrize("path", [*CONTENT, *leaves(CONTENT)])
def test_every_key_is_needed(path: str, load: Load) -> None:
    if path.startswith("simulate.conditions.") and path.count(".") == 2:
        pytest.skip("conditions have names of the user's choice")
    with pytest.raises(InputError, match="missing") as caught:
        load({path: REMOVED})
    # Without `tune` there is no start for what is searched either.
    assert wheres(caught.value) == [path] or (path == "tune" and path in wheres(caught.value))


@pytest.mark.parametrize("path", ["trian", "train.epoch", "train.augment.flop", "validate_"])
def test_an_unknown_key_is_refused(path: str, load: Load) -> None:
    with pytest.raises(InputError, match="unknown key") as caught:
        load({path: 1})
    assert wheres(caught.value) == [path]


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("data.source", ""),
        ("simulate.conditions", {}),
        ("simulate.size", 63),
        ("ingest.copy_correlation", 0.5),
        ("ingest.copy_correlation", 1.01),
        ("validate.on_failure", "go on"),
        ("validate.max_foreground", 1.5),
        ("split.test_fraction", 1.0),
        ("split.validation_fraction", 1.0),
        ("split.folds", [0]),
        ("split.folds", [0, 1, 1]),
        ("preprocess.normalise", "none"),
        ("preprocess.resize", [256]),
        ("preprocess.target_pixel_size_um", 0.0),
        ("network.architecture", "vit"),
        ("network.depth", 8),
        ("network.dropout", 1.0),
        ("train.seed", 2**32),
        ("train.foreground_share", -0.1),
        ("predict.orientations", 4),
        ("train.learning_rate", 0.0),
        ("train.augment.zoom", 1.0),
        ("evaluate.object_iou", 0.0),
        ("evaluate.thresholds", []),
        ("evaluate.bootstrap", 0),
        ("evaluate.baseline.sigmas_small", []),
    ],
)
def test_out_of_range(path: str, wrong: Any, load: Load) -> None:
    with pytest.raises(InputError) as caught:
        load({path: wrong})
    assert wheres(caught.value) == [path]
    assert f"got {wrong!r}" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "wrong", "named"),
    [
        ("split.folds", [0, -1], "split.folds.1"),
        ("split.folds", [0, True], "split.folds.1"),
        ("preprocess.resize", [256, 0], "preprocess.resize.1"),
        ("preprocess.resize", [256, 256.0], "preprocess.resize.1"),
        ("evaluate.thresholds", [0.5, 1.5], "evaluate.thresholds.1"),
        ("evaluate.min_areas_px", [0], "evaluate.min_areas_px.0"),
    ],
)
def test_the_wrong_item_of_a_list_is_named(path: str, wrong: Any, named: str, load: Load) -> None:
    with pytest.raises(InputError) as caught:
        load({path: wrong})
    assert wheres(caught.value) == [named]


def test_a_condition_s_name_must_be_fit_for_file_names(load: Load) -> None:
    condition = {"positive_cells": 0.5, "granules_per_cell": 2.0}
    assert load({"simulate.conditions": {"heat-42": condition}}).simulate.conditions
    with pytest.raises(InputError, match=r"got '\.\./a'"):
        load({"simulate.conditions": {"../a": condition}})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("train.learning_rate", 1),  # a whole number is a number
        ("preprocess.resize", [256, 128]),
        ("preprocess.target_pixel_size_um", 0.1),
        ("split.test_fraction", 0.0),
        ("split.folds", [3, 0]),
        ("simulate.distractors", 0),
    ],
)
def test_what_is_right(path: str, value: Any, load: Load) -> None:
    section, name = path.split(".")
    assert getattr(getattr(load({path: value}), section), name) == value


def test_an_exponent_without_dot_is_explained(tmp_path: Path) -> None:
    # YAML 1.1, as PyYAML reads it, takes 3e-3 for text.
    text = PARAMS.read_text(encoding="utf-8").replace("dropout: 0.0", "dropout: 1e-3")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"got '1e-3'; .*a dot before an exponent: 3\.0e-3"):
        load_params(tmp_path / "params.yaml")


def test_everything_wrong_is_named_at_once(load: Load) -> None:
    with pytest.raises(InputError) as caught:
        load(
            {
                "train.epochs": 0,
                "train.seed": REMOVED,
                "network.dropout": True,
                "netwrok": {},
                "tracking": "sgseg",
            }
        )
    assert sorted(wheres(caught.value)) == sorted(
        ["train.epochs", "train.seed", "network.dropout", "netwrok", "tracking"]
    )
    assert all(p.where.endswith(f"params.yaml: {w}") for p, w in _pairs(caught.value))


def _pairs(error: InputError) -> zip[tuple[Any, str]]:
    return zip(error.problems, wheres(error), strict=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty or no mapping"),
        (b"- a\n- list\n", "empty or no mapping"),
        (b"train: [1, 2", "not YAML: .* line 1"),
        (b"\xff\xfe\x00", "not YAML"),
    ],
)
def test_a_file_that_is_no_parameter_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_params(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Run from the project's root"):
        load_params(tmp_path / "params.yaml")


def test_what_is_written_out_wins_over_what_was_tuned(tmp_path: Path) -> None:
    tuned = tmp_path / "recipe.yaml"
    tuned.write_text("train: {learning_rate: 0.001, batch_size: 4}\n", encoding="utf-8")
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(changed({"train.batch_size": 16})), encoding="utf-8")
    params = load_params(path, tuned=tuned)
    assert params.train.batch_size == 16
    assert params.train.learning_rate == 0.001
    assert params.network.width == SPACE["network.width"]["start"]
    sources = sources_of_space(path, tuned=tuned)
    assert sources.keys() == SPACE.keys()
    assert {key: source for key, source in sources.items() if source != "start"} == {
        "train.batch_size": "explicit",
        "train.learning_rate": "tuned",
    }


def test_a_value_that_is_neither_written_nor_searched_is_missing(load: Load) -> None:
    space = {key: spec for key, spec in SPACE.items() if key != "train.batch_size"}
    with pytest.raises(InputError, match="missing") as caught:
        load({"tune.space": space})
    assert wheres(caught.value) == ["train.batch_size"]


@pytest.mark.parametrize(
    ("key", "spec", "named"),
    [
        ("simulate.size", {"start": 64, "low": 64, "high": 128}, "tune.space.simulate.size"),
        ("train.dropout", {"start": 0.1, "low": 0, "high": 1}, "train.dropout"),  # no such key
        ("train.epochs", {"start": 1, "low": 0}, "tune.space.train.epochs.high"),
        ("train.epochs", {"start": 1, "choices": []}, "tune.space.train.epochs.choices"),
        ("train.monitor", 3, "tune.space.train.monitor"),
    ],
)
def test_a_wrong_entry_of_the_space_is_named(key: str, spec: Any, named: str, load: Load) -> None:
    with pytest.raises(InputError) as caught:
        load({"tune.space": {**SPACE, key: spec}})
    assert any(where.startswith(named) for where in wheres(caught.value))


def values_in_space() -> list[tuple[str, Any]]:
    """The ends of every range and every choice in the space of params.yaml."""
    found: list[tuple[str, Any]] = []
    for key, spec in load_params(PARAMS).tune.space.items():
        if isinstance(spec, Variants):
            for name, own in spec.choices.items():
                for end in ("low", "high"):
                    values = {part: getattr(bounds, end, bounds) for part, bounds in own.items()}
                    found.append((key, {"name": name, **values}))
        elif hasattr(spec, "choices"):
            found += [(key, choice) for choice in spec.choices]
        else:
            found += [(key, spec.low), (key, spec.high)]
    return found


@pytest.mark.parametrize(("key", "value"), values_in_space())
def test_all_that_may_be_searched_is_allowed(key: str, value: Any) -> None:
    assert with_values(load_params(PARAMS), {key: value})


def test_values_that_are_not_allowed_are_named() -> None:
    with pytest.raises(InputError) as caught:
        with_values(load_params(PARAMS), {"train.loss": {"name": "focal", "gamma": "x"}})
    assert wheres(caught.value) == ["train.loss.gamma", "train.loss.alpha"]


def test_deep_supervision_needs_outputs_at_several_depths(load: Load) -> None:
    with pytest.raises(InputError, match=r"network: .*only unet_plus_plus"):
        load({"network.deep_supervision": True})
    nested = {"network.deep_supervision": True, "network.architecture": "unet_plus_plus"}
    assert load(nested).network.deep_supervision
