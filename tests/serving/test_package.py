"""A bundle as an MLflow model: what is in it, and that it loads without pickle."""

from __future__ import annotations

import ast
import base64
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import yaml
from examples import draw_field
from mlflow.exceptions import MlflowException

from serving.served import write_bundle
from sgseg.errors import InputError
from sgseg.inference.bundle import digest
from sgseg.serving.package import SOURCE, example, log_model, requirements, save_model

FIELD = draw_field([(10, 10), (30, 20)])[0]
PNG = bytes(imagecodecs.png_encode(FIELD))


@pytest.fixture(scope="module")
def loaded(model: Path) -> Any:
    import mlflow.pyfunc  # noqa: PLC0415

    return mlflow.pyfunc.load_model(str(model))


def test_a_data_frame_of_files(loaded: Any) -> None:
    frame = pd.DataFrame({"image": [PNG, b"", PNG], "pixel_size_um": [0.1, 0.1, None]})
    first, second, third = loaded.predict(frame, params={"returns": "labels,granules"})
    expected = loaded.unwrap_python_model().segmenter.predict(FIELD)
    mask = imagecodecs.png_decode(base64.b64decode(first["mask"]))
    np.testing.assert_array_equal(mask, expected.labels)
    assert (first["n_granules"], len(first["granules"])) == (2, 2)
    assert (first["area_um2"], third["area_um2"]) == (0.18, None)  # 18 px of 0.1 x 0.1 um
    assert second["error"]
    assert third["error"] is None


def test_a_wrong_call_names_what_is_wrong(loaded: Any) -> None:
    with pytest.raises(MlflowException, match=r"params: threshold: got 2\.0; expected a number in"):
        loaded.predict(pd.DataFrame({"image": [PNG]}), params={"threshold": 2.0})
    with pytest.raises(MlflowException, match="image"):
        loaded.predict(pd.DataFrame({"picture": [PNG]}))


def test_the_input_example_is_a_request_with_granules(loaded: Any, model: Path) -> None:
    frame, params = example()
    (answer,) = loaded.predict(frame, params=params)
    assert answer["error"] is None
    assert answer["n_granules"] == 3
    content = json.loads((model / "serving_input_example.json").read_text())
    assert content["params"]["pixel_size_um"] == 0.1
    assert content["dataframe_split"]["columns"] == ["image"]


def test_the_signature_names_all_there_is(model: Path) -> None:
    signature = yaml.safe_load((model / "MLmodel").read_text())["signature"]
    inputs, params = json.loads(signature["inputs"]), json.loads(signature["params"])
    reading = ["channel", "second_channel", "projection", "pixel_size_um"]
    options = ["threshold", "min_area_px", *reading, "returns"]
    assert [item["name"] for item in inputs] == ["image", *options]
    assert [item["required"] for item in inputs] == [True] + [False] * len(options)
    assert [item["name"] for item in params] == options
    answers = [item["name"] for item in json.loads(signature["outputs"])]
    assert {"mask", "error", "warnings", "model_version", "granules"} <= set(answers)


def test_few_requirements_in_the_versions_that_are_here(model: Path) -> None:
    lines = (model / "requirements.txt").read_text().split()
    assert lines == requirements()
    assert len(lines) <= 12
    names = {line.partition("==")[0] for line in lines}
    assert {f"{name}=={version(name)}" for name in names} == set(lines)
    assert not names & {"tensorflow", "keras", "dvc", "optuna", "torch"}


def test_what_the_code_imports_is_required(model: Path) -> None:
    # The packages by the names that they are imported by.
    imported_as = {"pillow": "PIL", "pyyaml": "yaml", "scikit-image": "skimage"}
    names = {line.partition("==")[0] for line in requirements()}
    known = {imported_as.get(name, name) for name in names} | set(sys.stdlib_module_names)
    used: set[str] = set()
    for path in (model / "code").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                used |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                used.add(str(node.module).partition(".")[0])
    # What `sgseg predict` alone needs for progress, records and plates: nothing served imports it.
    assert used - known == {"sgseg", "tqdm", "filelock", "zarr"}


def test_the_code_is_what_serving_needs_and_no_more(model: Path) -> None:
    assert [path.name for path in (model / "code").iterdir()] == [SOURCE.name]
    found = {path.name for path in (model / "code" / SOURCE.name).iterdir()}
    assert found == {"__init__.py", "errors.py", "scores.py", "images", "inference", "serving"}
    assert not list((model / "code").rglob("*.pyc"))


def test_no_pickle_and_nothing_of_training(model: Path) -> None:
    assert not [path for path in model.rglob("*") if path.suffix in {".pkl", ".pickle", ".joblib"}]
    code = (
        "import sys, mlflow.pyfunc\n"
        f"model = mlflow.pyfunc.load_model({str(model)!r})\n"
        "import sgseg; print(sgseg.__file__)\n"
        "print([n for n in ('keras', 'tensorflow', 'dvc', 'optuna') if n in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    place, packages = done.stdout.splitlines()[-2:]
    # Its own copy: the model does not need sgseg to be installed.
    assert Path(place).is_relative_to(model)
    assert packages == "[]"


def test_the_card_goes_along(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", 2.0)
    card = tmp_path / "card"
    card.mkdir()
    (card / "card.md").write_text("What it is for.")
    save_model(bundle, tmp_path / "model", card=card)
    assert (tmp_path / "model" / "artifacts" / "card" / "card.md").exists()
    metadata = yaml.safe_load((tmp_path / "model" / "MLmodel").read_text())["metadata"]
    assert metadata == {"sgseg.bundle": digest(bundle)}


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model here"):
        save_model(tmp_path, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_logged_to_a_run_that_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow  # noqa: PLC0415

    bundle = write_bundle(tmp_path / "bundle", 2.0)
    # Not `set_tracking_uri`, which writes into the environment and stays there.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("e", artifact_location=(tmp_path / "a").as_uri())
    run = client.create_run(experiment)
    client.set_terminated(run.info.run_id)
    ended = client.get_run(run.info.run_id).info.end_time
    info = log_model(bundle, run_id=run.info.run_id, tags={"kind": "test"})
    logged = client.get_logged_model(info.model_id)
    assert (logged.name, logged.source_run_id) == ("sgseg", run.info.run_id)
    assert logged.tags["kind"] == "test"
    after = client.get_run(run.info.run_id).info
    assert (after.status, after.end_time) == ("FINISHED", ended)
    made = mlflow.register_model(info.model_uri, "sgseg")
    client.set_registered_model_alias("sgseg", "champion", made.version)
    loaded = mlflow.pyfunc.load_model("models:/sgseg@champion")
    (answer,) = loaded.predict(pd.DataFrame({"image": [PNG]}))
    assert (answer["n_granules"], answer["model_version"]) == (2, "sgseg/1")
