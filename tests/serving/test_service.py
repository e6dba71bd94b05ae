"""A loaded model that several threads ask."""

from __future__ import annotations

import io
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from examples import draw_field
from numpy.typing import NDArray

from serving.served import write_bundle
from sgseg.errors import InputError
from sgseg.inference.bundle import digest
from sgseg.inference.segmenter import Segmenter
from sgseg.serving import answer as answer_module
from sgseg.serving import service as module
from sgseg.serving.http import respond
from sgseg.serving.options import Options
from sgseg.serving.request import Asked, Request
from sgseg.serving.service import WARM_UP_PX, Service, version_of
from sgseg.serving.turn import BusyError, Deadline

FIELD = draw_field([(10, 10), (30, 20)])[0]


def png(pixels: NDArray[Any] = FIELD) -> bytes:
    return bytes(imagecodecs.png_encode(pixels))


def ask(*contents: bytes, **options: Any) -> Request:
    return Request(tuple(Asked(content, Options(**options)) for content in contents))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("service") / "bundle", 2.0, 2.2)


@pytest.fixture
def service(bundle: Path) -> Service:
    return Service.load(bundle)


def test_a_bad_image_does_not_spoil_the_others(service: Service) -> None:
    good, bad, empty, sentence = service.answers(
        Request((*ask(png(), b"GIF89a", b"").images, "image: no base64"))
    )
    assert (good["n_granules"], good["error"]) == (2, None)
    assert bad["error"].startswith("image: no image: its content is none of the known formats")
    assert empty["error"].startswith("image: ")
    assert sentence["error"] == "image: no base64"


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_the_bytes_of_a_file_as_the_file(service: Service, tmp_path: Path, suffix: str) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, FIELD, imagej=True, resolution=(10, 10), metadata={"unit": "um"})
    content = buffer.getvalue() if suffix == "tif" else png()
    (answer,) = service.answers(ask(content))
    assert answer["pixel_size_um"] == (0.1 if suffix == "tif" else None)
    found = service.segmenter.predict(FIELD)
    assert answer["area_px"] == np.count_nonzero(found.labels) > 0


def test_options_reach_the_network(service: Service) -> None:
    # A granule is 3 x 3 = 9 px.
    (none,) = service.answers(ask(png(), min_area_px=10))
    assert none["n_granules"] == 0
    # No probability is above 1.
    (nothing,) = service.answers(ask(png(), threshold=1.0))
    assert nothing["n_granules"] == 0
    assert service.answers(ask(png()))[0]["n_granules"] == 2


def test_pixels_of_a_request_are_limited(bundle: Path) -> None:
    # A field is 60 x 80 = 4,800 px: two of them are within 10,000, three are not.
    service = Service.load(bundle, {"max_megapixels": 0.01})
    answers = service.answers(ask(png(), png(), png()))
    assert [answer["error"] is None for answer in answers] == [True, True, False]
    assert "4,800" in answers[2]["error"] or "80 x 60 pixels" in answers[2]["error"]
    exactly = Service.load(bundle, {"max_megapixels": 0.0048})
    errors = [answer["error"] for answer in exactly.answers(ask(png(), png()))]
    assert errors[0] is None
    assert "Send the images of this request in several" in errors[1]


def tiff(pixels: NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def test_slices_and_colours_count_and_what_is_refused_as_well(bundle: Path) -> None:
    eight = (FIELD >> 2).astype(np.uint8)
    stack = tiff(np.stack([FIELD] * 9), imagej=True, metadata={"axes": "ZYX"})
    rgb = png(np.stack([eight] * 3, axis=-1))
    two_dyes = np.zeros((60, 80, 3), np.uint8)
    two_dyes[10:30, 10:30, 0] = two_dyes[30:50, 40:60, 1] = 200
    for content, planes, usable in ((stack, 9, True), (rgb, 3, True), (png(two_dyes), 3, False)):
        # Room for one plane more than the first image takes: the second has one, and needs more.
        exactly = Service.load(bundle, {"max_megapixels": 0.0048 * (planes + 1)})
        first, second, third = exactly.answers(ask(content, content, png(), projection="max"))
        assert (first["error"] is None) == usable
        assert first["retry"] is False
        assert "million in all" in second["error"]
        assert second["retry"] is True
        assert third["error"] is None
        less = Service.load(bundle, {"max_megapixels": 0.0048 * (planes - 1)})
        (answer,) = less.answers(ask(content, projection="max"))
        # No request is large enough for it.
        assert answer["error"]
        assert answer["retry"] is False


def test_few_images_are_read_at_a_time(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, most, read, lock = 0, 0, module.read_image, threading.Lock()

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal reading, most
        with lock:
            reading += 1
            most = max(most, reading)
        time.sleep(0.01)
        found = read(*arguments, **options)
        with lock:
            reading -= 1
        return found

    monkeypatch.setattr(module, "read_image", counted)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: service.answers(ask(png())), range(16)))
    assert most == 2
    assert all(answer == answers[0] for answer in answers)


def test_when_time_is_over_nothing_is_read(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []
    monkeypatch.setattr(module, "read_image", lambda content, **_: read.append(content))
    with pytest.raises(BusyError):
        service.answers(ask(png()), deadline=Deadline.after(0))
    assert read == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_megapixel": 1},
        {"threads": "2"},
        {"threads": True},
        {"threads": -1},
        {"threads": 2.7},
        {"threads": float("nan")},
        {"max_megapixels": float("nan")},
        {"max_megapixels": float("inf")},
        {"max_megapixels": -1},
        {"max_megapixels": 0},
    ],
    ids=str,
)
def test_wrong_settings_are_named(bundle: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="model_config: "):
        Service.load(bundle, wrong)


def test_a_defect_is_logged_and_not_told(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("inner secret")

    monkeypatch.setattr(service.segmenter, "predict", fail)
    (answer,) = service.answers(ask(png()))
    assert answer["error"] == "image: cannot be segmented; the server's log says why"
    assert "inner secret" in caplog.text


def test_too_little_memory_is_said(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(service.segmenter, "predict", fail)
    (answer,) = service.answers(ask(png()))
    assert answer["error"] == "image: too large for the memory of this server"


def test_one_network_run_at_a_time(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, predict = 0, 0, service.segmenter.predict

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.01)
        found = predict(*arguments, **options)
        running -= 1
        return found

    monkeypatch.setattr(service.segmenter, "predict", counted)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: service.answers(ask(png())), range(16)))
    assert most == 1
    assert all(answer == answers[0] for answer in answers)


def test_a_request_that_waits_too_long_is_told_so(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, entered = threading.Event(), threading.Event()
    predict = service.segmenter.predict

    def waiting(*arguments: Any, **options: Any) -> Any:
        entered.set()
        go_on.wait(10)
        return predict(*arguments, **options)

    monkeypatch.setattr(service.segmenter, "predict", waiting)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(service.answers, ask(png()))
        assert entered.wait(10)
        with pytest.raises(BusyError):
            service.answers(ask(png()), deadline=Deadline.after(0.05))
        table = {"columns": ["image"], "data": [["AAAA"]]}
        body = json.dumps({"dataframe_split": table}).encode()
        # What needs no network is answered meanwhile.
        assert respond(service, body, "application/json", deadline=Deadline.after(0.05))[0] == 200
        go_on.set()
        assert first.result()[0]["error"] is None


def test_what_would_take_too_long_is_refused(service: Service) -> None:
    service._speed._last = deque([0.01])  # 4,800 px at 0.01 s each: 48 s
    (answer,) = service.answers(ask(png()), deadline=Deadline.after(40))
    assert answer["error"].startswith(
        "image: 80 x 60 px would take about 48 s; expected what can be done in the 40 s"
    )
    assert "--timeout" in answer["error"]
    assert answer["retry"] is False
    # The next time it is thought to take 24 s, and is tried.
    (answer,) = service.answers(ask(png()), deadline=Deadline.after(40))
    assert answer["error"] is None
    assert service.answers(ask(png()))[0]["error"] is None


def test_what_others_left_too_little_time_for_is_asked_for_again(service: Service) -> None:
    service._speed._last = deque([0.01])
    # 48 s are needed, of 60 there are 30 left: others took them.
    half_gone = Deadline(60, time.monotonic() + 30)
    with pytest.raises(BusyError):
        service.answers(ask(png()), deadline=half_gone)
    # The estimate was not to blame: it stays.
    assert service._speed.seconds(4800) == 48


def test_images_that_were_done_are_not_lost_when_time_is_over(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = service.segmenter.predict

    def slow(*arguments: Any, **options: Any) -> Any:
        time.sleep(0.3)
        return predict(*arguments, **options)

    monkeypatch.setattr(service.segmenter, "predict", slow)
    first, second = service.answers(ask(png(), png()), deadline=Deadline.after(0.2))
    assert (first["error"], first["retry"]) == (None, False)
    assert second["error"].startswith("request: its time was over before this image.")
    assert second["retry"] is True


def test_the_speed_is_measured(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    assert service._speed.seconds(1) > 0
    runs: list[int] = []
    monkeypatch.setattr(service._speed, "measured", lambda _, pixels: runs.append(pixels))
    service.answers(ask(png()))  # too small to tell
    assert runs == []
    service.answers(ask(png(np.tile(FIELD, (4, 4)))))
    assert runs == [4 * 60 * 4 * 80]


def test_the_first_run_of_all_is_not_measured(bundle: Path) -> None:
    assert len(Service.load(bundle)._speed._last) == 1
    slow_first = Segmenter.load(bundle)
    predict, first = slow_first.predict, True

    def once(*arguments: Any, **options: Any) -> Any:
        nonlocal first
        time.sleep(1.0 if first else 0)
        first = False
        return predict(*arguments, **options)

    slow_first.predict = once  # type: ignore[method-assign]
    assert Service(slow_first, "v")._speed.seconds(WARM_UP_PX**2) < 1.0


def test_a_stalled_image_does_not_shut_others_out(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = png(np.tile(FIELD, (4, 4)))
    predict = service.segmenter.predict

    def stalled(*arguments: Any, **options: Any) -> Any:
        time.sleep(1.0)
        return predict(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(service.segmenter, "predict", stalled)
        service.answers(ask(large))
    # By the last run alone, 16 times the pixels would take 16 s.
    larger = png(np.tile(FIELD, (16, 16)))
    (answer,) = service.answers(ask(larger), deadline=Deadline.after(10))
    assert answer["error"] is None


def test_maps_of_large_images_are_refused_before_they_are_made(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_module, "MAX_MAP_PX", 4799)
    ran: list[int] = []
    predict = service.segmenter.predict
    monkeypatch.setattr(
        service.segmenter, "predict", lambda *a, **b: (ran.append(1), predict(*a, **b))[1]
    )
    for returns in (("labels", "maps"), ("probability",)):
        (answer,) = service.answers(ask(png(), returns=returns))
        assert f"0.0 million pixels with {returns[-1]}; expected at most" in answer["error"]
    assert ran == []
    (answer,) = service.answers(ask(png(), returns=("labels", "granules", "rois")))
    assert answer["error"] is None


def test_the_version_is_that_of_the_registry_else_the_digest(
    bundle: Path, tmp_path: Path, make_copy: Callable[[Path], Path]
) -> None:
    assert version_of(bundle) == digest(bundle)
    inside = make_copy(tmp_path / "model" / "artifacts" / "bundle")
    assert version_of(inside) == digest(bundle)
    meta = "model_name: sgseg\nmodel_version: '12'\n"
    (tmp_path / "model" / "registered_model_meta").write_text(meta)
    assert version_of(inside) == "sgseg/12"


@pytest.fixture
def make_copy(bundle: Path) -> Callable[[Path], Path]:
    def copy(target: Path) -> Path:
        target.mkdir(parents=True)
        for path in bundle.iterdir():
            (target / path.name).write_bytes(path.read_bytes())
        return target

    return copy
