"""One way of segmenting the benchmark's image, in a process of its own; see `serving.py`.

    python _serving_worker.py build|onnx|inference|keras|http|clients SETTINGS

SETTINGS is JSON: folder, members, width, depth, threads; of one contestant also side, n and bundle,
and `suffix`, which tells it from another of its kind. `int8` asks for 8-bit networks as well.

Talks with the benchmark as `_paired.Worker` does; only what is measured is done, nothing before it.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

Contestants = dict[str, Callable[[], Any]]
# Of the pixels; what a field of stressed cells has.
FOREGROUND = 0.02
MIN_AREA_PX = 4


def field(side: int) -> np.ndarray[Any, Any]:
    """Counts (side, side) uint16: cells of 100 px with 25 granules each of 2 to 4 px."""
    from scipy.ndimage import gaussian_filter  # noqa: PLC0415

    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    signal = 300 * (np.hypot(rows % 128 - 64, columns % 128 - 64) < 50).astype(np.float32)
    spots = np.zeros_like(signal)
    inside = np.flatnonzero(signal)
    spots.flat[rng.choice(inside, 25 * (side // 128) ** 2)] = 20_000
    return rng.poisson(100 + signal + gaussian_filter(spots, 1.5)).astype(np.uint16)


# --- the networks, made once


def build(settings: Mapping[str, Any]) -> None:
    """Write bundles of each number of members, and the first member for Keras.

    The weights are random: they do not change what an image takes. All members are nearly the
    same, so that there are granules on which to agree.
    """
    import keras  # noqa: PLC0415

    from sgseg.inference.bundle import BundleSpec, margin_px, write_spec  # noqa: PLC0415
    from sgseg.inference.segmenter import Segmenter  # noqa: PLC0415
    from sgseg.inference.watch import describe, training_statistics  # noqa: PLC0415
    from sgseg.training.export import export_onnx  # noqa: PLC0415
    from sgseg.training.merge import merge_onnx  # noqa: PLC0415

    folder, rng = Path(settings["folder"]), np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model = network(settings)
    model.save_weights(folder / "first.weights.h5")
    weights, files = model.get_weights(), []
    for number in range(max(settings["members"])):
        if number:
            model.set_weights([w + 0.01 * np.std(w) * rng.normal(size=w.shape) for w in weights])
        model.predict_on_batch(np.zeros((1, 8, 8, 1), np.float32))  # Keras exports what has run
        files.append(folder / f"member_{number}.onnx")
        export_onnx(model, files[-1])
    image = field(512)
    statistics = training_statistics([describe(image, None)], [[9.0]])
    kinds = {"": files}
    if settings.get("int8"):
        kinds["_int8"] = _in_8_bits(files, image)
    for n, (kind, files) in itertools.product(settings["members"], kinds.items()):
        names = [f"fold_{number}" for number in range(n)]
        target = folder / f"bundle_{n}{kind}"
        target.mkdir()
        merge_onnx(files[:n], names, target / "model.onnx")
        spec: dict[str, Any] = {
            "members": names,
            "preprocessing": {"normalise": "background"},
            "min_area_px": MIN_AREA_PX,
            "margin_px": margin_px(settings["depth"], "batch"),
            "statistics": statistics,
        }
        write_spec(target, BundleSpec(**spec, threshold=0.5))
        found = Segmenter.load(target).probability(image)
        threshold = float(np.quantile(found, 1 - FOREGROUND))
        write_spec(target, BundleSpec(**spec, threshold=threshold))


def _in_8_bits(files: list[Path], image: np.ndarray[Any, Any]) -> list[Path]:
    from sgseg.inference.preprocess import Preprocessing  # noqa: PLC0415
    from sgseg.training.quantise import quantise  # noqa: PLC0415

    written = [file.with_name(f"{file.stem}_int8.onnx") for file in files]
    for source, target in zip(files, written, strict=True):
        quantise(source, target, [Preprocessing("background").prepare(image)])
    return written


def network(settings: Mapping[str, Any]) -> Any:
    """The network of a recipe with batch normalisation."""
    from sgseg.nets import build_network  # noqa: PLC0415

    return build_network(
        architecture="unet",
        width=settings["width"],
        depth=settings["depth"],
        dropout=0.0,
        normalisation="batch",
    )


# --- the contestants


def prepared(settings: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """The image as a network takes it."""
    from sgseg.inference.preprocess import Preprocessing  # noqa: PLC0415

    image = Preprocessing("background").prepare(field(settings["side"]))
    return np.ascontiguousarray(image[None, ..., None])


def onnx(settings: Mapping[str, Any]) -> Contestants:
    """ONNX Runtime alone: a normalised image in, all members' probabilities out."""
    import onnxruntime as ort  # noqa: PLC0415

    options = ort.SessionOptions()
    options.intra_op_num_threads = settings["threads"]
    options.log_severity_level = 3
    path = str(Path(settings["bundle"]) / "model.onnx")
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    image = prepared(settings)
    return {
        f"bare ONNX call{settings.get('suffix', '')}": lambda: session.run(None, {"image": image})
    }


def inference(settings: Mapping[str, Any]) -> Contestants:
    """`sgseg.inference`: counts in, granules out, with all that is known about them."""
    from sgseg.inference.segmenter import Segmenter  # noqa: PLC0415

    segmenter = Segmenter.load(settings["bundle"], threads=settings["threads"])
    image = field(settings["side"])
    return {f"sgseg.inference{settings.get('suffix', '')}": lambda: segmenter.predict(image)}


def keras(settings: Mapping[str, Any]) -> Contestants:
    """Keras: a normalised image in, as many probabilities as there are members out."""
    model = network(settings)
    model.load_weights(Path(settings["folder"]) / "first.weights.h5")
    image, n = prepared(settings), settings["n"]
    return {"Keras predict": lambda: [model.predict(image, verbose=0) for _ in range(n)]}


def http(settings: Mapping[str, Any]) -> Contestants:
    """A client: the bytes of a PNG file in, a mask out."""
    from sgseg.client import predict  # noqa: PLC0415

    content, as_parquet = png(settings), by_parquet(settings)

    def as_json() -> Any:
        (result,) = predict(settings["url"], [content])
        assert result.labels is not None, result.error
        return result.labels

    if not np.array_equal(as_json(), as_parquet()):
        sys.exit("error: JSON and Parquet bring different masks")
    return {"HTTP, base64 JSON": as_json, "HTTP, Parquet": as_parquet}


def png(settings: Mapping[str, Any]) -> bytes:
    """The image as a file."""
    import imagecodecs  # noqa: PLC0415

    return bytes(imagecodecs.png_encode(field(settings["side"])))


def by_parquet(settings: Mapping[str, Any]) -> Callable[[], Any]:
    """A client with a connection of its own, which sends Parquet."""
    import imagecodecs  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415
    import requests  # noqa: PLC0415

    session, content = requests.Session(), png(settings)
    kind = {"Content-Type": "application/vnd.apache.parquet"}

    def call() -> Any:
        buffer = io.BytesIO()
        pq.write_table(pa.table({"image": [content]}), buffer, compression="none")
        response = session.post(
            f"{settings['url']}/invocations", data=buffer.getvalue(), headers=kind, timeout=3600
        )
        (answer,) = response.json()["predictions"]
        return imagecodecs.png_decode(base64.b64decode(answer["mask"]))

    return call


def clients(settings: Mapping[str, Any]) -> Contestants:
    """Several clients at once, that share a number of requests."""
    from serving import clients_title  # noqa: PLC0415

    def together(n: int) -> Callable[[], Any]:
        calls = [by_parquet(settings) for _ in range(n)]
        shares = [len(range(k, settings["requests"], n)) for k in range(n)]

        def share(k: int) -> None:
            for _ in range(shares[k]):
                calls[k]()

        def work() -> None:
            with ThreadPoolExecutor(n) as pool:
                list(pool.map(share, range(n)))

        return work

    return {clients_title(n): together(n) for n in settings["clients"]}


def main() -> None:
    kind, settings = sys.argv[1], json.loads(sys.argv[2])
    if kind == "build":
        build(settings)
        return
    from _paired import measure  # noqa: PLC0415

    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    kinds = {"onnx": onnx, "inference": inference, "keras": keras, "http": http, "clients": clients}
    contestants = kinds[kind](settings)
    for work in contestants.values():
        work()  # the first call allocates
    print(json.dumps({"contestants": list(contestants)}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        time = measure(contestants[request["name"]], request["repeats"])
        print(json.dumps(vars(time)), file=answers, flush=True)


if __name__ == "__main__":
    main()
