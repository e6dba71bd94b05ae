"""The default network in plain PyTorch, forward only; a worker of `inference.py`.

It needs `torch` and NumPy, nothing of sgseg, so that any interpreter can run it. The weights are
random: they do not change what an image takes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from _paired import serve
from _pytorch_step import UNet


def prepare(settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Facts about this side, and the network in either memory layout."""
    torch.set_num_threads(settings["threads"])
    image = torch.randn(1, 1, settings["side"], settings["side"])
    contestants: dict[str, Callable[[], Any]] = {}
    for name, layout in (
        ("PyTorch", torch.contiguous_format),
        ("PyTorch, channels last", torch.channels_last),
    ):
        network = UNet(settings["width"], settings["depth"]).eval().to(memory_format=layout)
        shown = image.contiguous(memory_format=layout)

        def forward(network: UNet = network, shown: torch.Tensor = shown) -> None:
            with torch.inference_mode():
                for _ in range(settings["n"]):
                    network(shown)

        contestants[name] = forward
    return {"version": torch.__version__}, contestants


if __name__ == "__main__":
    serve(lambda: prepare(json.loads(sys.argv[1])))
