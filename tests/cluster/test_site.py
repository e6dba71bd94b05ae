from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sgseg.cluster.site import differences, environment, marked


def test_the_mark_is_there_while_it_is_needed(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with marked(out) as site:
        assert site.problems("a") == []
        assert [path.name for path in out.iterdir()] == [site.mark.name]
        assert site.mark.name.startswith(".")
    assert list(out.iterdir()) == []
    (problem,) = site.problems("tcp://host:1")
    assert str(problem).startswith(f"worker tcp://host:1: it does not see the folder {out}")


def test_another_run_s_mark_stays(tmp_path: Path) -> None:
    # Several machines may work on one search.
    with marked(tmp_path) as one, marked(tmp_path) as other:
        assert one.mark != other.mark
        assert one.problems("a") == other.problems("a") == []


def test_what_is_compared() -> None:
    here = environment()
    assert here["numpy"] == np.__version__
    assert {"python", "sgseg", "onnxruntime", "code of sgseg"} <= here.keys()
    assert differences(here, here) == ""
    assert differences({"numpy": "1"}, {"numpy": "2", "scipy": "3"}) == (
        "numpy 1 instead of 2, scipy missing instead of 3"
    )


def test_the_backend_that_trains_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    here = environment(training=True)
    assert here["tensorflow"]
    assert "jax" not in here
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    environment.cache_clear()
    try:
        other = environment(training=True)
    finally:
        environment.cache_clear()
    assert {"jax", "jaxlib"} <= other.keys()
    assert "backend of Keras jax instead of tensorflow" in differences(other, here)
