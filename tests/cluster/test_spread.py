"""Every task has one result, whatever dies on the way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from distributed import Client
from distributed.core import CommClosedError

from cluster.calls import FullDisk, KillOnce, Poison, Square
from sgseg.cluster.site import Site, marked
from sgseg.cluster.spread import Died, Item, Unseen, spread
from sgseg.errors import InputError


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with marked(tmp_path / "out") as made:
        yield made


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "a.tif").touch()
    return tmp_path / "a.tif"


def results(client: Client, site: Site, path: Path, *calls: Callable[[], Any]) -> dict[int, Any]:
    found = list(spread(client, [Item(path, call) for call in calls], site, unit="image"))
    assert len({place for place, _ in found}) == len(found)
    return dict(found)


def test_each_task_has_its_result(client: Client, site: Site, image: Path) -> None:
    found = results(client, site, image, *map(Square, range(30)))
    assert found == {number: number**2 for number in range(30)}
    assert results(client, site, image) == {}


def test_a_killed_worker_loses_nothing(
    client: Client, site: Site, image: Path, tmp_path: Path
) -> None:
    calls = [Square(1), KillOnce(tmp_path / "first"), Square(2), KillOnce(tmp_path / "second")]
    found = results(client, site, image, *calls, *map(Square, range(10)))
    assert [found[place] for place in range(4)] == [1, "survived", 4, "survived"]
    assert [found[place] for place in range(4, 14)] == [number**2 for number in range(10)]


def test_what_kills_every_worker_is_set_aside_and_the_innocent_are_not_blamed(
    client: Client,
    site: Site,
    image: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    notes = tmp_path / "notes"
    found = results(client, site, image, Poison(notes), *map(Square, range(8)))
    # Two workers died with it among others, and two when it was alone.
    assert found[0] == Died(2)
    assert notes.read_text().count("killed") >= 3
    assert [found[place] for place in range(1, 9)] == [number**2 for number in range(8)]
    assert f"{image}: its worker was killed; done again" in caplog.text


def test_a_file_that_the_worker_cannot_read(client: Client, site: Site, tmp_path: Path) -> None:
    (found,) = results(client, site, tmp_path / "gone.tif", Square(1)).values()
    assert isinstance(found, Unseen)
    assert found.worker.startswith("tls://127.0.0.1:")


def test_what_a_task_raises_ends_all(
    client: Client, site: Site, image: Path, tmp_path: Path
) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        results(client, site, image, Square(1), FullDisk(tmp_path / "b.tif"), Square(2))
    assert caught.value.filename == str(tmp_path / "b.tif")
    # And nothing of it stays behind.
    assert results(client, site, image, Square(3)) == {0: 9}


def test_workers_that_do_not_see_the_folder_or_run_other_software(
    client: Client, site: Site, image: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with pytest.raises(InputError) as caught:
        results(client, replace(site, mark=tmp_path / "elsewhere/mark"), image, Square(1))
    assert len(caught.value.problems) == 2
    assert f"it does not see the folder {tmp_path / 'elsewhere'}" in str(caught.value)
    other = replace(site, environment={**site.environment, "numpy": "1.0"})
    with pytest.raises(InputError, match=r"its software is another one \(numpy .* instead of 1.0"):
        results(client, other, image, Square(1))


def test_a_worker_that_dies_while_it_is_asked_what_it_sees(
    client: Client, site: Site, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chaos found it: the run ended with a stack trace."""
    dead = CommClosedError("Stream is closed")
    fit, gone = [[], dead], [dead, dead]
    addresses = list(client.nthreads())
    monkeypatch.setattr(client, "run", lambda *a, **k: dict(zip(addresses, fit, strict=True)))
    assert results(client, site, image, Square(3)) == {0: 9}
    # Even if none is left to be asked: tasks wait for those that come.
    monkeypatch.setattr(client, "run", lambda *a, **k: dict(zip(addresses, gone, strict=True)))
    assert results(client, site, image, Square(3), Square(4)) == {0: 9, 1: 16}


def test_what_is_wrong_with_the_question_is_not_taken_for_a_death(
    client: Client, site: Site, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = dict.fromkeys(client.nthreads(), TypeError("no such argument"))
    monkeypatch.setattr(client, "run", lambda *a, **k: answers)
    with pytest.raises(TypeError, match="no such argument"):
        results(client, site, image, Square(3))
