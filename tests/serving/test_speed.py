"""How long a run will take, from those before."""

from __future__ import annotations

from sgseg.serving.speed import LAST, Speed


def test_nothing_is_known_before_the_first_run() -> None:
    assert Speed().seconds(10**9) == 0


def test_one_stalled_run_does_not_count() -> None:
    speed = Speed()
    speed.measured(2.0, 1000)  # 0.002 s per pixel
    speed.measured(500.0, 1000)
    assert speed.seconds(5000) == 10.0  # 0.002 x 5,000


def test_what_was_long_ago_is_forgotten() -> None:
    speed = Speed()
    speed.measured(1.0, 1000)
    for _ in range(LAST):
        speed.measured(4.0, 1000)
    assert speed.seconds(1000) == 4.0


def test_a_refusal_halves_it_until_it_is_measured_again() -> None:
    speed = Speed()
    speed.measured(8.0, 1000)
    speed.refused()
    speed.refused()
    assert speed.seconds(1000) == 2.0  # 8 / 2 / 2
    speed.measured(8.0, 1000)
    assert speed.seconds(1000) == 8.0
