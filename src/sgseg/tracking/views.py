"""Saved views of an experiment: the columns, search and order that a link opens in the MLflow UI.

They are what the UI itself makes under *Share*: a tag of the experiment, named in the address.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sgseg.tracking.store import Store, failures_named, put_tag

TAG = "mlflow.sharedViewState."


def save_view(store: Store, experiment_id: str, key: str, state: Mapping[str, Any]) -> bool:
    """Keep the state of a list of runs under a key; False if it is there already.

    Raises
    ------
    StoreError
        The store cannot be written.
    """
    text = json.dumps(state, sort_keys=True)
    with failures_named(store.uri, afterwards=""):
        experiment = store.client.get_experiment(experiment_id)
        if experiment.tags.get(f"{TAG}{key}") == text:
            return False
        put_tag(store.client.set_experiment_tag, experiment_id, f"{TAG}{key}", text)
        return True
