"""Asking a server: a scripted one for what may go wrong, a real one for the rest."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from examples import draw_field
from numpy.typing import NDArray
from serving.served import Served, make_model, write_bundle

from sgseg.client import RemoteSegmenter, predict
from sgseg.client import images as client_images
from sgseg.client import server as client_server
from sgseg.errors import InputError
from sgseg.images.read import read_image
from sgseg.inference.segmenter import Prediction, Segmenter
from sgseg.serving.http import respond
from sgseg.serving.service import Limits, Service
from sgseg.serving.turn import Deadline

FIELD = draw_field([(10, 10), (30, 20)])[0]
LABELS = np.array([[0, 1], [2, 70]], np.uint16)
ANSWER: dict[str, Any] = {
    "mask": base64.b64encode(imagecodecs.png_encode(LABELS)).decode(),
    "n_granules": 3,
    "area_px": 3,
    "area_um2": None,
    "area_fraction": 0.75,
    "uncertainty": None,
    "pixel_size_um": None,
    "warnings": ["dim"],
    "model_version": "sgseg/3",
    "error": None,
}
Reply = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]


class Scripted:
    """A server that answers one request after the other as it is told, the last for ever."""

    def __init__(self) -> None:
        self.replies: list[Reply] = [answers]
        self.received: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        script = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                script.received.append(json.loads(body))
                script.headers.append(dict(self.headers))
                replies = script.replies
                reply = replies.pop(0) if len(replies) > 1 else replies[0]
                reply(self, script.received[-1])

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def send(handler: BaseHTTPRequestHandler, status: int, content: bytes, *, cut: int = 0) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[: len(content) - cut])


def answers(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
    found = [ANSWER for _ in request["dataframe_split"]["data"]]
    send(handler, 200, json.dumps({"predictions": found}).encode())


def says(status: int, content: bytes = b'{"message": "why"}', *, cut: int = 0) -> Reply:
    return lambda handler, _: send(handler, status, content, cut=cut)


def hangs_up(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
    handler.close_connection = True
    handler.connection.close()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    monkeypatch.setattr(client_server, "FIRST_PAUSE_S", 0.001)
    script = Scripted()
    yield script
    script.server.shutdown()
    script.server.server_close()


def test_an_answer(scripted: Scripted) -> None:
    (result,) = predict(scripted.url, [FIELD], threshold=0.4, returns=("labels", "rois"))
    assert result.labels is not None
    assert result.labels.dtype == np.int32
    np.testing.assert_array_equal(result.labels, LABELS)
    assert (result.n_granules, result.area_fraction, result.error) == (3, 0.75, None)
    assert (result.warnings, result.model_version) == (("dim",), "sgseg/3")
    assert scripted.received[0]["params"]["threshold"] == 0.4
    assert scripted.received[0]["params"]["returns"] == "labels,rois"
    assert "Authorization" not in scripted.headers[0]


def test_a_bad_image_has_an_error_and_no_mask(scripted: Scripted) -> None:
    bad = {**dict.fromkeys(ANSWER), "warnings": [], "model_version": "v", "error": "why"}
    scripted.replies = [says(200, json.dumps({"predictions": [bad, ANSWER]}).encode())]
    first, second = predict(scripted.url, [FIELD, FIELD])
    assert (first.labels, first.error) == (None, "why")
    assert second.labels is not None


@pytest.mark.parametrize(
    "failure",
    [
        says(503),
        says(429),
        says(500, b"Internal Server Error"),
        says(502, b"<html>Bad Gateway</html>"),
        hangs_up,
        says(200, b'{"predictions": []}' * 100, cut=500),
    ],
    ids=["503", "429", "500", "502", "hangs up", "half an answer"],
)
def test_asked_again_until_it_answers(scripted: Scripted, failure: Reply) -> None:
    scripted.replies = [failure, failure, answers]
    assert predict(scripted.url, [FIELD])[0].n_granules == 3
    assert len(scripted.received) == 3


def test_gives_up_in_the_end(scripted: Scripted) -> None:
    scripted.replies = [says(503)]
    with pytest.raises(InputError, match=r"answers 503: why, 3 times; expected the address of"):
        predict(scripted.url, [FIELD], retries=2)
    assert len(scripted.received) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 413, 415])
def test_a_refusal_is_not_repeated(scripted: Scripted, status: int) -> None:
    scripted.replies = [says(status)]
    with pytest.raises(InputError, match=f"answers {status}: why"):
        predict(scripted.url, [FIELD])
    assert len(scripted.received) == 1


@pytest.mark.parametrize(
    "content",
    [b"hello", b"[]", b"{}", b'{"predictions": [1]}', b'{"predictions": [{"label": 3}]}'],
)
def test_another_kind_of_server_is_named(scripted: Scripted, content: bytes) -> None:
    scripted.replies = [says(200, content)]
    with pytest.raises(InputError, match="answers something else; expected a served model"):
        predict(scripted.url, [FIELD])


def test_too_few_answers(scripted: Scripted) -> None:
    scripted.replies = [says(200, json.dumps({"predictions": [ANSWER]}).encode())]
    with pytest.raises(InputError, match="1 answers; expected one per image, 2"):
        predict(scripted.url, [FIELD, FIELD])


def test_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_server, "FIRST_PAUSE_S", 0.001)
    with pytest.raises(InputError, match=r"cannot be reached \(.*refused\), 2 times"):
        predict("http://127.0.0.1:9", [FIELD], retries=1)


@pytest.mark.parametrize("url", ["127.0.0.1:5001", "ftp://x", ""])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(InputError, match=r"http://\.\.\. or https://"):
        predict(url, [FIELD])


def test_pauses_grow(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(client_server, "FIRST_PAUSE_S", 0.25)
    monkeypatch.setattr(time, "sleep", pauses.append)
    scripted.replies = [says(503)]
    with pytest.raises(InputError):
        predict(scripted.url, [FIELD])
    # 0.25, 0.5, 1, 2, 4, 8, 15, 15: each between half of it and all.
    longest = [0.25, 0.5, 1, 2, 4, 8, 15, 15]
    waits = [pause for pause in pauses if pause > 0.1]
    assert len(waits) == len(longest)
    assert all(most / 2 <= wait <= most for wait, most in zip(waits, longest, strict=True))


def test_a_token_is_sent(scripted: Scripted) -> None:
    predict(f"{scripted.url}/", [FIELD], token="abc")
    assert scripted.headers[0]["Authorization"] == "Bearer abc"


def test_batches_by_number_and_size(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_images, "BATCH", 3)
    monkeypatch.setattr(client_images, "BATCH_BYTES", 10)
    # 4 + 4, then 4 would be too much; 11 is too much, but alone; then three.
    contents = [b"1234", b"1234", b"1234", b"12345678901", b"1", b"1", b"1", b"1"]
    assert len(predict(scripted.url, contents)) == 8
    sent = [len(request["dataframe_split"]["data"]) for request in scripted.received]
    assert sent == [2, 1, 1, 3, 1]
    assert predict(scripted.url, []) == []


def test_a_token_is_sent_whatever_netrc_says(
    scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    predict(scripted.url, [FIELD])
    assert scripted.headers[0]["Authorization"].startswith("Basic ")
    predict(scripted.url, [FIELD], token="abc")
    assert scripted.headers[1]["Authorization"] == "Bearer abc"


def within(most: int) -> Reply:
    """Answers that many images of a request, and says of the others that they may come again."""

    def reply(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
        found = []
        for number, (content,) in enumerate(request["dataframe_split"]["data"]):
            answer = {**ANSWER, "n_granules": len(base64.b64decode(content)), "retry": False}
            late = {**answer, "mask": None, "error": "request: its time was over", "retry": True}
            found.append(answer if number < most else late)
        send(handler, 200, json.dumps({"predictions": found}).encode())

    return reply


@pytest.mark.parametrize(("most", "sent"), [(16, [7]), (3, [7, 3, 1]), (1, [7, 3, 1, 1, 3, 1, 1])])
def test_images_that_were_too_much_are_sent_again_fewer_at_a_time(
    scripted: Scripted, most: int, sent: list[int]
) -> None:
    scripted.replies = [within(most)]
    results = predict(scripted.url, [bytes(size) for size in range(1, 8)])
    assert [(result.n_granules, result.error) for result in results] == [
        (size, None) for size in range(1, 8)
    ]
    assert [len(request["dataframe_split"]["data"]) for request in scripted.received] == sent


def test_what_is_too_much_alone_is_an_error_in_the_end(scripted: Scripted) -> None:
    scripted.replies = [within(0)]
    results = predict(scripted.url, [b"1", b"2"])
    assert [result.error for result in results] == ["request: its time was over"] * 2
    assert len(scripted.received) == 3


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64, np.int32])
def test_arrays_arrive_as_they_are(scripted: Scripted, kind: Any) -> None:
    pixels = np.arange(12).reshape(3, 4).astype(kind) * kind(20)
    predict(scripted.url, [pixels[:, ::-1]])
    text = scripted.received[0]["dataframe_split"]["data"][0][0]
    found = read_image(base64.b64decode(text)).pixels
    np.testing.assert_array_equal(found, pixels[:, ::-1])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_two_channels_arrive_as_they_are(scripted: Scripted, kind: Any) -> None:
    pixels = np.arange(24).reshape(3, 4, 2).astype(kind) * kind(10)
    predict(scripted.url, [pixels], channel=0, second_channel=1)
    request = scripted.received[0]
    assert request["params"]["second_channel"] == 1
    sent = base64.b64decode(request["dataframe_split"]["data"][0][0])
    np.testing.assert_array_equal(read_image(sent, channel=0, second_channel=1).pixels, pixels)


def test_a_second_channel_that_nobody_asks_for_is_not_mentioned(scripted: Scripted) -> None:
    predict(scripted.url, [FIELD])
    assert "second_channel" not in scripted.received[0]["params"]


@pytest.mark.parametrize("wrong", [np.zeros((2, 2, 3)), np.zeros((2, 2), bool)], ids=str)
def test_an_array_that_is_no_image(wrong: NDArray[Any]) -> None:
    with pytest.raises(InputError, match=r"expected numbers, \(H, W\)"):
        predict("http://127.0.0.1:9", [wrong])


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.tif: No such file"):
        predict("http://127.0.0.1:9", [tmp_path / "missing.tif"])


# --- a service whose network is slow


class Slow:
    """A segmenter that takes so long for a pixel, one at a time."""

    def __init__(self, folder: Path, seconds_per_pixel: float) -> None:
        self._inner = Segmenter.load(write_bundle(folder / "bundle", 2.0))
        self._seconds = seconds_per_pixel
        self.shown = self._inner.shown

    def predict(self, pixels: NDArray[Any], **options: Any) -> Prediction:
        time.sleep(self._seconds * pixels.size)
        return self._inner.predict(pixels, **options)


LARGE = np.tile(FIELD, (3, 3))  # 180 x 240 = 43,200 px


@contextmanager
def answering(service: Service, seconds: float) -> Iterator[tuple[str, list[int]]]:
    """Its address, and the status of each answer so far."""
    statuses: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kind = self.headers["Content-Type"]
            status, text = respond(service, body, kind, deadline=Deadline.after(seconds))
            statuses.append(status)
            send(self, status, text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", statuses
    server.shutdown()
    server.server_close()


def test_many_callers_of_a_slow_server_are_all_answered(tmp_path: Path) -> None:
    # 0.2 s an image, 6 callers: 1.2 s, twice as long as a request may take.
    service = Service(Slow(tmp_path, 0.2 / LARGE.size), "v")  # type: ignore[arg-type]
    with answering(service, 0.6) as (url, statuses), ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: predict(url, [LARGE], retries=20)[0], range(6)))
    assert [(result.error, result.n_granules) for result in results] == [(None, 18)] * 6
    assert set(statuses) == {200, 429}


def test_a_batch_that_is_too_much_for_a_request_is_answered(tmp_path: Path) -> None:
    # 0.15 s an image, 12 images in a batch: three times as long as a request may take.
    service = Service(Slow(tmp_path, 0.15 / LARGE.size), "v")  # type: ignore[arg-type]
    with answering(service, 0.6) as (url, statuses):
        results = predict(url, [LARGE] * 12)
    assert [(result.error, result.n_granules) for result in results] == [(None, 18)] * 12
    assert len(statuses) > 3
    # And in pixels: each of 43,200, in a request 100,000.
    service = Service(Slow(tmp_path / "2", 0.0), "v", Limits(max_megapixels=0.1))  # type: ignore[arg-type]
    with answering(service, 60) as (url, _):
        results = predict(url, [LARGE] * 5)
    assert [(result.error, result.n_granules) for result in results] == [(None, 18)] * 5


# --- a real server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("client")
    with Served(make_model(folder, 2.0, 2.2), folder / "log.txt") as served:
        yield served


@pytest.fixture(scope="module")
def segmenter(server: Served) -> Segmenter:
    return Segmenter.load(server.model / "artifacts" / "bundle")


def test_all_that_can_be_asked_for(server: Served, segmenter: Segmenter, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", FIELD)
    images = [FIELD, tmp_path / "a.tif", str(tmp_path / "a.tif"), (tmp_path / "a.tif").read_bytes()]
    everything = ("labels", "probability", "rois", "granules", "maps")
    results = predict(server.url, images, returns=everything, pixel_size_um=0.1)
    expected = segmenter.predict(FIELD, with_deviation=True)
    for result in results:
        np.testing.assert_array_equal(result.labels, expected.labels)
        assert result.probability is not None
        assert np.abs(result.probability - expected.probability).max() <= 0.5001 / 65535
        np.testing.assert_array_equal(result.maps, [expected.probability, expected.deviation])
        assert [row["area_um2"] for row in result.granules or ()] == [0.09, 0.09]
        assert result.rois is not None
        assert result.rois.startswith(b"PK")
    assert predict(server.url, [FIELD], min_area_px=10)[0].n_granules == 0


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_a_remote_segmenter_is_a_segmenter(
    server: Served, segmenter: Segmenter, kind: type[np.generic]
) -> None:
    pixels = FIELD.astype(kind)
    for options in ({}, {"with_deviation": True, "threshold": 0.2, "pixel_size_um": 0.1}):
        here = segmenter.predict(pixels, **options)  # type: ignore[arg-type]
        there = RemoteSegmenter(server.url).predict(pixels, **options)  # type: ignore[arg-type]
        np.testing.assert_array_equal(there.labels, here.labels)
        np.testing.assert_array_equal(there.probability, here.probability)
        assert there.warnings == here.warnings
        assert there.disagreement is not None
        assert here.disagreement is not None
        assert there.disagreement.image == round(here.disagreement.image, 6)
        np.testing.assert_array_equal(
            there.disagreement.granules, here.disagreement.granules.round(6)
        )
        assert (there.deviation is None) == (here.deviation is None)
    with pytest.raises(InputError, match="NaN or infinite"):
        RemoteSegmenter(server.url).predict(np.full((4, 4), np.nan, np.float32))


def test_200_requests_of_16_clients_and_a_server_that_dies(
    server: Served, segmenter: Segmenter
) -> None:
    fields = [draw_field([(10, 10 + column)])[0] for column in range(8)]
    expected = [segmenter.predict(field).labels for field in fields]
    assert len({labels.tobytes() for labels in expected}) == len(fields)
    done = threading.Semaphore(0)

    def one(number: int) -> bool:
        (result,) = predict(server.url, [fields[number % 8]], retries=12)
        done.release()
        return result.labels is not None and np.array_equal(result.labels, expected[number % 8])

    with ThreadPoolExecutor(16) as pool:
        right = [pool.submit(one, number) for number in range(200)]
        for _ in range(60):
            done.acquire()
        server.kill()
        assert not all(future.done() for future in right)
        server.start()
        assert all(future.result(timeout=120) for future in right)
    server.wait()
    assert len(right) == 200
    assert predict(server.url, [io.BytesIO(imagecodecs.png_encode(FIELD)).getvalue()])
