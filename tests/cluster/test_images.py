"""The bytes of a run on workers are those of a run in one process, hidden files included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from distributed import Client
from examples import draw_field
from quantify.runs import content

from sgseg.cluster.images import image_attempts
from sgseg.errors import Problem
from sgseg.inference.bundle import networks_digest
from sgseg.inference.predict import Job, find_tasks
from sgseg.inference.run import continue_files
from sgseg.inference.segmenter import Segmenter


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Ten fields, and two files that are none."""
    folder = tmp_path / "images"
    (folder / "day 2").mkdir(parents=True)
    for number in range(10):
        name = f"day 2/ä {number}.tif" if number % 2 else f"{number}.tif"
        granules = [(10 + number, 10 + 4 * k) for k in range(number % 4)]
        tifffile.imwrite(folder / name, draw_field(granules, seed=number)[0])
    (folder / "empty.tif").touch()
    tifffile.imwrite(folder / "two.tif", np.zeros((2, 9, 9), np.uint8))
    return folder


def predict(
    bundle: Path, images: Path, out: Path, client: Client | None = None, **options: bool
) -> list[Problem]:
    job = Job(out, with_overlay=True, identity={"networks": networks_digest(bundle)}, **options)
    segmenter, tasks = Segmenter.load(bundle), find_tasks([images], out)
    if client is None:
        return continue_files(segmenter, tasks, job)
    with image_attempts(client, bundle) as attempts:
        return continue_files(segmenter, tasks, job, attempts=attempts)


def test_the_bytes_of_one_process(
    client: Client,
    images: Path,
    make_bundle: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Paths as they are typed: workers run in other folders.
    monkeypatch.chdir(tmp_path)
    bundle, folder = make_bundle(1.8, 2.2, orientations=8), Path("images")
    alone = predict(bundle, folder, Path("alone"), with_uncertainty=True)
    spread = predict(bundle, folder, Path("spread"), client, with_uncertainty=True)
    assert [problem.where for problem in alone] == ["images/empty.tif", "images/two.tif"]
    assert spread == alone
    expected = content(tmp_path / "alone")
    # 10 masks, overlays, maps and records, two tables, and the lock
    assert len(expected) == 4 * 10 + 2 + 1
    assert content(tmp_path / "spread") == expected
    # Either goes on with what the other has done.
    (tmp_path / "spread/0_mask.tif").unlink()
    before = (tmp_path / "spread/2_mask.tif").stat().st_mtime_ns
    assert predict(bundle, folder, Path("spread"), with_uncertainty=True) == alone
    assert content(tmp_path / "spread") == expected
    assert (tmp_path / "spread/2_mask.tif").stat().st_mtime_ns == before


def test_the_model_is_loaded_once_by_each_process(
    client: Client, images: Path, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    def loads() -> int:
        from sgseg.cluster.model import _load  # noqa: PLC0415

        return _load.cache_info().misses

    before = client.run(loads)
    predict(make_bundle(1.9), images, tmp_path / "out", client)
    assert {client.run(loads)[worker] - before[worker] for worker in before} <= {0, 1}


def test_a_file_that_is_gone(
    client: Client, images: Path, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    bundle, out = make_bundle(), tmp_path / "out"
    tasks = find_tasks([images / "0.tif", images / "2.tif"], out)
    tasks[1].path.unlink()
    job = Job(out, identity={})
    with image_attempts(client, bundle) as attempts:
        (problem,) = continue_files(Segmenter.load(bundle), tasks, job, attempts=attempts)
    assert problem == Problem(str(images / "2.tif"), "No such file or directory")
    assert (out / "0_mask.tif").exists()
