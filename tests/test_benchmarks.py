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


# --- the suite


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(FOLDER))
    import suite as module  # noqa: PLC0415

    yield module
    for path in FOLDER.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_results_fill_in_their_sections_and_leave_the_words_alone(suite: ModuleType) -> None:
    page = "before\n<!-- bench: growth -->\nold\n<!-- end -->\nafter\n"
    machine = {"processor": "P", "cores": 2, "threads": 1, "load": 0.0, "python": "3.11"}
    row = {"images": 10, "side": 500, "megapixels": 2.5, "seconds": 5.0, "peak_mb": 1234.5}
    found = {"growth": {"machine": machine, "rows": [row]}}
    filled = suite.fill_in(page, found)
    assert filled.startswith("before\n<!-- bench: growth -->\n\nP, 2 cores")
    # 5 s over 2.5 megapixels.
    assert "| 10 | 500 x 500 | 5.0 | 2.00 | 1,234 MB |" in filled
    assert filled.endswith("\n\n<!-- end -->\nafter\n")
    assert "old" not in filled
    assert suite.fill_in(filled, found) == filled
    assert suite.fill_in(page, {}) == page
    with pytest.raises(KeyError, match="speed"):
        suite.fill_in("<!-- bench: speed -->\n<!-- end -->", found)


def test_the_page_has_a_section_for_each_benchmark_of_the_suite(suite: ModuleType) -> None:
    page = (FOLDER.parent / "docs/performance.md").read_text(encoding="utf-8")
    sections = [match.group(2) for match in suite.SECTION.finditer(page)]
    assert sorted(sections) == sorted(suite.SUITE)


def test_the_share_of_the_peak(suite: ModuleType) -> None:
    import inference  # noqa: PLC0415 - found only beside `suite`

    case = {
        "side": 1000,
        "members": 2,
        "peak_gigaflops": 100.0,
        "wall_ms": {"it": [4000.0]},
        "over_keras": {"it": 1.5},
    }
    *_, row = inference.table({"multiply_adds_per_pixel": 50_000.0, "cases": [case]})
    # 2 * 50,000 operations * 10^6 px * 2 members in 4 s: 50 GFLOP/s; 1 megapixel in 4 s.
    assert row.endswith("| 4,000 ms | 4,000 to 4,000 | 0.25 | 1.50 | 50% |")


def test_parts_within_parts_are_counted_once(
    suite: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    import end_to_end  # noqa: PLC0415 - found only beside `suite`

    ticks = iter([0.0, 1.0, 4.0, 10.0])
    monkeypatch.setattr(end_to_end, "perf_counter", lambda: next(ticks))
    clock = end_to_end.Clock()
    inner = clock.timed("read and decode", lambda: None)
    clock.timed("nuclei, cells, measuring", inner)()
    # From 0 to 10, of which 1 to 4 is the inner one's.
    assert clock.seconds["read and decode"] == 3.0
    assert clock.seconds["nuclei, cells, measuring"] == 7.0
