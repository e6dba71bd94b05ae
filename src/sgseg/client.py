"""Asking a served model: images to a server, masks back.

    from sgseg.client import predict

    for result in predict("http://127.0.0.1:5001", ["a.tif", "b.tif"]):
        print(result.n_granules, result.labels.shape)

`RemoteSegmenter` stands in for a local `Segmenter` where files are segmented.
"""

from __future__ import annotations

import base64
import io
import logging
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import requests
import tifffile
from numpy.typing import NDArray

from sgseg.errors import InputError, Problem
from sgseg.inference.segmenter import Prediction
from sgseg.inference.uncertainty import Disagreement

log = logging.getLogger(__name__)
ImageLike = NDArray[Any] | str | Path | bytes
# A request is sent when it holds so many images or bytes: large enough to hide the cost of a
# request, small enough for the server's time-out and a proxy's limit on bodies.
BATCH = 16
BATCH_BYTES = 8_000_000
AGAIN = {429, 500, 502, 503, 504}
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 15.0
CONNECT_S = 10.0
# The server's own limit is shorter unless it was started with a longer one.
ANSWER_S = 600.0
_LOST = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


@dataclass(frozen=True)
class Result:
    """What a server answers for one image (H, W).

    Parameters
    ----------
    labels
        (H, W) int32, 0 is background; None where not asked for, and with an `error`.
    n_granules, area_px, area_um2, area_fraction, uncertainty
        As in fields.csv; None where unknown.
    pixel_size_um
        Side of a pixel that areas were computed with.
    warnings
        In what the image is unlike those the model was trained on.
    model_version
        Name and version in the registry, else the digest of the model.
    error
        Why the image could not be segmented; None if it was.
    probability
        (H, W) float32 in [0, 1], in steps of 1 / 65535; None where not asked for.
    rois
        Content of a zip for Fiji's ROI Manager; None where not asked for.
    granules
        One mapping per granule, as in granules.csv; None where not asked for.
    maps
        Probability, and its standard deviation over the members if there are several: (1 or 2, H,
        W) float32, to the bit as they were computed; None where not asked for.
    """

    labels: NDArray[np.int32] | None
    n_granules: int | None
    area_px: int | None
    area_um2: float | None
    area_fraction: float | None
    uncertainty: float | None
    pixel_size_um: float | None
    warnings: tuple[str, ...]
    model_version: str
    error: str | None
    probability: NDArray[np.float32] | None = None
    rois: bytes | None = None
    granules: list[dict[str, Any]] | None = None
    maps: NDArray[np.float32] | None = None


class Server:
    """A server that is asked again after a pause when it is away, restarting or busy.

    Parameters
    ----------
    url
        Such as http://127.0.0.1:5001.
    retries
        How often a request is repeated before giving up; the pauses between grow from a quarter of
        a second to 15 seconds, 8 of them make about half a minute.
    token
        For a proxy in front of the server, sent as `Authorization: Bearer <token>`.
    """

    def __init__(self, url: str, *, retries: int = 8, token: str | None = None) -> None:
        self.url = url.rstrip("/").removesuffix("/invocations")
        if not self.url.startswith(("http://", "https://")):
            raise InputError(Problem("--url", f"got {url!r}", "http://... or https://..."))
        self._retries = retries
        self._session = requests.Session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def ask(self, content: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Answers to a request.

        Raises
        ------
        InputError
            The server refuses the request, or cannot be reached.
        """
        for attempt in range(self._retries + 1):
            if attempt:
                # At random, so that many callers do not all come back at once.
                longest = min(FIRST_PAUSE_S * 2 ** (attempt - 1), LONGEST_PAUSE_S)
                time.sleep(longest * random.uniform(0.5, 1))
            try:
                response = self._session.post(
                    f"{self.url}/invocations", json=content, timeout=(CONNECT_S, ANSWER_S)
                )
            except _LOST as error:
                reason = f"cannot be reached ({_innermost(error)})"
            except requests.RequestException as error:
                raise InputError(Problem(self.url, f"cannot be asked ({error})")) from None
            else:
                if response.status_code not in AGAIN:
                    return self._answers(response)
                reason = f"answers {response.status_code}: {_message(response)}"
            log.info("%s: %s", self.url, reason)
        raise InputError(
            Problem(
                self.url,
                f"{reason}, {self._retries + 1} times",
                "the address of a served model",
                "Is it started (mlflow models serve), and is the port right?",
            )
        )

    def _answers(self, response: requests.Response) -> list[dict[str, Any]]:
        if response.status_code != requests.codes.ok:
            what = f"answers {response.status_code}: {_message(response)}"
            raise InputError(Problem(self.url, what))
        try:
            answers = response.json()["predictions"]
            if isinstance(answers, list) and all("model_version" in item for item in answers):
                return answers
        except (ValueError, KeyError, TypeError):
            pass
        raise InputError(Problem(self.url, "answers something else", "a served model of sgseg"))


def predict(
    url: str,
    images: Iterable[ImageLike],
    *,
    threshold: float | None = None,
    min_area_px: int | None = None,
    channel: int | str | None = None,
    projection: str | None = None,
    pixel_size_um: float | None = None,
    returns: Sequence[str] = ("labels",),
    retries: int = 8,
    token: str | None = None,
) -> list[Result]:
    """Segment images on a server.

    Parameters
    ----------
    url
        Such as http://127.0.0.1:5001.
    images
        Arrays (H, W) of 8 or 16 bits or float, paths of image files, or their bytes.
    threshold, min_area_px
        From probability to granules; the model's own by default.
    channel, projection, pixel_size_um
        How the images are read, see `sgseg.images.read.read_image`.
    returns
        Any of labels, probability, rois, granules, maps: see `Result`.
    retries, token
        See `Server`.

    Returns
    -------
    one result per image, in their order; where `error` is set the image could not be segmented

    Raises
    ------
    InputError
        The server cannot be reached or refuses the request, or a file is missing.
    """
    server = Server(url, retries=retries, token=token)
    params = {
        "threshold": threshold,
        "min_area_px": min_area_px,
        "channel": channel,
        "projection": projection,
        "pixel_size_um": pixel_size_um,
        "returns": ",".join(returns),
    }
    results: list[Result] = []
    for batch in _batches(_file_content(image) for image in images):
        rows = [[base64.b64encode(content).decode("ascii")] for content in batch]
        table = {"columns": ["image"], "data": rows}
        answers = server.ask({"dataframe_split": table, "params": params})
        if len(answers) != len(batch):
            raise InputError(
                Problem(url, f"{len(answers)} answers", f"one per image, {len(batch)}")
            )
        results += [_result(answer) for answer in answers]
    return results


class RemoteSegmenter:
    """A served model in the place of a local `Segmenter` (the protocol `Predictor`).

    Parameters
    ----------
    url, retries, token
        See `Server`.
    """

    def __init__(self, url: str, *, retries: int = 8, token: str | None = None) -> None:
        self._server = Server(url, retries=retries, token=token)

    def predict(
        self,
        pixels: NDArray[np.generic],
        *,
        pixel_size_um: float | None = None,
        with_deviation: bool = False,
        threshold: float | None = None,
        min_area_px: int | None = None,
    ) -> Prediction:
        """As `Segmenter.predict`, with the same values to the bit."""
        content = base64.b64encode(_array_file(pixels)).decode("ascii")
        params = {
            "threshold": threshold,
            "min_area_px": min_area_px,
            "pixel_size_um": pixel_size_um,
            "returns": "labels,granules,maps",
        }
        table = {"columns": ["image"], "data": [[content]]}
        (answer,) = self._server.ask({"dataframe_split": table, "params": params})
        result = _result(answer)
        if result.error is not None or result.labels is None or result.maps is None:
            raise InputError(Problem(self._server.url, result.error or "no mask in the answer"))
        several = len(result.maps) > 1
        return Prediction(
            labels=result.labels,
            probability=result.maps[0],
            disagreement=_disagreement(result),
            deviation=result.maps[1] if several and with_deviation else None,
            warnings=result.warnings,
        )


def _disagreement(result: Result) -> Disagreement | None:
    if result.uncertainty is None:
        return None
    granules = [row["uncertainty"] for row in result.granules or ()]
    return Disagreement(np.array(granules, np.float64), result.uncertainty)


def _file_content(image: ImageLike) -> bytes:
    if isinstance(image, bytes):
        return image
    if isinstance(image, np.ndarray):
        return _array_file(image)
    try:
        return Path(image).read_bytes()
    except OSError as error:
        raise InputError(Problem(str(image), error.strerror or "cannot be read")) from None


def _array_file(pixels: NDArray[Any]) -> bytes:
    """An array (H, W) as a file that keeps every value: PNG, or TIFF of what PNG cannot hold."""
    if pixels.ndim != 2 or pixels.dtype.kind not in "iuf":
        got = f"an array of {pixels.dtype}, {pixels.shape}"
        raise InputError(Problem("image", got, "numbers, (H, W)"))
    if pixels.dtype in (np.uint8, np.uint16) and pixels.size:
        return bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels), level=1))
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric="minisblack", metadata=None)
    return buffer.getvalue()


def _batches(contents: Iterable[bytes]) -> Iterator[list[bytes]]:
    waiting: list[bytes] = []
    size = 0
    for content in contents:
        if waiting and (len(waiting) == BATCH or size + len(content) > BATCH_BYTES):
            yield waiting
            waiting, size = [], 0
        waiting.append(content)
        size += len(content)
    if waiting:
        yield waiting


def _result(answer: Mapping[str, Any]) -> Result:
    def image(name: str) -> NDArray[Any] | None:
        text = answer.get(name)
        return None if text is None else np.asarray(imagecodecs.png_decode(base64.b64decode(text)))

    labels, probability = image("mask"), image("probability")
    rois, maps = answer.get("rois"), answer.get("maps")
    return Result(
        labels=None if labels is None else labels.astype(np.int32),
        n_granules=answer["n_granules"],
        area_px=answer["area_px"],
        area_um2=answer["area_um2"],
        area_fraction=answer["area_fraction"],
        uncertainty=answer["uncertainty"],
        pixel_size_um=answer["pixel_size_um"],
        warnings=tuple(answer["warnings"]),
        model_version=answer["model_version"],
        error=answer["error"],
        probability=None
        if probability is None
        else probability.astype(np.float32) / np.float32(65_535),
        rois=None if rois is None else base64.b64decode(rois),
        granules=answer.get("granules"),
        maps=None if maps is None else _maps(base64.b64decode(maps)),
    )


def _maps(content: bytes) -> NDArray[np.float32]:
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        return np.stack([page.asarray() for page in islice(file.pages, 2)])


def _message(response: requests.Response) -> str:
    """The sentence of a refusal, of whatever form."""
    try:
        return str(response.json()["message"])[:1000]
    except (ValueError, KeyError, TypeError):
        return " ".join(response.text.split())[:200] or response.reason


def _innermost(error: BaseException) -> str:
    """What went wrong in the end, without the layers around it."""
    found: BaseException = error
    while True:
        inner = getattr(found, "reason", None) or next(
            (item for item in found.args if isinstance(item, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            return " ".join(str(found).split())[:200]
        found = inner
