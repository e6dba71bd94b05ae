"""The benchmarks run, on next to nothing, and their arithmetic is right; no speed is tested."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
DOUBLE = """
from _paired import serve

def prepare():
    print("noise of a library")
    return {"version": 7}, {"work": lambda: print("more noise")}

serve(prepare)
"""


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[Namespace]:
    """The two modules that need no TensorFlow, as `python benchmarks/...` finds them."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import _paired  # noqa: PLC0415
    import training_step  # noqa: PLC0415

    yield Namespace(paired=_paired, step=training_step)
    for name in ("_paired", "training_step"):
        del sys.modules[name]


def test_contestants_take_turns_and_the_last_begins_the_next_round(modules: Namespace) -> None:
    order: list[str] = []
    contestants = {name: lambda name=name: order.append(name) or len(order) for name in "abc"}
    results = modules.paired.take_turns(contestants, 3)
    assert "".join(order) == "abc" + "cba" + "abc"
    assert results == {"a": [1, 6, 7], "b": [2, 5, 8], "c": [3, 4, 9]}


def test_ratio_pairs_the_rounds(modules: Namespace) -> None:
    # 2 / 1, 20 / 10, 60 / 20 -> 2.
    assert modules.paired.ratio([1.0, 10.0, 20.0], [2.0, 20.0, 60.0]) == 2.0
    # 30 / 10, 10 / 10, 8 / 4 -> 2; medians alone would say 10 / 10.
    assert modules.paired.ratio([10.0, 10.0, 4.0], [30.0, 10.0, 8.0]) == 2.0


def test_quartiles(modules: Namespace) -> None:
    assert modules.paired.quartiles([5.0, 1.0, 3.0, 2.0, 4.0]) == (2.0, 4.0)
    assert modules.paired.quartiles([5.0]) == (5.0, 5.0)


def test_a_worker_answers_and_what_its_libraries_print_is_no_answer(
    modules: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(FOLDER))
    script = tmp_path / "double.py"
    script.write_text(DOUBLE)
    worker = modules.paired.Worker([sys.executable, str(script)], threads=1)
    assert worker.info == {"version": 7, "contestants": ["work"]}
    assert worker.measure("work", 3).wall_ms >= 0
    worker.close()
    assert worker.process.returncode == 0


def test_a_worker_that_fails_ends_the_benchmark(modules: Namespace) -> None:
    with pytest.raises(SystemExit, match="ended with 3"):
        modules.paired.Worker([sys.executable, "-c", "raise SystemExit(3)"], threads=1)


def times(step: ModuleType, **wall: list[float]) -> dict[str, list[object]]:
    names = {"scored": step.OURS, "plain": step.OURS_PLAIN, "loop": step.LOOP}
    return {
        names.get(name, name.replace("_", " ")): [step.Time(value, value / 2) for value in values]
        for name, values in wall.items()
    }


def test_the_parts_add_up_to_a_step_with_its_batch(modules: Namespace) -> None:
    parts = modules.step.parts(
        times(
            modules.step,
            scored=[60.0, 62.0, 90.0],  # median 62
            plain=[58.0, 59.0, 60.0],  # 59
            forward=[20.0, 21.0, 19.0],  # 20
            batches=[7.0, 8.0, 6.0],  # 7
            batches_without_augmentation=[2.0, 1.0, 3.0],  # 2
        )
    )
    assert {name: part["wall_ms"] for name, part in parts.items()} == {
        "loading": 2.0,
        "augmentation": 7.0 - 2.0,
        "forward": 20.0,
        "backward, update": 59.0 - 20.0,
        "pixel scores": 62.0 - 59.0,
    }
    assert sum(part["wall_ms"] for part in parts.values()) == 62.0 + 7.0
    assert parts["forward"]["cpu_ms"] == 10.0


def test_ratios_are_of_pytorch_over_sgseg(modules: Namespace) -> None:
    of = times(modules.step, scored=[10.0, 10.0], plain=[8.0, 8.0]) | {
        "PyTorch eager": [modules.step.Time(12.0, 5.0), modules.step.Time(12.0, 5.0)]
    }
    assert modules.step.ratios(of) == {
        "PyTorch eager": {
            modules.step.OURS: {"wall_ms": 12 / 10, "cpu_ms": 5 / 5},
            modules.step.OURS_PLAIN: {"wall_ms": 12 / 8, "cpu_ms": 5 / 4},
        }
    }


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        ({"trainable": 11, "difference": {}}, "10 parameters here, 11 in PyTorch"),
        ({"trainable": 10, "difference": {"training": 2e-4}}, r"in training differ by 2\.0e-04"),
        ({"trainable": 10, "difference": {"training": float("nan")}}, "differ by nan"),
    ],
)
def test_another_network_is_no_opponent(
    modules: Namespace, theirs: dict[str, object], message: str
) -> None:
    with pytest.raises(SystemExit, match=message):
        modules.step.check_same({"trainable": 10}, theirs)
    modules.step.check_same({"trainable": 10}, {"trainable": 10, "difference": {"training": 9e-5}})


def test_an_interpreter_without_torch_is_named(
    modules: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = str(tmp_path / "python")
    monkeypatch.setattr(sys, "argv", ["training_step.py", "--pytorch-python", absent])
    with pytest.raises(SystemExit, match=f"error: {absent}: no interpreter that has torch"):
        modules.step.main()


def test_training_step_without_pytorch(tmp_path: Path) -> None:
    file = tmp_path / "times.json"
    small = "--threads 1 --rounds 1 --steps 1 --width 2 --depth 1 --batch 2 --patch 16 --no-pytorch"
    done = subprocess.run(
        [sys.executable, FOLDER / "training_step.py", *small.split(), "--json", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for expected in ("sgseg, as it trains", "augmentation", "PyTorch was not measured"):
        assert expected in done.stdout
    found = json.loads(file.read_text())
    # 3 x 3 convolutions 1 -> 2 -> 2, down 2 -> 4 -> 4, up 6 -> 2 -> 2; each norm 2 per channel;
    # 1 x 1 convolution with its bias.
    convolutions = 9 * (1 * 2 + 2 * 2 + 2 * 4 + 4 * 4 + 6 * 2 + 2 * 2)
    assert found["sgseg"]["trainable"] == convolutions + 2 * (2 + 2 + 4 + 4 + 2 + 2) + 2 + 1
    assert found["pytorch"] is None
    assert all(time["wall_ms"] > 0 for turns in found["times"].values() for time in turns)
