"""Networks in ONNX files as ONNX Runtime computes them on the CPU."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from sgseg.errors import InputError, Problem
from sgseg.inference.tiles import TURNS, pieces

FloatImage = NDArray[np.float32]
ORIENTATIONS = (1, len(TURNS))
CHANNELS = (1, 2)
"""How many a network may be shown: that of the granules, and a second one."""
INPUT = "image"
"""Name of the input of a bundle's networks."""


def computes_8_bits(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether 8-bit products are added up without overflow; True where the system does not say."""
    try:
        flags = set(re.findall(r"^flags\s*:(.*)$", cpuinfo.read_text(), re.MULTILINE)[0].split())
    except (OSError, IndexError):
        return True
    return bool(flags & {"avx512_vnni", "avx_vnni", "amx_int8"})


def switch(member: str) -> str:
    """Name of the input that turns a member on (the default) or off; see `merge_onnx`."""
    return f"use {member}"


def noise_image(shape: tuple[int, int], channels: int) -> FloatImage:
    """An image (h, w) or (h, w, C) of noise, always the same, to compare networks on."""
    sides = shape if channels == 1 else (*shape, channels)
    return np.random.default_rng(0).standard_normal(sides, dtype=np.float32)


def first_channel(image: NDArray[Any]) -> NDArray[Any]:
    """Of an image (H, W) or (H, W, C) the channel of the granules (H, W)."""
    return image if image.ndim == 2 else image[..., 0]


def as_batch(image: FloatImage) -> FloatImage:
    """An image (h, w) or (h, w, C) as networks take it: (1, h, w, C)."""
    return image[None, ..., None] if image.ndim == 2 else image[None]


class OnnxFile:
    """An ONNX file of one or several networks (1, h, w, C) -> (1, h, w, 1).

    Parameters
    ----------
    path
        The ONNX file.
    threads
        Cores to use; 0 for all.
    """

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # It lays the memory of a run out in advance, once for each size of image: as fast without,
        # and 0.9 rather than 1.5 GB for 1152 x 1152 px.
        options.enable_mem_pattern = False
        try:
            self._session = ort.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            # Names in a damaged file need not be text.
            inputs = self._session.get_inputs()
            shapes = [item.shape for item in inputs]
            self._input = inputs[0].name if inputs else ""
            self._switches = [item.name for item in self._session.get_overridable_initializers()]
            self.members = [item.name for item in self._session.get_outputs()]
        except Exception as error:  # noqa: BLE001 - ONNX Runtime has no common base for its errors
            reason = next(iter(str(error).splitlines()), "")[:300]
            raise InputError(
                Problem(
                    str(path),
                    f"ONNX Runtime cannot load it ({reason})",
                    "a network written by `sgseg`",
                )
            ) from None
        if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][-1] not in CHANNELS:
            raise InputError(
                Problem(
                    str(path),
                    f"takes {', '.join(map(str, shapes))}",
                    "a network that takes (1, height, width, 1), or 2 channels",
                )
            )
        self.channels = int(shapes[0][-1])

    def run(self, member: str, image: FloatImage) -> FloatImage:
        """Normalised image -> probability of granule (h, w) in [0, 1] by one network.

        The image is (h, w) for one channel, (h, w, C) for several.
        """
        feeds: dict[str, NDArray[np.generic]] = {self._input: as_batch(image)}
        # All others would be computed as well.
        feeds |= {name: np.array(name == switch(member)) for name in self._switches}
        output = self._session.run([member], feeds)[0]
        return np.asarray(output[0, ..., 0], dtype=np.float32)

    def shrink(self) -> None:
        """Give the memory of the last run back, which is otherwise kept for the next."""
        options = ort.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        nothing = np.zeros((1, 8, 8, self.channels), np.float32)
        off = {name: np.array(False) for name in self._switches}
        self._session.run(None, {self._input: nothing, **off}, options)


class OnnxNetwork:
    """One network of a file, for images of any size.

    Parameters
    ----------
    path, threads
        See `OnnxFile`.
    margin_px
        How far the network sees, see `pieces`.
    member
        Name of the output; None for the first.
    """

    def __init__(
        self, path: Path, *, margin_px: int | None, threads: int = 0, member: str | None = None
    ) -> None:
        self._file = OnnxFile(path, threads=threads)
        self.channels = self._file.channels
        self._member = member or self._file.members[0]
        self._margin = margin_px

    def __call__(self, image: FloatImage) -> FloatImage:
        """Normalised image (h, w) or (h, w, C) -> probability of granule (h, w) in [0, 1]."""
        result = np.zeros(image.shape[:2], np.float32)
        for piece in pieces(result.shape, self._margin, TURNS[:1]):
            piece.add(self._run(image[piece.window]), result)
        return result

    def _run(self, tile: FloatImage) -> FloatImage:
        return self._file.run(self._member, tile)


def run_in_orientations(
    network: Callable[[FloatImage], FloatImage], image: FloatImage, orientations: int
) -> FloatImage:
    """Probability (h, w) of an image, as it is (1) or averaged over its 8 mirrorings and turns.

    The image is (h, w), or (h, w, C) of several channels.

    A granule is one whichever way the camera was turned: what the network makes of the orientation
    is error, and averaging takes part of it away.
    """
    if orientations == 1:
        return network(image)
    total = np.zeros(image.shape[:2], np.float32)
    for turn in TURNS[:orientations]:
        total += turn.back(network(np.ascontiguousarray(turn.turned(image))))
    return total / np.float32(orientations)
