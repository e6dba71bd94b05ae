"""What networks cost and find, on next to nothing; no speed and no real score is tested."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sgseg.experiments import bench as bench_module

from .lab import ROOT, FakeChildren, fold_result, perfect, tiny_params, write_bench

FOLDER = ROOT / "benchmarks"


@pytest.fixture
def curve(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(FOLDER))
    import cost_curve as module  # noqa: PLC0415 - found only there

    yield module
    for path in FOLDER.glob("*.py"):
        sys.modules.pop(path.stem, None)


def entry(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


def row(f1: float, *, f1_gain: Any = None, iou_gain: Any = None, seeds: int = 1) -> dict[str, Any]:
    gain = {"object_f1": entry(*f1_gain), "foreground_iou": entry(*iou_gain)} if f1_gain else {}
    return {
        "scores": {"object_f1": entry(f1, 0.7, 0.9), "foreground_iou": entry(0.5, 0.4, 0.6)},
        "gain": gain,
        "by_seed": {
            str(seed): {"object_f1": f1 + seed / 100, "foreground_iou": 0.5 - seed / 200}
            for seed in range(seeds)
        },
    }


def found() -> dict[str, Any]:
    """The default, one that loses IoU on one data set, one that loses nothing, one that is dear."""
    tie = {"f1_gain": (-0.01, -0.03, 0.02), "iou_gain": (0.0, -0.01, 0.01)}
    worse = {"f1_gain": (0.01, -0.02, 0.03), "iou_gain": (-0.02, -0.03, -0.01)}
    better = {"f1_gain": (0.02, 0.01, 0.03), "iou_gain": (0.02, 0.01, 0.03)}
    networks = {
        name: {
            "architecture": name.split("-")[0],
            "width": int(name.split("-")[1]),
            "depth": 3,
            "parameters": 1234,
            "multiply_adds_per_pixel": cost,
            "cpu_ms_per_megapixel": cost / 100,
            "wall_ms_per_megapixel": cost / 50,
            "speed_over_default": 40_000 / cost,
        }
        for name, cost in {
            "unet-16-3": 40_000.0,
            "unet-8-3": 10_000.0,
            "linknet-16-3": 25_000.0,
            "linknet-24-3": 60_000.0,
        }.items()
    }
    first = {
        "unet-16-3": row(0.81, seeds=3),
        "unet-8-3": row(0.80, **tie),
        "linknet-16-3": row(0.82, **tie, seeds=2),
        "linknet-24-3": row(0.82, **better),
    }
    rows = {"one": first, "two": first | {"unet-8-3": row(0.80, **worse)}}
    shape = {"images": 9, "groups": 7, "folds": 2, "default": "unet-16-3"}
    return {
        "machine": {"processor": "P"},
        "settings": {"side": 512, "rounds": 3, "threads": 1},
        "default": "unet-16-3",
        "networks": networks,
        "data": [{"source": source, "rows": of, **shape} for source, of in rows.items()],
    }


def test_a_network_by_its_name(curve: ModuleType) -> None:
    network = curve.Network.parse("linknet-12-2")
    assert str(network) == "linknet-12-2"
    assert network.values == {
        "network.architecture": "linknet",
        "network.width": 12,
        "network.depth": 2,
    }
    for text in ("unet", "unet-16", "unet-a-3", "unet-16-3-1"):
        with pytest.raises(argparse.ArgumentTypeError, match=text):
            curve.Network.parse(text)


def test_every_row_is_a_network_that_can_be_asked_for(curve: ModuleType) -> None:
    for network in curve.OTHERS:
        assert tiny_params(**network.values).network.width == network.width
        assert network.title


def test_cheaper_and_nowhere_significantly_lower(curve: ModuleType) -> None:
    # unet-8-3 loses IoU in `two`; linknet-24-3 is dearer, the default no cheaper than itself.
    assert curve.as_good_for_less(found()) == ["linknet-16-3"]
    only_first = found() | {"data": found()["data"][:1]}
    assert curve.as_good_for_less(only_first) == ["unet-8-3", "linknet-16-3"]
    untried = found()
    del untried["data"][1]["rows"]["linknet-16-3"]
    assert curve.as_good_for_less(untried) == []
    lower = found()
    lower["data"][0]["rows"]["linknet-16-3"]["gain"]["object_f1"]["high"] = -0.001
    assert curve.as_good_for_less(lower) == []


def test_how_far_seeds_are_apart(curve: ModuleType) -> None:
    # Three seeds of the default: F1 0.81, 0.82, 0.83; IoU 0.5, 0.495, 0.49. Two of another: less.
    noise = curve.seed_noise(found()["data"][0])
    assert noise == pytest.approx({"object_f1": 0.02, "foreground_iou": 0.01})
    assert curve.seed_noise({"rows": {"unet-8-3": row(0.8)}}) == {}


def test_tables_go_by_cost(curve: ModuleType) -> None:
    lines = list(curve.table(found()))
    assert lines[2] == "| U-Net, width 8, depth 3 | 10,000 | 1,234 | 100 | 4.00 |"
    assert lines[4] == "| **U-Net, width 16, depth 3** (default) | 40,000 | 1,234 | 400 | 1.00 |"
    assert lines[-4] == (
        "| U-Net, width 8, depth 3 | 1 | 0.800 [0.70, 0.90] | +0.010 [-0.020, +0.030] "
        "| 0.500 [0.40, 0.60] | **-0.020** [-0.030, -0.010] |"
    )
    assert lines[-2].endswith("(default) | 3 | 0.810 [0.70, 0.90] |  | 0.500 [0.40, 0.60] |  |")


def test_words(curve: ModuleType) -> None:
    text = "\n".join(curve.said(found()))
    assert "one (9 images in 7 groups, 2 folds), two (9 images" in text
    assert "up to 0.020 apart in object F1 and 0.010 in IoU" in text
    assert "in neither score on any: LinkNet, width 16, depth 3." in " ".join(text.split())


def test_other_data_stay(curve: ModuleType) -> None:
    before = {"data": [{"source": "one", "images": 1}, {"source": "two"}]}
    assert curve.merged({"source": "one", "images": 5}, before) == [
        {"source": "one", "images": 5},
        {"source": "two"},
    ]
    assert curve.merged({"source": "three"}, {}) == [{"source": "three"}]


def test_a_run_leaves_other_data_in_the_file(
    curve: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, one = tmp_path / "found.json", found()["data"][0]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/split").mkdir(parents=True)
    monkeypatch.setattr(curve, "project", lambda: (None, None))
    monkeypatch.setattr(
        curve, "costs", lambda several, _: {str(n): found()["networks"][str(n)] for n in several}
    )
    arguments = ["cost_curve", "--json", str(file), "--figure", str(tmp_path / "curve.png")]
    monkeypatch.setattr(sys, "argv", arguments)
    for source in ("one", "two"):
        monkeypatch.setattr(
            curve, "scored", lambda *_, source=source, **__: one | {"source": source}
        )
        curve.main()
    written = json.loads(file.read_text())
    assert [data["source"] for data in written["data"]] == ["one", "two"]
    assert written["networks"].keys() == found()["networks"].keys()
    assert (tmp_path / "curve.png").is_file()
    monkeypatch.setattr(curve, "scored", lambda *_, **__: one | {"default": "unet-8-3"})
    with pytest.raises(SystemExit, match="compared with another network"):
        curve.main()
    monkeypatch.chdir(tmp_path / "data")
    with pytest.raises(SystemExit, match="dvc repro split"):
        curve.main()


def test_the_same_results_give_the_same_figure(curve: ModuleType, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        curve.draw(found(), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    other = found()
    other["data"][0]["rows"]["unet-16-3"]["scores"]["object_f1"]["value"] = 0.75
    curve.draw(other, tmp_path / "c.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "c.png").read_bytes()


def test_scores_are_of_each_seed_and_what_fails_is_left_out(
    curve: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = write_bench(tmp_path)
    children = FakeChildren(bench)
    monkeypatch.setattr(bench_module, "run_children", children)
    params = tiny_params()
    default = curve.Network("unet", 2, 1)
    small, broken = curve.Network("linknet", 2, 1), curve.Network("linknet", 3, 1)
    children.fails = [f"{broken} seed 1", f"{small} seed 2"]
    options = {"networks": [small, broken, default], "seeds": [1, 2]}
    data = curve.scored(params, bench, **options)
    assert data["default"] == "unet-2-1"
    assert {name: list(one["by_seed"]) for name, one in data["rows"].items()} == {
        "unet-2-1": ["1", "2"],
        "linknet-2-1": ["1"],
        "linknet-3-1": ["2"],
    }
    assert (data["images"], data["groups"], data["folds"]) == (6, 5, 2)
    # All found and nothing else, by every network: no gain.
    assert data["rows"]["linknet-2-1"]["scores"]["object_f1"]["value"] == 1.0
    assert data["rows"]["linknet-2-1"]["gain"]["foreground_iou"]["value"] == 0.0
    assert data["rows"]["unet-2-1"]["gain"] == {}

    n_trained = len(children.trained)
    again = curve.scored(params, bench, **options, finished=True)
    assert again == data
    assert len(children.trained) == n_trained


def test_a_network_that_finds_half_has_lost_it(
    curve: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = write_bench(tmp_path)
    children = FakeChildren(bench)
    monkeypatch.setattr(bench_module, "run_children", children)
    params, blind = tiny_params(), curve.Network("linknet", 2, 1)
    curve.scored(params, bench, networks=[blind], seeds=[1])
    original = type(bench).result

    def result(self: Any, fold: Any) -> Any:
        found = original(self, fold)
        if fold.params.network.architecture == "unet":
            return found
        # Nothing in the fold of a, b and c, all in the other.
        names = [image.image_id for image in found.images]
        return fold_result(fold.number, perfect(bench, names, float(fold.number)), bench)

    monkeypatch.setattr(type(bench), "result", result)
    data = curve.scored(params, bench, networks=[blind], seeds=[1])
    blinded = data["rows"]["linknet-2-1"]
    # 6 of 12 granules: precision 1, recall 1 / 2, F1 2 / 3; half of the images at IoU 0.
    assert blinded["gain"]["object_f1"]["value"] == pytest.approx(2 / 3 - 1, abs=1e-6)
    assert blinded["gain"]["foreground_iou"]["value"] == -0.5


def test_costs_are_those_of_the_networks(curve: ModuleType) -> None:
    networks = [curve.Network("unet", 2, 1), curve.Network("linknet", 2, 1)]
    costs = curve.costs(networks, argparse.Namespace(side=16, threads=1, rounds=2))
    # By hand in tests/nets/test_cost.py: 18 + 36 + 108 + 36 + 2 + (72 + 144) / 4, and for the
    # LinkNet 36 instead of 108 and a projection of 8 on a quarter of the pixels.
    assert costs["unet-2-1"]["multiply_adds_per_pixel"] == 254
    assert costs["linknet-2-1"]["multiply_adds_per_pixel"] == 254 - 72 + 2
    assert costs["unet-2-1"]["speed_over_default"] == 1.0
    assert all(one["cpu_ms_per_megapixel"] > 0 for one in costs.values())
