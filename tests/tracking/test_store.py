"""Where the store is, and how it fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from sgseg.errors import InputError, Problem
from sgseg.tracking import StoreError, tracking_uri
from sgseg.tracking.store import (
    failures_named,
    open_existing_store,
    open_store,
    put_tag,
    store_home,
    without_password,
)


def test_the_default_is_a_file_in_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.chdir(tmp_path)
    assert tracking_uri() == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    assert tracking_uri(tmp_path) == "https://mlflow.example.org"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"


def test_experiments_of_dvc_share_the_store_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "tmp1"
    assert store_home(copy) == copy
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert store_home(copy) == tmp_path
    assert store_home(tmp_path) == tmp_path
    assert store_home(tmp_path.parent / "elsewhere") == tmp_path.parent / "elsewhere"


@pytest.mark.parametrize("name", ["two words (ü)", "100 % #1?"])
def test_any_name_of_a_project(tmp_path: Path, empty_store: Path, name: str) -> None:
    project = tmp_path / name
    project.mkdir()
    shutil.copy(empty_store, project / "mlflow.db")
    store = open_store(project, "sgseg")
    assert store.experiment_id == "2"  # after `unused` of the database that was there
    run = store.client.create_run(store.experiment_id)
    (project / "note.txt").write_text("seen")
    store.client.log_artifact(run.info.run_id, str(project / "note.txt"))
    (shown,) = (project / "mlruns").rglob("note.txt")
    assert shown.read_text() == "seen"


def test_passwords_are_not_shown() -> None:
    assert without_password("postgresql://u:p@host:1/db?x=1") == "postgresql://host:1/db?x=1"
    assert without_password("sqlite:////tmp/mlflow.db") == "sqlite:////tmp/mlflow.db"
    with (
        pytest.raises(InputError) as caught,
        failures_named("http://u:secret@host"),
    ):
        raise ValueError("cannot reach http://u:secret@host/api")
    assert "http://host" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("password", ["p@ss", "p/ss", "p@s/s@", "p s", "//p", "a\nb"])
def test_nor_is_any_part_of_an_odd_one(password: str) -> None:
    uri = f"https://ada:{password}@host:1/x"
    assert without_password(uri) == "https://host:1/x"
    with pytest.raises(InputError) as caught, failures_named(uri):
        raise ValueError(f"cannot reach {uri}, of the lab")
    assert str(caught.value).count("https://host:1/x") == 2
    assert "ada" not in str(caught.value)
    assert "of the lab" in str(caught.value)


def test_a_path_may_have_an_at() -> None:
    assert without_password("sqlite:////home/ada@lab/mlflow.db") == (
        "sqlite:////home/ada@lab/mlflow.db"
    )


def test_a_database_that_was_killed_while_it_was_made(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db.new").write_bytes(b"half of it")
    (tmp_path / "mlflow.db").touch()
    store = open_store(tmp_path, "sgseg")
    assert store.client.get_experiment(store.experiment_id).name == "sgseg"
    assert not (tmp_path / "mlflow.db.new").exists()


def test_a_store_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match=r"mlflow\.db.*not a database.*sgseg track"):
        open_store(tmp_path, "sgseg")


def test_a_store_that_must_be_there(tmp_path: Path, empty_store: Path) -> None:
    with pytest.raises(StoreError, match="no such store"):
        open_existing_store(tmp_path)
    (tmp_path / "mlflow.db").touch()
    with pytest.raises(StoreError, match="no such store"):
        open_existing_store(tmp_path)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    store = open_existing_store(tmp_path)
    assert store.client.search_registered_models() == []
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_what_is_said_after_a_failure() -> None:
    mistake = InputError(Problem("here", "wrong"))
    with pytest.raises(InputError) as caught, failures_named("sqlite:///x"):
        raise mistake
    assert caught.value is mistake
    for options, later in (({}, True), ({"afterwards": ""}, False)):
        with pytest.raises(StoreError) as caught, failures_named("sqlite:///x", **options):
            raise OSError("disk full")
        assert ("sgseg track" in str(caught.value)) == later


def test_the_package_does_not_import_mlflow() -> None:
    code = "import sys, sgseg.tracking, sgseg.commands.track; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_tag_that_several_set_at_once_is_set(root: Path) -> None:
    store = open_store(root, "sgseg")
    client = store.client
    run = client.create_run(store.experiment_id).info.run_id
    client.create_registered_model("sgseg")
    client.create_model_version("sgseg", source="file:///nowhere")
    names = [f"tag {number}" for number in range(20)]
    with ThreadPoolExecutor(4) as pool:
        for name in names:
            list(pool.map(lambda _, name=name: put_tag(client.set_tag, run, name, "v"), range(4)))
            version = ("sgseg", "1", name, "v")
            list(
                pool.map(lambda _, to=version: put_tag(client.set_model_version_tag, *to), range(4))
            )
    assert {client.get_run(run).data.tags[name] for name in names} == {"v"}
    assert client.get_model_version("sgseg", "1").tags == dict.fromkeys(names, "v")


def test_a_tag_that_cannot_be_set_fails_at_once(root: Path) -> None:
    store = open_store(root, "sgseg")
    with pytest.raises(MlflowException, match="no run"):
        put_tag(store.client.set_tag, "no run", "name", "v")
