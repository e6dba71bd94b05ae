"""A loaded model that several threads ask."""

from __future__ import annotations

import io
import json
import threading
import time
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
from sgseg.serving.http import respond
from sgseg.serving.options import Options
from sgseg.serving.request import Asked, Request
from sgseg.serving.service import BusyError, Service, version_of

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
    assert "Send its images in several requests" in errors[1]


@pytest.mark.parametrize(
    "wrong", [{"max_megapixel": 1}, {"threads": "2"}, {"threads": True}], ids=str
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
            service.answers(ask(png()), seconds=0.05)
        table = {"columns": ["image"], "data": [["AAAA"]]}
        body = json.dumps({"dataframe_split": table}).encode()
        # What needs no network is answered meanwhile.
        assert respond(service, body, "application/json", seconds=0.05)[0] == 200
        go_on.set()
        assert first.result()[0]["error"] is None


def test_what_would_take_too_long_is_refused(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 4,800 px at 0.01 s each: 48 s.
    monkeypatch.setattr(service, "_seconds_per_pixel", 0.01)
    (answer,) = service.answers(ask(png()), seconds=40)
    assert answer["error"].startswith("image: 80 x 60 px would take about 48 s; expected ")
    assert "--timeout" in answer["error"]
    (answer,) = service.answers(ask(png()), seconds=60)
    assert answer["error"] is None
    assert service.answers(ask(png()))[0]["error"] is None


def test_the_speed_is_measured(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    assert service._seconds_per_pixel > 0
    monkeypatch.setattr(service, "_seconds_per_pixel", 7.0)
    service.answers(ask(png()))  # too small to tell
    assert service._seconds_per_pixel == 7.0
    service.answers(ask(png(np.tile(FIELD, (4, 4)))))
    assert service._seconds_per_pixel < 1.0


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
