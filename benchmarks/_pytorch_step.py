"""The default network and its training step in plain PyTorch; a worker of `training_step.py`.

It needs `torch` and NumPy, nothing of sgseg, so that any interpreter can run it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _paired import serve
from torch import Tensor, nn
from torch.nn import functional

CHECKED_STEPS = 5


class UNet(nn.Module):
    """`sgseg.nets.unet` with batch normalisation; layers have the names that they have there."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.depth = depth
        self.layer = nn.ModuleDict()
        channels = [width * 2**level for level in range(depth + 1)]
        for level in range(depth):
            self._add_block(f"down{level}", channels[level - 1] if level else 1, channels[level])
        self._add_block("bottom", channels[depth - 1], channels[depth])
        for level in reversed(range(depth)):
            self._add_block(f"merge{level}", channels[level + 1] + channels[level], channels[level])
        self.layer["probability"] = nn.Conv2d(width, 1, 1)

    def _add_block(self, name: str, inputs: int, outputs: int) -> None:
        for step, channels in (("a", inputs), ("b", outputs)):
            self.layer[f"{name}_conv_{step}"] = nn.Conv2d(
                channels, outputs, 3, padding=1, bias=False
            )
            # PyTorch's momentum is the share of the new.
            self.layer[f"{name}_norm_{step}"] = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.1)

    def _block(self, x: Tensor, name: str) -> Tensor:
        for step in "ab":
            x = self.layer[f"{name}_norm_{step}"](self.layer[f"{name}_conv_{step}"](x))
            x = functional.relu(x, inplace=True)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, H, W) -> (N, 1, H, W) probability."""
        skips = []
        for level in range(self.depth):
            x = self._block(x, f"down{level}")
            skips.append(x)
            x = functional.max_pool2d(x, 2, ceil_mode=True)
        x = self._block(x, "bottom")
        for level in reversed(range(self.depth)):
            skip = skips[level]
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = torch.cat([x[:, :, : skip.shape[2], : skip.shape[3]], skip], 1)
            x = self._block(x, f"merge{level}")
        return torch.sigmoid(self.layer["probability"](x))


def bce_dice(probability: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy + Dice loss, image by image, then their mean."""
    entropy = functional.binary_cross_entropy(probability, truth, reduction="none").mean((1, 2, 3))
    both = (truth * probability).sum((1, 2, 3))
    either = truth.sum((1, 2, 3)) + probability.sum((1, 2, 3))
    return (entropy + 1 - (2 * both + 1) / (either + 1)).mean()


def assign(network: UNet, weights: dict[str, Any]) -> None:
    """Copy weights of the Keras network, by the names `layer/weight`; all of both must match."""
    names = {
        "kernel": "weight",
        "bias": "bias",
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }
    state = {
        f"layer.{key.partition('/')[0]}.{names[key.partition('/')[2]]}": torch.from_numpy(
            value.transpose(3, 2, 0, 1).copy() if value.ndim == 4 else value
        )
        for key, value in weights.items()
    }
    missing, unexpected = network.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ValueError(f"other layers: missing {missing}, unexpected {unexpected}")


class Step:
    """One training step as PyTorch's own documentation would write it, fused Adam included."""

    def __init__(
        self,
        network: UNet,
        rates: list[float],
        *,
        channels_last: bool,
        compiled: bool,
        half: bool = False,
    ) -> None:
        self.channels_last, self.half = channels_last, half
        if channels_last:
            network = network.to(memory_format=torch.channels_last)
        self.network, self.rates, self.count = network.train(), rates, 0
        self.parameters = list(network.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, eps=1e-7, fused=True)
        self.loss = torch.compile(self._loss) if compiled else self._loss

    def _loss(self, images: Tensor, masks: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            probability = self.network(images)
        return bce_dice(probability.float(), masks)

    def tensor(self, array: Any) -> Tensor:
        """(N, H, W, 1) array -> (N, 1, H, W); with one channel both layouts are the same memory."""
        tensor = torch.from_numpy(array).permute(0, 3, 1, 2)
        return tensor if self.channels_last else tensor.contiguous()

    def __call__(self, images: Any, masks: Any) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.rates[min(self.count, len(self.rates) - 1)]
        self.count += 1
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.tensor(images), self.tensor(masks))
        loss.backward()
        # Each gradient by itself, as Keras' `clipnorm` does.
        gradients = [parameter.grad for parameter in self.parameters]
        norms = torch._foreach_norm(gradients)
        factors = torch.clamp(1 / (torch.stack(norms) + 1e-12), max=1).unbind()
        torch._foreach_mul_(gradients, list(factors))
        self.optimizer.step()
        return float(loss.item())


def prepare(
    exchange: Path, settings: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Facts about this side and what of it can be measured."""
    torch.set_num_threads(settings["threads"])
    ways = ("eager",) if settings["no_compile"] else ("eager", "compiled")
    content = dict(np.load(exchange))
    images, masks, rates = content["images"], content["masks"], content["rates"].tolist()
    width, depth = settings["width"], settings["depth"]
    weights = {
        key.removeprefix("weights/"): value
        for key, value in content.items()
        if key.startswith("weights/")
    }

    def network() -> UNet:
        copy = UNet(width, depth)
        assign(copy, weights)
        return copy

    def output(*, training: bool) -> Any:
        copy = network().train(training)
        with torch.no_grad():
            result = copy(torch.from_numpy(images[0]).permute(0, 3, 1, 2).contiguous())
        return result.permute(0, 2, 3, 1).numpy()

    layouts = {"": False, ", channels_last": True}
    steps = {
        f"PyTorch {way}{name}": Step(network(), rates, channels_last=last, compiled=way != "eager")
        for way in ways
        for name, last in layouts.items()
    }
    steps["PyTorch eager, channels_last, bfloat16"] = Step(
        network(), rates, channels_last=True, compiled=False, half=True
    )
    contestants: dict[str, Callable[[], Any]] = {}
    losses: dict[str, list[float]] = {}
    failed: dict[str, str] = {}
    for name, step in steps.items():
        try:
            losses[name] = [
                step(images[i % len(images)], masks[i % len(images)]) for i in range(CHECKED_STEPS)
            ]
        except Exception as error:  # noqa: BLE001 - torch.compile needs a C++ compiler
            failed[name] = f"{type(error).__name__}: {error}".splitlines()[0]
            continue
        contestants[name] = lambda step=step: step(
            images[step.count % len(images)], masks[step.count % len(images)]
        )
    example = UNet(width, depth)
    info = {
        "version": torch.__version__,
        "trainable": sum(parameter.numel() for parameter in example.parameters()),
        "difference": {
            "inference": float(np.abs(output(training=False) - content["inference"]).max()),
            "training": float(np.abs(output(training=True) - content["training"]).max()),
        },
        "losses": losses,
        "failed": failed,
    }
    return info, contestants


if __name__ == "__main__":
    file, options = sys.argv[1:]
    serve(lambda: prepare(Path(file), json.loads(options)))
