"""The benchmark of quantifying runs, on next to nothing; no speed is tested."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "quantify_cost.py"


def test_quantify_cost(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    small = ["--side", "256", "--many-side", "128", "--fields", "1", "2"]
    model = ["--rounds", "1", "--threads", "1", "--model", make_bundle(2.0)]
    command = [sys.executable, SCRIPT, *small, *model]
    done = subprocess.run(
        [*command, "--json", tmp_path / "times.json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=SCRIPT.parents[1],
    )
    assert done.returncode == 0, done.stderr
    assert "256 x 256 px" in done.stdout
    found = json.loads((tmp_path / "times.json").read_text())
    assert [row["fields"] for row in found["many"]] == [1, 2]
    one = found["beside"]
    wall = {name: times[0] for name, times in one["wall_ms"].items()}
    # Of a single round the ratio is that of its times.
    name = "segment, one network / quantify, a run of one field"
    expected = wall["segment, one network"] / wall["quantify, a run of one field"]
    assert one["ratios"][name]["wall"] == expected
