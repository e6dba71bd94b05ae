"""A saved view is a tag of the experiment, set once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sgseg.tracking.store import StoreError, open_store
from sgseg.tracking.views import TAG, save_view


def test_it_is_set_once_and_replaced_by_another(root: Path) -> None:
    store = open_store(root, "sgseg")
    number = store.experiment_id
    assert save_view(store, number, "mine", {"searchFilter": "x"})
    assert not save_view(store, number, "mine", {"searchFilter": "x"})
    assert save_view(store, number, "mine", {"searchFilter": "y"})
    tags = store.client.get_experiment(number).tags
    assert json.loads(tags[f"{TAG}mine"]) == {"searchFilter": "y"}


def test_an_experiment_that_is_not_there(root: Path) -> None:
    with pytest.raises(StoreError):
        save_view(open_store(root, "sgseg"), "999", "mine", {})
