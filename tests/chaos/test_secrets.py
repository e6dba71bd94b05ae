"""A password in an address, or a token, is in nothing that is said or written."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from sgseg.client import RemoteSegmenter
from sgseg.client.server import Server
from sgseg.errors import InputError, without_password
from sgseg.tracking import store
from sgseg.tuning import storage

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
