"""One command at a time has folds trained, and what a killed one has left on the workers ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from sgseg.cluster import folds
from sgseg.cluster.folds import train_on
from sgseg.cluster.process import Ended
from sgseg.cluster.spread import Item
from sgseg.errors import InputError

HERE = "tcp://host:8786"


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that finishes each fold at once, and says which marks it saw."""

    def spread(_: object, items: list[Item[Ended]], *__: object, **___: object) -> Iterator[Any]:
        for place, item in enumerate(items):
            seen = sorted(path.name for path in item.function.mark.parent.glob(".seen-*"))
            yield place, Ended(int(seen != [item.function.mark.name]), " ".join(seen))

    monkeypatch.setattr(folds, "connect", lambda **_: nullcontext())
    monkeypatch.setattr(folds, "spread", spread)


def test_the_marks_of_a_killed_command_go_first(tmp_path: Path) -> None:
    (tmp_path / ".seen-left").touch()
    assert list(train_on(HERE, [0, 2], tmp_path, tmp_path)) == [(0, None), (2, None)]
    assert not list(tmp_path.glob(".seen-*"))


def test_two_commands_never_train_into_one_folder(tmp_path: Path) -> None:
    first = train_on(HERE, [0, 1], tmp_path, tmp_path)
    assert next(first) == (0, None)
    with pytest.raises(InputError, match="another `sgseg folds` has folds trained into it"):
        next(train_on(HERE, [1], tmp_path, tmp_path))
    assert next(first) == (1, None)
    first.close()
    assert list(train_on(HERE, [1], tmp_path, tmp_path)) == [(1, None)]
