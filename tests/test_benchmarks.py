"""The benchmarks run, on next to nothing, and their arithmetic is right; no speed is tested."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
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
    """Two modules that need no TensorFlow, as `python benchmarks/...` finds them."""
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


def test_a_row_says_the_share_of_the_peak(modules: Namespace) -> None:
    turns = [modules.step.Time(wall, 30.0) for wall in (40.0, 50.0, 60.0)]
    row = modules.step._row("it", turns, 8, 25.0, None)
    # 8 images in 50 ms; at the peak it would take 25 ms.
    assert row == "| it | 50.0 | 45.0 to 55.0 | 160 | 50% | 30.0 |  |  |"


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
    small = "--threads 1 --rounds 1 --steps 1 --width 2 --depth 1 --batch 2 --patch 64 --no-pytorch"
    done = subprocess.run(
        [sys.executable, FOLDER / "training_step.py", *small.split(), "--json", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for expected in (
        "sgseg, as it trains",
        "sgseg, bfloat16",
        "sgseg, compiled by XLA",
        "augmentation",
        "PyTorch was not measured",
    ):
        assert expected in done.stdout
    found = json.loads(file.read_text())
    # 3 x 3 convolutions 1 -> 2 -> 2, down 2 -> 4 -> 4, up 6 -> 2 -> 2; each norm 2 per channel;
    # 1 x 1 convolution with its bias.
    convolutions = 9 * (1 * 2 + 2 * 2 + 2 * 4 + 4 * 4 + 6 * 2 + 2 * 2)
    # Of each pixel; those of the level below only in a quarter.
    per_pixel = 9 * (1 * 2 + 2 * 2 + 6 * 2 + 2 * 2) + 9 * (2 * 4 + 4 * 4) / 4 + 2
    assert found["sgseg"]["multiply_adds_per_pixel"] == per_pixel
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


MACHINE = {
    "processor": "P",
    "cores": 2,
    "threads": 1,
    "load": 0.25,
    "python": "3.11",
    "packages": {"onnxruntime": "1.2", "numpy": "2.4", "mlflow": "3"},
}


def test_a_table_says_machine_and_versions(modules: Namespace) -> None:
    text = modules.paired.described(MACHINE, "numpy", "keras", "onnxruntime")
    expected = "P, 2 cores, 1 threads, load 0.2 before; Python 3.11, numpy 2.4, onnxruntime 1.2."
    assert text == expected
    here = modules.paired.machine(3)
    assert here["threads"] == 3
    assert set(here["packages"]) >= {"numpy", "keras", "onnxruntime"}
    assert modules.paired.spread([1.0, 2.0, 3.0, 4.0, 5.0], 1) == "2.0 to 4.0"
    assert modules.paired.spread([1.0]) == ""


def test_results_fill_in_their_sections_and_leave_the_words_alone(suite: ModuleType) -> None:
    page = "before\n<!-- bench: growth -->\nold\n<!-- end -->\nafter\n"
    row = {"images": 10, "side": 500, "megapixels": 2.5, "seconds": 5.0, "peak_mb": 1234.5}
    found = {"growth": {"machine": MACHINE, "rows": [row]}}
    filled = suite.fill_in(page, found)
    assert filled.startswith("before\n<!-- bench: growth -->\n\nP, 2 cores")
    assert max(map(len, filled.splitlines())) <= 140
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
    assert len(sections) == len(set(sections))
    assert set(sections) - set(suite.ASKED_FOR) == {*suite.SUITE, suite.SUMMARY}


def test_what_takes_hours_is_run_only_where_it_is_named(suite: ModuleType) -> None:
    assert list(suite.parse([]).only) == list(suite.SUITE)
    assert not set(suite.SUITE) & set(suite.ASKED_FOR)
    assert suite.parse(["--only", "cost_curve"]).only == ["cost_curve"]


def test_one_that_fails_costs_no_other(
    suite: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text("raise SystemExit(3)")
    (tmp_path / "page.md").write_text("<!-- bench: growth -->\n<!-- end -->\n")
    row = {"images": 1, "side": 1000, "megapixels": 1.0, "seconds": 2.0, "peak_mb": 10.0}
    whole = json.dumps({"machine": MACHINE, "rows": [row]})
    (tmp_path / "whole.py").write_text(f"import sys; open(sys.argv[2], 'w').write({whole!r})")
    monkeypatch.setattr(suite, "HERE", tmp_path)
    monkeypatch.setattr(suite, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(suite, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(suite, "SUITE", ("broken", "whole", "growth"))
    (tmp_path / "growth.py").write_text((tmp_path / "whole.py").read_text())
    monkeypatch.setattr(sys, "argv", ["suite.py"])
    with pytest.raises(SystemExit, match="error: broken failed"):
        suite.main()
    assert "| 1 | 1,000 x 1,000 | 2.0 | 2.00 | 10 MB |" in (tmp_path / "page.md").read_text()


def test_fewer_rounds_of_more_work(suite: ModuleType) -> None:
    import inference  # noqa: PLC0415 - found only beside `suite`

    def rounds(side: int, n: int, most: int = 12) -> int:
        return inference.rounds_of({"side": side, "n": n, "rounds": most})

    # 12 / sqrt(work): of 1, 4 and 16 times the pixels, and of 5 members.
    assert [rounds(512, 1), rounds(1024, 1), rounds(2048, 1)] == [12, 6, 3]
    assert [rounds(512, 5), rounds(2048, 5), rounds(64, 1)] == [5, 3, 12]
    assert rounds(2048, 5, most=2) == 2


def test_the_aims_say_the_worst_and_the_best(suite: ModuleType) -> None:
    import aims  # noqa: PLC0415 - found only beside `suite`

    case = {
        "side": 1000,
        "members": 2,
        "peak_gigaflops": 100.0,
        "wall_ms": {"sgseg.inference": [4000.0] * 3, "sgseg.inference, int8": [2000.0] * 3},
        "over_keras": {"sgseg.inference": 1.5, "sgseg.inference, int8": 3.0},
    }
    ratios = {
        "PyTorch eager": {"sgseg, as it trains": {"wall_ms": 1.0}},
        "PyTorch compiled": {"sgseg, as it trains": {"wall_ms": 0.9}},
        "PyTorch eager, bfloat16": {"sgseg, as it trains": {"wall_ms": 0.75}},
        "sgseg, bfloat16": {"sgseg, as it trains": {"wall_ms": 0.6}},
    }
    found = {
        "training_step": {"ratios": ratios},
        "inference": {"multiply_adds_per_pixel": 50_000.0, "cases": [case]},
        "growth": {"rows": [{"megapixels": 100, "peak_mb": 1000.0}, {"megapixels": 1}]},
        "pipeline": {"start": {"sgseg --help": [0.2, 0.1, 0.3], "sgseg tune --help": [0.6]}},
    }
    _, _, *lines = aims.table(found)
    rows = dict(line.strip("| ").split(" | ", 1) for line in lines)
    # float32: 0.9; bfloat16: 0.9 / 0.6 over the fastest of 32 bits, 0.75 / 0.6 over the fastest.
    expected = "0.90 (float32) to 1.50 (bfloat16 over float32) | 2 of 3"
    assert rows["a training step: 1.2 times as fast as plain PyTorch"] == expected
    float32, int8 = "(1000 px, members: 2, float32)", "(1000 px, members: 2, int8)"
    assert rows["inference: twice as fast as Keras `predict`"] == (
        f"1.50 {float32} to 3.00 {int8} | 1 of 2"
    )
    # 2 * 50,000 operations * 10^6 px * 2 members in 4 s: 50 GFLOP/s.
    assert rows["inference: half of the arithmetic peak"] == f"50% {float32} to 100% {int8} | yes"
    assert rows["8 bits: 1.3 times as fast as 32"] == "2.00 (1000 px, members: 2) | yes"
    # 1000 * 1.048576 MB
    assert rows["100 megapixels within 2 GB"] == "1.05 GB | yes"
    assert rows["`sgseg --help` under 0.5 s"] == "0.60 s (sgseg tune --help) to 0.20 s | 1 of 2"
    assert rows["a whole command: 80 % of bare inference"] == "not measured"
    assert len(aims.AIMS) == len(rows)


def test_a_server_gets_through_so_many(suite: ModuleType) -> None:
    import serving  # noqa: PLC0415 - found only beside `suite`

    case = {
        "side": 1000,
        "members": 1,
        "rounds": 3,
        "wall_ms": {"bare ONNX call": [500.0, 400.0, 600.0]},
        "peak_mb": {"bare ONNX call": 100.0},
        "over_bare": {"bare ONNX call": 1.0},
        "requests": 8,
        "clients_ms": {"4": [5000.0, 4000.0, 8000.0]},
        "of_bare": {"4": 0.8},
    }
    found = {
        "machine": MACHINE,
        "settings": {"width": 16, "depth": 3},
        "cases": [case, {**case, "rounds": 2}],
    }
    lines = list(serving.table(found))
    assert (
        "| 1000 x 1000 | 1 | bare ONNX call | 500 | 450 to 550 | 590 | 2.00 | 1.00 | 100 MB |"
        in (lines)
    )
    # 8 requests in 5, 4 and 8 s: 1.6, 2 and 1 a second.
    assert "| 1000 x 1000 | 1 | 4 | 1.60 | 1.30 to 1.80 | 1.60 | 80% |" in lines
    (said,) = serving.said(found)
    assert "mlflow 3, onnxruntime 1.2" in said
    assert "medians of 3, 2 rounds" in said


def test_clients_share_the_requests(suite: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    import _serving_worker as worker  # noqa: PLC0415 - found only beside `suite`

    asked: list[int] = []

    def by_parquet(_: object) -> object:
        own = len(asked)
        asked.append(0)

        def call() -> None:
            asked[own] += 1

        return call

    monkeypatch.setattr(worker, "by_parquet", by_parquet)
    (work,) = worker.clients({"clients": [3], "requests": 8}).values()
    work()
    assert sorted(asked) == [2, 3, 3]


def test_the_pipeline_says_how_often_each_was_run(suite: ModuleType) -> None:
    import pipeline  # noqa: PLC0415 - found only beside `suite`

    found = {
        "machine": MACHINE,
        "repro": {"everything": [400.0], "nothing has changed": [1.0, 2.0, 6.0]},
        "start": {"sgseg --help": [0.25]},
    }
    _, _, *rows = pipeline.table(found)
    assert rows == [
        "| `dvc repro`, everything | 400.00 |  | 1 |",
        "| `dvc repro`, nothing has changed | 2.00 | 1.50 to 4.00 | 3 |",
        "| `sgseg --help` | 0.25 |  | 1 |",
    ]


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
    assert row.endswith("| 4,000 ms |  | 0.25 | 1.50 | 50% |")


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


def test_parts_in_two_threads_are_not_within_each_other(
    suite: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    import end_to_end  # noqa: PLC0415 - found only beside `suite`

    ticks = iter([0.0, 1.0, 4.0, 10.0])
    monkeypatch.setattr(end_to_end, "perf_counter", lambda: next(ticks))
    clock = end_to_end.Clock()
    other = clock.timed("read and decode", lambda: None)

    def elsewhere() -> None:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    clock.timed("nuclei, cells, measuring", elsewhere)()
    # From 0 to 10, and meanwhile from 1 to 4.
    assert clock.seconds["read and decode"] == 3.0
    assert clock.seconds["nuclei, cells, measuring"] == 10.0


def test_end_to_end_on_two_small_fields(
    suite: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import _serving_worker as worker  # noqa: PLC0415 - found only beside `suite`
    import end_to_end  # noqa: PLC0415

    settings = {"folder": str(tmp_path), "members": [1], "width": 2, "depth": 1}
    monkeypatch.setattr(sys, "argv", ["_serving_worker.py", "build", json.dumps(settings)])
    worker.main()
    monkeypatch.setattr(end_to_end, "default_network", lambda _: tmp_path / "bundle_1")
    small = "--fields 2 --side 128 --orientations 8 1 --threads 1"
    found = end_to_end.compare(end_to_end.parse(small.split()))
    eight, one = found["runs"]
    assert (eight["orientations"], one["orientations"]) == (8, 1)
    for run in (eight, one):
        assert set(run["parts_s"]) == set(end_to_end.PARTS)
        assert min(run["parts_s"].values()) > 0
        assert run["bare_s"] == sum(run["bare_blocks_s"]) / 2
    lines = "\n".join([*end_to_end.said(found), *end_to_end.table(found)])
    assert "2 fields of 128 x 128 px" in lines
    assert f"**{one['bare_s'] / one['wall_s']:.0%}**" in lines
    assert "| nuclei, cells, measuring | " in lines


def test_results_keep_no_place_of_the_machine(modules: Namespace, tmp_path: Path) -> None:
    found = {"settings": {"python": str(tmp_path / "bin" / "python"), "rounds": 2}, "ms": [1.5]}
    file = tmp_path / "found.json"
    modules.paired.publish(found, file, said=lambda _: [], table=lambda _: [])
    assert json.loads(file.read_text()) == {
        "settings": {"python": "python", "rounds": 2},
        "ms": [1.5],
    }


def test_none_of_the_results_that_are_here_does() -> None:
    files = list((FOLDER / "results").glob("*.json"))
    assert files
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert '"/' not in text, file.name
