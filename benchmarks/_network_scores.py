"""Networks by name, and what each finds and costs; see `cost_curve.py`."""

# ruff: noqa: T201 - how far it got is printed

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from _paired import Time, measure, ratio, take_turns

DATASET, SPLIT = Path("data/dataset"), Path("data/split")
TUNED, WORK = Path("reports/tuning/recipe.yaml"), Path("experiments/folds")
SCORES = {"object_f1": "object F1", "foreground_iou": "foreground IoU"}
TITLES = {
    "unet": "U-Net",
    "res_unet": "residual U-Net",
    "attention_unet": "attention U-Net",
    "unet_plus_plus": "U-Net++",
    "linknet": "LinkNet",
}


@dataclass(frozen=True)
class Network:
    """A network by what shapes it; on the command line `unet-16-3`."""

    architecture: str
    width: int
    depth: int

    @classmethod
    def parse(cls, text: str) -> Network:
        try:
            architecture, width, depth = text.split("-")
            return cls(architecture, int(width), int(depth))
        except ValueError:
            message = f"expected architecture-width-depth, as unet-16-3. Received: {text!r}"
            raise argparse.ArgumentTypeError(message) from None

    def __str__(self) -> str:
        return f"{self.architecture}-{self.width}-{self.depth}"

    @property
    def title(self) -> str:
        return f"{TITLES[self.architecture]}, width {self.width}, depth {self.depth}"

    @property
    def values(self) -> dict[str, Any]:
        """As values of params.yaml."""
        return {f"network.{name}": value for name, value in vars(self).items()}


# --- scores


def project() -> tuple[Any, Any]:
    """Parameters and folds of the project in the working folder."""
    from sgseg.config import load_params  # noqa: PLC0415
    from sgseg.quiet import without_startup_messages  # noqa: PLC0415

    with without_startup_messages():
        from sgseg.experiments.bench import Bench  # noqa: PLC0415
    params = load_params(tuned=TUNED if TUNED.is_file() else None)
    return params, Bench(DATASET, SPLIT, WORK, params.data.source, workers=1)


def scored(
    params: Any,
    bench: Any,
    *,
    networks: Sequence[Network],
    seeds: Sequence[int],
    finished: bool = False,
) -> dict[str, Any]:
    """What each network finds in the data of a bench, as it is written to --json.

    The network of `params` is the default, and always one of them. A network that fails is named
    and left out, and so is, with `finished`, one that is not trained already.
    """
    from sgseg.config import with_values  # noqa: PLC0415
    from sgseg.training.out_of_fold import score  # noqa: PLC0415

    default = Network(params.network.architecture, params.network.width, params.network.depth)
    networks = [default, *(network for network in networks if network != default)]
    wanted = {
        (network, seed): bench.folds(with_values(params, {**network.values, "train.seed": seed}))
        for seed in seeds
        for network in networks
    }
    if finished:
        wanted = {row: folds for row, folds in wanted.items() if _finished(bench, folds)}
    named = {f"{network} seed {seed}": (network, seed) for network, seed in wanted}
    counts: dict[Network, dict[int, list[Any]]] = {network: {} for network in networks}
    for name, error in bench.run({name: wanted[row] for name, row in named.items()}):
        print(f"{name}: {error or 'trained'}", file=sys.stderr, flush=True)
        if not error:
            network, seed = named[name]
            counts[network][seed] = score(list(map(bench.result, wanted[named[name]])), params)
    if not counts[default]:
        sys.exit(f"error: there are no scores of the network in use, {default}")
    images = next(iter(counts[default].values()))
    rows = {
        str(network): _row(trainings, counts[default], params)
        for network, trainings in counts.items()
        if trainings
    }
    return {
        "source": params.data.source,
        "images": len(images),
        "groups": len({image.group for image in images}),
        "folds": len(params.split.folds),
        "default": str(default),
        "rows": rows,
    }


def _finished(bench: Any, folds: Sequence[Any]) -> bool:
    try:
        return all(bench.result(fold) for fold in folds)
    except FileNotFoundError:
        return False


def _row(
    trainings: Mapping[int, Sequence[Any]], default: Mapping[int, Sequence[Any]], params: Any
) -> dict[str, Any]:
    """Scores over all trainings, those of each, and what their mean gains over the default's."""
    from sgseg.evaluation.summary import paired_difference, point_scores  # noqa: PLC0415
    from sgseg.experiments.compare import with_intervals  # noqa: PLC0415

    settings = params.evaluate
    gain = paired_difference(
        list(trainings.values()),
        list(default.values()),
        names=SCORES,
        resamples=settings.bootstrap,
        seed=settings.seed,
    )
    together = with_intervals(list(chain(*trainings.values())), params)
    points = {str(seed): point_scores(counts) for seed, counts in trainings.items()}
    return {
        "scores": {name: together[name] for name in SCORES},
        "gain": {} if trainings is default else gain,
        "by_seed": {seed: {n: point[n] for n in SCORES} for seed, point in points.items()},
    }


# --- cost


def costs(networks: Sequence[Network], options: argparse.Namespace) -> dict[str, Any]:
    """Multiply-adds, parameters, and the time of the exported networks, which take turns.

    Weights are random: they do not change what an image takes.
    """
    import keras  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    from sgseg.inference.network import OnnxNetwork  # noqa: PLC0415
    from sgseg.nets import build_network, multiply_adds_per_pixel  # noqa: PLC0415
    from sgseg.training.export import export_onnx  # noqa: PLC0415

    found: dict[str, Any] = {}
    contestants = {}
    side, threads = options.side, options.threads
    image = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        for network in networks:
            keras.utils.set_random_seed(0)
            model = build_network(**vars(network), dropout=0.0, normalisation="batch")
            model.predict_on_batch(np.zeros((1, 8, 8, 1), np.float32))  # Keras exports what has run
            file = Path(folder) / f"{network}.onnx"
            export_onnx(model, file)
            run = OnnxNetwork(file, margin_px=side, threads=threads)
            run(image)  # the first call allocates
            contestants[str(network)] = partial(measure, partial(run, image), 1)
            found[str(network)] = {
                **vars(network),
                "parameters": model.count_params(),
                "multiply_adds_per_pixel": multiply_adds_per_pixel(model),
            }
        times: dict[str, list[Time]] = take_turns(contestants, options.rounds)
    megapixels, default = side**2 / 1e6, times[str(networks[0])]
    for name, turns in times.items():
        cpu = [turn.cpu_ms for turn in turns]
        found[name]["cpu_ms_per_megapixel"] = median(cpu) / megapixels
        found[name]["wall_ms_per_megapixel"] = median(t.wall_ms for t in turns) / megapixels
        # In processor time, of which other work takes none away.
        found[name]["speed_over_default"] = ratio(cpu, [turn.cpu_ms for turn in default])
    return found
