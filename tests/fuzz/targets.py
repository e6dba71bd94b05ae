"""What is given damaged files: each reader, which may answer or refuse by name, no more."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from examples import write_pointwise_network
from serving.fuzz import JSON, PARQUET, bodies

from sgseg.config.load import load_params, sources_of_space
from sgseg.dataset.raw import read_settings
from sgseg.dataset.samples import compile_pattern, read_samples
from sgseg.errors import InputError
from sgseg.images.masks import RULES, read_mask
from sgseg.images.read import PROJECTIONS, read_image
from sgseg.images.rois import read_rois
from sgseg.inference.bundle import BundleSpec, read_spec, write_spec
from sgseg.inference.predict import Task
from sgseg.inference.segmenter import Segmenter
from sgseg.quantify import samples as fields
from sgseg.quantify.given import read_given
from sgseg.serving.http import respond
from sgseg.serving.service import Service
from sgseg.training.merge import merge_onnx

from . import corpus
from .damage import damaged

SHAPE = (20, 30)
MAX_PIXELS = 100_000
# Far beyond what images of MAX_PIXELS need: only a promise that was believed ends here.
NO_MEMORY = "machine's memory"


@dataclass(frozen=True)
class Target:
    """A reader and what it is given.

    Parameters
    ----------
    seeds
        Makes files to begin with.
    read
        Reads bytes by way of a file; `InputError` is a refusal, all else a crash.
    words
        See `damaged`.
    """

    seeds: Callable[[], Sequence[bytes]]
    read: Callable[[bytes, Path], object]
    words: Sequence[bytes] = ()

    def make(self, rng: random.Random) -> bytes:
        """One damaged file."""
        return damaged(rng.choice(self.seeds()), rng, words=self.words)


def outcome(target: Target, content: bytes, folder: Path) -> str:
    """`read` or `refused`; any other exception is the reader's."""
    try:
        target.read(content, folder)
        return "read"
    except InputError as error:
        said, problems = str(error), error.problems
    assert NO_MEMORY not in said, f"believed a promise: {said[:300]}"
    # A file may be wrong in many places, and each is named.
    assert len(said) < 20_000 + 4 * len(content), f"a message of {len(said)} characters"
    assert problems
    return "refused"


def _file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def _image(content: bytes, folder: Path) -> None:
    """As a file and from memory: the same pixels, or the same refusal."""
    ways: list[dict[str, Any]] = [{}, {"channel": 0}, {"channel": 1, "projection": "max"}]
    way = ways[len(content) % len(ways)]
    if len(content) % 5 == 0:
        way = {"projection": list(PROJECTIONS)[len(content) % len(PROJECTIONS)]}
    path = _file(folder, "image.tif", content)
    try:
        found = read_image(path, max_pixels=MAX_PIXELS, **way)
    except InputError:
        if content:
            _refuses(content, str(path), way)
        raise
    assert found.pixels.dtype in (np.uint8, np.uint16, np.float32)
    assert np.isfinite(found.pixels).all()
    again = read_image(content, name=str(path), max_pixels=MAX_PIXELS, **way)
    assert np.array_equal(found.pixels, again.pixels)


def _refuses(content: bytes, name: str, way: dict[str, Any]) -> None:
    try:
        read_image(content, name=name, max_pixels=MAX_PIXELS, **way)
    except InputError:
        return
    raise AssertionError("refused as a file, read from memory")


def _mask(content: bytes, folder: Path) -> None:
    path = _file(folder, "mask.png", content)
    rule = RULES[len(content) % (len(RULES) - 1)]
    labels = read_mask(path, rule=rule, max_pixels=MAX_PIXELS).labels
    assert labels.dtype == np.int32
    assert labels.min() >= 0
    read_given(path, shape=labels.shape)


def _rois(content: bytes, folder: Path) -> None:
    labels = read_rois(_file(folder, "a.zip", content), SHAPE)
    assert labels.shape == SHAPE
    read_given(folder / "a.zip", shape=SHAPE)


def _params(content: bytes, folder: Path) -> None:
    path = _file(folder, "params.yaml", content)
    load_params(path)
    sources_of_space(path, tuned=path)


def _settings(content: bytes, folder: Path) -> None:
    _file(folder, "dataset.yaml", content)
    pattern = read_settings(folder).pattern
    if pattern is not None:
        compile_pattern(pattern)


def _samples(content: bytes, folder: Path) -> None:
    path = _file(folder, "samples.csv", content)
    refused = []
    for read, names in (
        (read_samples, [PurePosixPath("a.tif"), PurePosixPath("b.tif")]),
        (fields.read_samples, [Task(Path("a.tif"), "a"), Task(Path("b.tif"), "b")]),
    ):
        try:
            read(path, names)  # type: ignore[operator]
        except InputError as error:
            refused.append(error)
    if refused:
        raise refused[0]


def _description(content: bytes, folder: Path) -> None:
    _file(folder, "bundle.json", content)
    write_spec(folder, read_spec(folder))


@cache
def _bundle() -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = folder / "fold_0.onnx"
        write_pointwise_network(alone, middle=2.0)
        merge_onnx([alone], ["fold_0"], folder / "model.onnx")
        write_spec(folder, BundleSpec(["fold_0"], {"normalise": "background"}, 0.5, 4, 16))
        return (folder / "model.onnx").read_bytes(), (folder / "bundle.json").read_bytes()


def _network(content: bytes, folder: Path) -> None:
    _file(folder, "model.onnx", content)
    _file(folder, "bundle.json", _bundle()[1])
    Segmenter.load(folder, threads=1)


class _Http:
    """A service without a server: bodies to status and answer."""

    def __init__(self) -> None:
        self._service: Service | None = None

    def __call__(self, content: bytes, folder: Path) -> None:
        if self._service is None:
            network, description = _bundle()
            _file(folder, "model.onnx", network)
            _file(folder, "bundle.json", description)
            self._service = Service.load(folder, {"max_megapixels": 1, "threads": 1})
        kind = PARQUET if content[:4] == b"PAR1" else JSON
        status, text = respond(self._service, content, kind)
        assert status < 500, text
        assert "Traceback" not in text
        if status != 200:
            raise InputError(*_problems(text))


def _problems(text: str) -> list[Any]:
    from sgseg.errors import Problem  # noqa: PLC0415

    return [Problem("request", text)]


@cache
def _bodies() -> tuple[bytes, ...]:
    return tuple(body for _, body in bodies(60, large_every=1_000) if len(body) < 100_000)


TARGETS = {
    "image": Target(corpus.images, _image, corpus.TIFF_WORDS),
    "mask": Target(corpus.masks, _mask, corpus.TIFF_WORDS),
    "outlines": Target(corpus.outlines, _rois),
    "parameters": Target(corpus.parameters, _params, corpus.YAML_WORDS),
    "dataset.yaml": Target(corpus.settings, _settings, corpus.YAML_WORDS),
    "samples.csv": Target(corpus.tables, _samples, corpus.CSV_WORDS),
    "bundle.json": Target(corpus.descriptions, _description, corpus.JSON_WORDS),
    "model.onnx": Target(lambda: (_bundle()[0],), _network),
    "http": Target(_bodies, _Http(), corpus.JSON_WORDS),
}
SHARES = {
    **{"image": 30, "mask": 15, "outlines": 15, "parameters": 10, "dataset.yaml": 8},
    **{"samples.csv": 8, "bundle.json": 6, "model.onnx": 2, "http": 6},
}
"""Of a hundred inputs, how many each reader gets."""
