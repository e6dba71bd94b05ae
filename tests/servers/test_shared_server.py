"""From a run to a mask over HTTP, with PostgreSQL and S3 behind MLflow: as a lab shares them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from examples import draw_field, write_pointwise_network
from numpy.testing import assert_array_equal
from registry.project import FakeGate, make_params
from tracking.tracked import CV, snapshot, train

from sgseg.client import predict
from sgseg.inference.bundle import BundleSpec, digest, write_spec
from sgseg.inference.segmenter import Segmenter
from sgseg.registry import Promotion, bundle_of, promote, read_log
from sgseg.registry.models import open_existing_registry
from sgseg.tracking.identity import EvaluationRecord, write_record
from sgseg.training.merge import merge_onnx

from .process import Server, answers, free_port
from .shared import BUCKET, SharedServer, path_of_scripts, s3_client, script

GRANULES = [(10, 10), (20, 30), (40, 12)]
STARTED_MS = 1_700_000_000_000


@dataclass(frozen=True)
class Lab:
    """A project that uses the shared server, and its first champion."""

    root: Path
    promotion: Promotion

    @property
    def bundle(self) -> Path:
        return self.root / "models/evaluated"


@pytest.fixture(scope="module")
def lab(server: SharedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One fold trained, the model evaluated and promoted; the gate is a pretence."""
    root = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CACHE_HOME", str(root / "cache"))
        train(root, CV, 0)
        write_evaluated(root)
        yield Lab(root, promote(root, make_params(), gate=FakeGate()))


def write_evaluated(root: Path) -> None:
    """What `evaluate` leaves of two networks that call bright what is bright."""
    bundle = root / "models/evaluated"
    bundle.mkdir(parents=True)
    alone = [root / f"fold_{number}.onnx" for number in range(2)]
    for path, middle in zip(alone, (2.0, 2.2), strict=True):
        write_pointwise_network(path, middle=middle)
    names = [path.stem for path in alone]
    merge_onnx(alone, names, bundle / "model.onnx")
    preprocessing = {"normalise": "background"}
    facts = {"scores": {"out_of_fold": {"object_f1": {"value": 0.9}}}}
    write_spec(bundle, BundleSpec(names, preprocessing, 0.5, 4, 16, facts=facts))
    record = EvaluationRecord(CV, started_ms=STARTED_MS, evaluated_ms=STARTED_MS + 1000)
    write_record(record, root / "reports/evaluation")


@pytest.fixture(scope="module")
def url(lab: Lab, server: SharedServer) -> Iterator[str]:
    """Where the champion is served, by another process, which knows no more than the server."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [script("mlflow"), "models", "serve", "--model-uri", "models:/sgseg@champion"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    champion = Server(
        "mlflow models serve",
        command,
        log=lab.root / "serve.log",
        ready=lambda: answers(f"{url}/ping"),
        environment={**path_of_scripts(), "MLFLOW_TRACKING_URI": server.url},
    )
    try:
        champion.start()
        yield url
    finally:
        champion.kill()


def test_a_run_is_in_postgresql(server: SharedServer, lab: Lab) -> None:
    shown = snapshot(lab.root)
    fold = next(run for name, run in shown.items() if name.startswith("fold 0"))
    assert fold["status"] == "FINISHED"
    assert [value for _, _, value in fold["metrics"]["loss"]] == [1, 1 / 2, 1 / 3]
    assert rows(server, "select count(*) from runs") == [(len(shown),)]
    assert rows(server, "select name, version from model_versions") == [("sgseg", 1)]


def test_files_are_in_s3_and_nowhere_else(server: SharedServer, lab: Lab) -> None:
    listed = s3_client(server.storage).list_objects_v2(Bucket=BUCKET)["Contents"]
    sizes = {item["Key"].rpartition("/")[2]: item["Size"] for item in listed}
    assert {"gallery.png", "history.csv", "MLmodel", "model.onnx", "bundle.json"} <= sizes.keys()
    assert sizes["bundle.json"] == (lab.bundle / "bundle.json").stat().st_size
    for folder in (lab.root, server.mlflow.log.parent):
        assert not [*folder.glob("mlruns"), *folder.glob("mlartifacts"), *folder.glob("*.db")]


def test_the_champion_is_the_model_that_was_promoted(lab: Lab) -> None:
    assert lab.promotion.what == "promoted"
    found = bundle_of("models:/sgseg@champion", root=lab.root)
    assert found.is_relative_to(lab.root / "cache")
    assert digest(found) == digest(lab.bundle) == lab.promotion.challenger.bundle


def test_promoted_twice_is_promoted_once(lab: Lab) -> None:
    before = log_of(lab)
    again = promote(lab.root, make_params(), gate=FakeGate())
    assert again.what == "champion already"
    assert again.challenger.number == lab.promotion.challenger.number
    assert log_of(lab) == before == [("challenger", None, 1), ("champion", None, 1)]


def test_an_image_in_and_a_mask_out(lab: Lab, url: str) -> None:
    pixels, truth = draw_field(GRANULES)
    (answer,) = predict(url, [pixels])
    assert_array_equal(answer.labels, Segmenter.load(lab.bundle).predict(pixels).labels)
    assert_array_equal(answer.labels > 0, truth > 0)
    assert answer.n_granules == len(GRANULES)


def test_the_server_goes_on_when_postgresql_is_back(server: SharedServer, lab: Lab) -> None:
    before = snapshot(lab.root), log_of(lab)
    server.postgresql.kill()
    server.postgresql.start()
    assert (snapshot(lab.root), log_of(lab)) == before


def log_of(lab: Lab) -> list[tuple[str, int | None, int | None]]:
    """Which alias went from which version to which."""
    log = read_log(open_existing_registry(lab.root))
    return [(change.alias, change.from_version, change.to_version) for change in log]


def rows(server: SharedServer, query: str) -> list[tuple[Any, ...]]:
    """What the database answers."""
    import psycopg  # noqa: PLC0415

    with psycopg.connect(server.database.replace("+psycopg", "")) as connection:
        return connection.execute(query).fetchall()
