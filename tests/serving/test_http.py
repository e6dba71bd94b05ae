"""Bodies and content types to status and text; and MLflow's server, whose function is replaced."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
import time
from collections import namedtuple
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from threading import Barrier, Event, Semaphore
from types import ModuleType
from typing import Any

import imagecodecs
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from examples import draw_field

from serving.served import write_bundle
from sgseg.serving import http
from sgseg.serving.http import install, respond
from sgseg.serving.request import Request
from sgseg.serving.service import Service
from sgseg.serving.turn import Deadline, Turn

PNG = bytes(imagecodecs.png_encode(draw_field([(10, 10)])[0]))
TABLE = {"columns": ["image"], "data": [[base64.b64encode(PNG).decode()]]}
JSON = json.dumps({"dataframe_split": TABLE}).encode()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return Service.load(write_bundle(tmp_path_factory.mktemp("http") / "bundle", 2.0))


def parquet(table: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(table), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", 'application/json; charset="UTF-8"'],
)
def test_json(service: Service, content_type: str) -> None:
    status, text = respond(service, JSON, content_type)
    (answer,) = json.loads(text)["predictions"]
    assert (status, answer["n_granules"]) == (200, 1)


def test_parquet_is_the_same(service: Service) -> None:
    kind = "application/vnd.apache.parquet"
    status, text = respond(service, parquet({"image": [PNG]}), kind)
    assert status == 200
    assert json.loads(text) == json.loads(respond(service, JSON, "application/json")[1])


@pytest.mark.parametrize(
    ("content_type", "body", "status", "reason"),
    [
        (None, JSON, 415, "expected application/json or application/vnd.apache.parquet"),
        ("", JSON, 415, "Content-Type ''"),
        ("image/png", PNG, 415, "'image/png'"),
        ("text/csv", b"image\nAAAA", 415, "'text/csv'"),
        ("application/json; charset=latin-1", JSON, 415, "latin-1"),
        ("x" * 10_000, JSON, 415, "expected"),
        ("application/json", b"", 400, "no JSON"),
        ("application/json", parquet({"image": [PNG]}), 400, "no JSON"),
        ("application/vnd.apache.parquet", JSON, 400, "no Parquet"),
        ("application/vnd.apache.parquet", b"", 400, "no Parquet"),
    ],
)
def test_a_bad_request_is_a_sentence(
    service: Service, content_type: str | None, body: bytes, status: int, reason: str
) -> None:
    got, text = respond(service, body, content_type)
    content = json.loads(text)
    assert got == status
    assert content.keys() == {"error_code", "message"}
    assert reason in content["message"]
    assert len(text) < 1000
    assert "Traceback" not in text


def busy(service: Service, monkeypatch: pytest.MonkeyPatch) -> tuple[Event, Semaphore]:
    """Network runs that wait to be let go, and a count of those that have begun to."""
    go_on, entered, predict = Event(), Semaphore(0), service.segmenter.predict

    def waiting(*arguments: Any, **options: Any) -> Any:
        entered.release()
        assert go_on.wait(30)
        return predict(*arguments, **options)

    monkeypatch.setattr(service.segmenter, "predict", waiting)
    return go_on, entered


def test_more_requests_than_may_wait_are_told_at_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, entered = busy(service, monkeypatch)
    monkeypatch.setattr(http, "_requests", Turn(3))
    begin = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        kind = "application/json"
        futures = [
            pool.submit(respond, service, JSON, kind, deadline=Deadline.after(60)) for _ in range(4)
        ]
        (refused,) = wait(futures, return_when=FIRST_COMPLETED).done
        go_on.set()
    assert time.monotonic() - begin < 20
    assert entered.acquire(blocking=False)
    assert refused.result()[0] == 429
    assert sorted(future.result()[0] for future in futures) == [200, 200, 200, 429]
    assert respond(service, JSON, kind, deadline=Deadline.after(60))[0] == 200


def test_waiting_for_a_reader_takes_time_of_the_request(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, entered = Event(), Event()

    def slow(_: bytes) -> Request:
        entered.set()
        assert go_on.wait(30)
        return Request(())

    kind = "application/vnd.apache.parquet"
    monkeypatch.setitem(http.READERS, kind, slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(respond, service, b"", kind, deadline=Deadline.after(60))
        assert entered.wait(10)
        assert respond(service, b"", kind, deadline=Deadline.after(0.05))[0] == 429
        # One kind of body does not wait for the other.
        assert respond(service, JSON, "application/json", deadline=Deadline.after(10))[0] == 200
        go_on.set()
        assert first.result()[0] == 200


def test_a_request_begins_when_it_arrives(service: Service, server: Any) -> None:
    together = Barrier(http.MAX_REQUESTS + 1)
    assert install(lambda _: service)
    slept = 0.05

    @server._async_catch_mlflow_exception
    async def route() -> float:
        await asyncio.sleep(slept)
        await asyncio.to_thread(together.wait, 10)
        deadline = await asyncio.to_thread(http._deadline)
        return deadline.seconds - deadline.left()

    async def serve() -> list[float]:
        return await asyncio.gather(*(route() for _ in range(http.MAX_REQUESTS + 1)))

    # The barrier breaks if there are fewer threads.
    assert all(gone >= slept for gone in asyncio.run(serve()))


def test_memory_and_defects(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for error, status in ((MemoryError(), 413), (RuntimeError("inner secret"), 500)):

        def fail(_: bytes, error: Exception = error) -> None:
            raise error

        monkeypatch.setitem(http.READERS, "application/json", fail)
        got, text = respond(service, JSON, "application/json")
        assert got == status
        assert "inner secret" not in text
    assert "inner secret" in caplog.text


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What `install` needs of MLflow's scoring server."""
    module: Any = ModuleType(http.SCORING_SERVER)
    module.InvocationsResponse = namedtuple("Response", ["response", "status", "mimetype"])
    module._async_catch_mlflow_exception = lambda route: route
    module.invocations = lambda data, content_type, model, input_schema: "by MLflow"
    monkeypatch.setitem(sys.modules, http.SCORING_SERVER, module)
    monkeypatch.setenv(http.SERVED_MODEL, "somewhere")
    return module


def test_our_models_are_answered_by_us(service: Service, server: Any) -> None:
    assert install(lambda model: service if model == "ours" else None)
    answer = server.invocations(b"", "application/json", "ours", None)
    assert (answer.status, answer.mimetype) == (400, "application/json")
    assert json.loads(answer.response)["error_code"] == "BAD_REQUEST"
    assert server.invocations(b"", "application/json", "another", None) == "by MLflow"


def test_outside_of_a_server_nothing_is_replaced(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = server.invocations
    monkeypatch.delenv(http.SERVED_MODEL)
    assert not install(lambda _: None)
    monkeypatch.setenv(http.SERVED_MODEL, "somewhere")
    monkeypatch.delitem(sys.modules, http.SCORING_SERVER)
    assert not install(lambda _: None)
    assert server.invocations is theirs


def test_an_unknown_mlflow_is_left_alone(server: Any, caplog: pytest.LogCaptureFixture) -> None:
    theirs = server.invocations = lambda data, content_type, model: "another way"
    assert not install(lambda _: None)
    assert server.invocations is theirs
    assert "This MLflow is unknown" in caplog.text


def test_the_mlflow_that_is_installed_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow.pyfunc.scoring_server as real  # noqa: PLC0415

    for name in ("invocations", http._DECORATOR):
        monkeypatch.setattr(real, name, getattr(real, name))
    decorator = real._async_catch_mlflow_exception
    monkeypatch.setenv(http.SERVED_MODEL, "somewhere")
    assert install(lambda _: None)
    assert real._async_catch_mlflow_exception is not decorator


def test_time_is_a_share_of_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", "100")
    assert http._seconds() == pytest.approx(90)
