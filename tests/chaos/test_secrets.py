"""A password in an address, or a token, is in nothing that is said or written."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from dataset import lab
from tracking.tracked import CV, train
from tuning.fake import params_of

from sgseg.client import RemoteSegmenter
from sgseg.client.server import Server
from sgseg.errors import InputError, without_password
from sgseg.images.write import write_labels
from sgseg.tracking import store
from sgseg.tuning import storage

from .cases import sgseg
from .faults import run

SECRET = "S3/CR?E@T"
ADDRESS = f"http://ada:{SECRET}@127.0.0.1:9"
DATABASE = f"postgresql://ada:{SECRET}@127.0.0.1:9/runs"


@pytest.mark.parametrize(
    "shown", [without_password, store.without_password, storage.without_password]
)
@pytest.mark.parametrize("address", [ADDRESS, DATABASE, f"postgresql://h/runs?password={SECRET}"])
def test_an_address_that_may_be_shown(shown, address: str) -> None:
    if shown is store.without_password and "?password" in address:
        pytest.skip("an address of MLflow has no options")
    assert not any(part in shown(address) for part in ("S3", "CR", "E@", "T@"))


def test_a_server_that_cannot_be_reached(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = Server(ADDRESS, retries=1, token=SECRET)
    with pytest.raises(InputError) as caught:
        server.ask({})
    assert "127.0.0.1" in str(caught.value)
    for said in (str(caught.value), caplog.text, repr(server), server.url):
        assert "S3" not in said


def test_an_address_of_no_server() -> None:
    with pytest.raises(InputError) as caught:
        RemoteSegmenter(f"ftp://ada:{SECRET}@h").predict(np.zeros((4, 4), np.uint8))
    assert "S3" not in str(caught.value)


def test_a_database_that_cannot_be_reached(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(InputError) as caught:
        storage.open_storage(tmp_path, "postgresql://ada:S3CRET@127.0.0.1:9/runs")
    assert "S3" not in str(caught.value) + caplog.text
    assert list(tmp_path.rglob("*")) == []


# --- the commands themselves, all that they say, and every file that they leave

WORD = "S3CR3T"
HTTP = f"http://ada:{WORD}@127.0.0.1:9"
POSTGRESQL = f"postgresql+psycopg://ada:{WORD}@127.0.0.1:9/runs"
TUNED = {"trials": 1, "folds": [0], "epochs": 1, "search": ["train.learning_rate"]}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which one fold was trained, with what a search wants to see."""
    folder = tmp_path_factory.mktemp("project")
    made = run(lambda: train(folder, CV, 0), folder)
    assert made.status == 0, made.said
    for name in ("data/dataset/manifest.csv", "data/split/roles.csv"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("image_id\n")
    params_of(folder, budget="small", budgets={"small": TUNED, "full": TUNED})
    (folder / "src").symlink_to(Path(__file__).parents[2] / "src")
    (folder / "images").mkdir()
    write_labels(folder / "images" / "a.tif", lab.cell(0))
    return folder


def _listen() -> None:
    """Say all that is logged, and leave out the waiting between two tries."""
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, force=True)
    time.sleep = lambda _: None


def refused(project: Path, command: object, **environment: str) -> None:
    """A command ends with a message; nobody learns the password."""

    def there() -> None:
        _listen()
        os.chdir(project)
        os.environ.update(environment)
        command()  # type: ignore[operator]

    ended = run(there, project)
    assert ended.status != 0
    # MLflow would try for 100 s to reach a database.
    assert ended.seconds < 60
    assert "Traceback" not in ended.said
    assert "127.0.0.1" in ended.said
    assert WORD not in ended.said
    for path in project.rglob("*"):
        if path.is_file() and "src" not in path.relative_to(project).parts:
            assert WORD.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("address", [HTTP, POSTGRESQL])
@pytest.mark.parametrize(
    "words",
    [
        ("track",),
        ("registry", "list"),
        ("predict", "images", "--model", "models:/sgseg@champion", "--out", "found"),
    ],
    ids=lambda words: words[0],
)
def test_a_store_that_cannot_be_reached(
    project: Path, words: tuple[str, ...], address: str
) -> None:
    refused(project, sgseg(*words), MLFLOW_TRACKING_URI=address)


def test_a_study_that_cannot_be_reached(project: Path) -> None:
    refused(project, sgseg("tune", "--storage", POSTGRESQL))


def test_a_token_of_a_server_that_cannot_be_reached(project: Path) -> None:
    command = sgseg("predict", "images", "--url", "http://127.0.0.1:9", "--out", "found")
    refused(project, command, SGSEG_TOKEN=WORD)


def test_a_training_goes_on_and_says_nothing(project: Path) -> None:
    """A store that cannot be reached costs a warning, which has no password, nor has run.json."""

    def there() -> None:
        _listen()
        os.environ["MLFLOW_TRACKING_URI"] = HTTP
        train(project, CV, 1)

    ended = run(there, project)
    assert ended.status == 0
    assert "The training goes on without MLflow." in ended.said
    assert WORD not in ended.said
    written = [path for path in (project / "models/folds/1").rglob("*") if path.is_file()]
    assert written
    assert not any(WORD.encode() in path.read_bytes() for path in written)
