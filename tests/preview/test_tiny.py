"""A tiny params.yaml: which values are replaced."""

from __future__ import annotations

from pathlib import Path

import yaml

from sgseg.config import load_params
from sgseg.preview.tiny import overridden, shrink, tiny_sections

ROOT = Path(__file__).parents[2]


def test_values_are_replaced_section_by_section(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("train: {epochs: 60, seed: 1}\ntune: {budget: full}\n", encoding="utf-8")
    shrink(params, {"train": {"epochs": 2}, "later": {"x": 1}})
    # `later` is a section that the older commit does not know: its config would refuse it.
    assert yaml.safe_load(params.read_text(encoding="utf-8")) == {
        "train": {"epochs": 2, "seed": 1},
        "tune": {"budget": "full"},
    }


def test_the_names_of_what_is_replaced() -> None:
    assert overridden({"train": {"epochs": 2, "seed": 1}, "tune": {"budgets": {"small": {}}}}) == {
        "train.epochs",
        "train.seed",
        "tune.budgets",
    }


def test_the_project_s_tiny_parameters_are_parameters(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    shrink(tmp_path / "params.yaml", tiny_sections(ROOT))
    params = load_params(tmp_path / "params.yaml")  # an unknown key is an error
    assert params.data.source == "simulated"
    assert params.train.epochs == 2
