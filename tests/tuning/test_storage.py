"""A journal that a kill may cut, and addresses of databases."""

from __future__ import annotations

import sys
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError

from sgseg.errors import InputError
from sgseg.tuning import storage
from sgseg.tuning.storage import (
    JOURNAL,
    cut_unfinished_line,
    failures_named,
    open_storage,
    without_password,
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (b'{"a":1}\n', b'{"a":1}\n'),
        (b'{"a":1}\n{"b"', b'{"a":1}\n'),
        (b'{"a"', b""),
    ],
)
def test_an_unfinished_line_is_cut(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = tmp_path / JOURNAL
    path.write_bytes(before)
    cut_unfinished_line(path)
    assert path.read_bytes() == after


def test_a_journal_goes_on_after_a_kill_within_a_line(tmp_path: Path) -> None:
    def study() -> optuna.Study:
        kept = open_storage(tmp_path, None)
        return optuna.create_study(study_name="a", storage=kept, load_if_exists=True)

    first, other = study(), study()
    first.tell(first.ask(), 1.0)
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"op_code":4,"worker')
    # One that was there before, one that comes later.
    other.tell(other.ask(), 2.0)
    assert [trial.value for trial in study().trials] == [1.0, 2.0]
    first.tell(first.ask(), 3.0)
    assert [trial.value for trial in other.trials] == [1.0, 2.0, 3.0]


def test_the_lock_of_a_killed_process_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chaos found it: in a relative folder, which the pipeline has, nobody ever got it again."""
    monkeypatch.chdir(tmp_path)
    journal = open_storage(Path("study"), None)
    lock = journal._backend._lock
    assert lock.acquire()
    assert Path("study/journal.log.lock").exists()  # what it points to, by which its age is known
    lock.grace_period = 0.5
    assert lock.acquire()
    lock.release()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@lab:5432/db", "postgresql://me@lab:5432/db"),
        ("postgresql://me@lab/db?password=secret", "postgresql://me@lab/db"),
        ("postgresql+psycopg://me:se@cret@lab/db", "postgresql+psycopg://me@lab/db"),
        ("sqlite:////tmp/a.db", "sqlite:////tmp/a.db"),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InputError) as error:
        open_storage(tmp_path, "postgresql://me:secret@lab/db")
    assert "psycopg, is not installed. pip install 'sgseg[postgresql]'" in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "url", ["lab", "postgresql", "postgresql://me:secret@lab:port/db", "a://b"]
)
def test_no_address(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match="no address of a database") as error:
        open_storage(tmp_path, url)
    assert "secret" not in str(error.value)


def test_a_database_that_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unable to open database file"):
        open_storage(tmp_path, f"sqlite:///{tmp_path / 'none' / 'a.db'}")


def test_a_table_that_another_worker_has_just_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import IntegrityError  # noqa: PLC0415

    tried = []

    class Late(optuna.storages.RDBStorage):
        def __init__(self, url: str, **options: object) -> None:
            tried.append(url)
            if len(tried) == 1:
                raise IntegrityError("create", {}, Exception("already exists"))
            super().__init__(url)

    monkeypatch.setattr(storage, "RDBStorage", Late)
    monkeypatch.setattr(storage, "CREATION_PAUSES", (0.0, 0.0))
    open_storage(tmp_path, f"sqlite:///{tmp_path / 'a.db'}")
    assert len(tried) == 2


def test_a_database_that_goes_away_during_a_search() -> None:
    """Optuna wraps what the driver says; it was a stack trace."""
    lost = OperationalError("select 1", {}, Exception("server closed the connection"))
    with (
        pytest.raises(InputError, match="ada@h/runs: server closed the connection") as caught,
        failures_named("postgresql://ada:S3CR3T@h/runs"),
    ):
        raise StorageInternalError("an exception is raised during the commit") from lost
    assert "the same command goes on" in str(caught.value)
    assert "S3CR3T" not in str(caught.value)


def test_other_failures_of_a_search_are_no_failures_of_its_storage() -> None:
    with pytest.raises(ValueError, match="a defect"), failures_named("postgresql://h/runs"):
        raise ValueError("a defect")
