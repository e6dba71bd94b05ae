"""Values from the command line into params.yaml, and nothing else changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sgseg.errors import InputError
from sgseg.retrain.settings import edited, parse, write

ROOT = Path(__file__).parents[2]
TEXT = """\
# about this file
train: # the recipe
  epochs: 60 # passes
  schedule: { name: one_cycle } # how
  augment: # each
    flip: true
    noise: 0.1 # at most

  # after a gap
  init: null
data: {source: simulated}
"""


def test_values_are_yaml() -> None:
    items = ["train.epochs=80", "train.learning_rate=1e-3", "train.init=null", "split.folds=[0, 1]"]
    assert parse(items) == {
        "train.epochs": 80,
        "train.learning_rate": 0.001,
        "train.init": None,
        "split.folds": [0, 1],
    }


def test_mistakes_are_named_together() -> None:
    with pytest.raises(InputError) as caught:
        parse(["train.epochs", "epochs=3", "train.epochs={"])
    assert [problem.where for problem in caught.value.problems] == [
        "--set train.epochs",
        "--set epochs=3",
        "--set train.epochs={",
    ]


@pytest.mark.parametrize(
    ("key", "value", "before", "after"),
    [
        ("train.epochs", 80, "epochs: 60 # passes", "epochs: 80 # passes"),
        ("train.augment.noise", 0.2, "noise: 0.1 # at most", "noise: 0.2 # at most"),
        ("train.schedule", {"name": "constant"}, "{ name: one_cycle } #", "{name: constant} #"),
        ("train.init", "a b: c", "init: null", "init: 'a b: c'"),
        ("data.source", "lab", "{source: simulated}", "{source: lab}"),
        ("train.width", 8, "  epochs: 60", "  width: 8\n  epochs: 60"),
        ("data.more", 1, "{source", "{ more: 1, source"),
    ],
)
def test_one_value_changes(key: str, value: object, before: str, after: str) -> None:
    assert edited(TEXT, {key: value}) == TEXT.replace(before, after)


def test_a_section_becomes_one_line() -> None:
    text = edited(TEXT, {"train.augment": {"flip": False}})
    assert yaml.safe_load(text)["train"]["augment"] == {"flip": False}
    assert text.endswith("\n  # after a gap\n  init: null\ndata: {source: simulated}\n")


def test_the_real_file_keeps_its_comments(tmp_path: Path) -> None:
    before = (ROOT / "params.yaml").read_bytes()
    write(tmp_path, before, {"train.epochs": 7, "train.learning_rate": 0.001})
    old, new = before.decode().splitlines(), (tmp_path / "params.yaml").read_text().splitlines()
    assert [line for line in new if line not in old] == ["  learning_rate: 0.001", "  epochs: 7"]
    assert len(new) == len(old) + 1


@pytest.mark.parametrize("values", [{"train.epoch": 7}, {"train.epochs": "many"}, {"no.such": 1}])
def test_what_is_not_allowed_is_refused(tmp_path: Path, values: dict[str, object]) -> None:
    with pytest.raises(InputError):
        write(tmp_path, (ROOT / "params.yaml").read_bytes(), values)
    assert list(tmp_path.iterdir()) == []
