"""Images to a server in batches."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from sgseg.client.result import Result, decoded
from sgseg.client.server import Server
from sgseg.errors import InputError, Problem

ImageLike = NDArray[Any] | str | Path | bytes
# A request is sent when it holds so many images or bytes: large enough to hide the cost of a
# request, small enough for the server's time-out and a proxy's limit on bodies.
BATCH = 16
BATCH_BYTES = 8_000_000


def predict(
    url: str,
    images: Iterable[ImageLike],
    *,
    threshold: float | None = None,
    min_area_px: int | None = None,
    channel: int | str | None = None,
    second_channel: int | str | None = None,
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
        Arrays (H, W) of 8 or 16 bits or float, or (H, W, 2) with a second channel (give `channel` 0
        and `second_channel` 1), paths of image files, or their bytes.
    threshold, min_area_px
        From probability to granules; the model's own by default.
    channel, second_channel, projection, pixel_size_um
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
    params: dict[str, Any] = {
        "threshold": threshold,
        "min_area_px": min_area_px,
        "channel": channel,
        "projection": projection,
        "pixel_size_um": pixel_size_um,
        "returns": ",".join(returns),
    }
    if second_channel is not None:  # which older models do not know
        params["second_channel"] = second_channel
    results: list[Result] = []
    for batch in _batches(_file_content(image) for image in images):
        results += [decoded(answer) for answer in _answers(server, batch, params)]
    return results


def _answers(
    server: Server, batch: Sequence[bytes], params: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """One answer per image; those that were too much for one request are sent again, fewer."""
    rows = [[base64.b64encode(content).decode("ascii")] for content in batch]
    table = {"columns": ["image"], "data": rows}
    answers = server.ask({"dataframe_split": table, "params": params})
    if len(answers) != len(batch):
        expected = f"one per image, {len(batch)}"
        raise InputError(Problem(server.url, f"{len(answers)} answers", expected))
    again = [number for number, answer in enumerate(answers) if answer.get("retry")]
    if len(batch) == 1:
        return answers
    for numbers in _parts(again, max(1, len(batch) // 2)):
        fewer = _answers(server, [batch[number] for number in numbers], params)
        for number, answer in zip(numbers, fewer, strict=True):
            answers[number] = answer
    return answers


def _parts(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for begin in range(0, len(numbers), size):
        yield numbers[begin : begin + size]


def _file_content(image: ImageLike) -> bytes:
    if isinstance(image, bytes):
        return image
    if isinstance(image, np.ndarray):
        return array_file(image)
    try:
        return Path(image).read_bytes()
    except OSError as error:
        raise InputError(Problem(str(image), error.strerror or "cannot be read")) from None


def array_file(pixels: NDArray[Any]) -> bytes:
    """An array as a file that keeps every value: PNG, or TIFF of what PNG cannot hold.

    (H, W), or (H, W, 2) with a second channel.
    """
    if pixels.dtype.kind not in "iuf" or not (pixels.ndim == 2 or pixels.shape[2:] == (2,)):
        got = f"an array of {pixels.dtype}, {pixels.shape}"
        raise InputError(Problem("image", got, "numbers, (H, W) or (H, W, 2)"))
    if pixels.ndim == 2 and pixels.dtype in (np.uint8, np.uint16) and pixels.size:
        return bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels), level=1))
    buffer = io.BytesIO()
    planes = pixels if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    separate = None if pixels.ndim == 2 else "separate"
    tifffile.imwrite(buffer, planes, photometric="minisblack", planarconfig=separate, metadata=None)
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
