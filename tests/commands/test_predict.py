"""`sgseg predict` as it is typed."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tifffile
import zarr
from examples import draw_field
from images.plates import write_plate

from sgseg.cli import parser
from sgseg.errors import InputError
from sgseg.images.read import PROJECTIONS

Run = Callable[..., int]


@pytest.fixture
def run() -> Run:
    def run_command(*arguments: object) -> int:
        parsed = parser().parse_args(["predict", *map(str, arguments)])
        return int(parsed.run(parsed))

    return run_command


def test_predict(
    run: Run,
    make_bundle: Callable[..., Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    tifffile.imwrite(tmp_path / "a.tif", draw_field([(10, 10)])[0])
    out = tmp_path / "out"
    assert run(tmp_path / "a.tif", "--model", make_bundle(), "--out", out, "--overlay") == 0
    assert tifffile.imread(out / "a_mask.tif").max() == 1
    assert sorted(path.name for path in out.iterdir()) == [
        ".images",
        "a_mask.tif",
        "a_overlay.png",
        "fields.csv",
        "granules.csv",
    ]
    assert "1 of 1 images segmented" in caplog.text
    assert "One network alone: no uncertainty" in caplog.text


def test_members_orientations_and_uncertainty(
    run: Run,
    make_bundle: Callable[..., Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    # 2.2 times as bright as the cell: 1 / (1 + exp(-10 (2.2 - m))) is 0.88 for the member m = 2,
    # 0.05 for m = 2.5: together 0.46, not enough.
    tifffile.imwrite(tmp_path / "a.tif", draw_field([(10, 10)], brightness=2.2)[0])
    points = {"8": {"threshold": 0.3, "min_area_px": 4}}
    bundle = make_bundle(2.0, 2.5, points_at_orientations=points)

    def granules(*options: object) -> int:
        assert run(tmp_path / "a.tif", "--model", bundle, "--out", tmp_path / "out", *options) == 0
        return int(tifffile.imread(tmp_path / "out" / "a_mask.tif").max())

    assert granules() == granules("--members", "all") == granules("--members", 2) == 0
    assert granules("--orientations", 1) == 0
    assert "One network alone" not in caplog.text
    assert granules("--members", "one") == granules("--members", 1) == 1
    assert "One network alone" in caplog.text
    # At 8 orientations the bundle goes by another threshold: 0.46 is above 0.3.
    assert granules("--orientations", 8) == 1
    assert not (tmp_path / "out" / "a_uncertainty.tif").exists()
    granules("--uncertainty")
    assert tifffile.imread(tmp_path / "out" / "a_uncertainty.tif").shape == (60, 80)


def test_one_network_has_nobody_to_disagree_with(
    run: Run, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", draw_field([])[0])
    bundle, out = make_bundle(1.5, 2.0), tmp_path / "out"
    with pytest.raises(InputError, match=r"--uncertainty: one network .*\(--members all\)"):
        run(tmp_path, "--model", bundle, "--out", out, "--uncertainty", "--members", "one")
    assert not out.exists()
    with pytest.raises(InputError, match="members: 3 asked for; expected 1 to 2, or all"):
        run(tmp_path, "--model", bundle, "--out", out, "--members", "3")


def test_a_bad_file_fails_after_the_good_ones(
    run: Run, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    tifffile.imwrite(images / "good.tif", draw_field([])[0])
    (images / "bad 1.tif").write_bytes(b"")
    (images / "bad 2.png").write_bytes(b"GIF89a")
    out = tmp_path / "out"
    with pytest.raises(InputError) as caught:
        run(images, "--model", make_bundle(), "--out", out)
    lines = str(caught.value).splitlines()
    assert lines[0] == "2 of 3 images could not be segmented:"
    assert lines[1].startswith(f"  - {images / 'bad 1.tif'}: ")
    assert lines[2].startswith(f"  - {images / 'bad 2.png'}: ")
    assert (out / "good_mask.tif").exists()


def test_a_folder_that_is_no_model(run: Run, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", draw_field([])[0])
    with pytest.raises(InputError, match="no model here"):
        run(tmp_path / "a.tif", "--model", tmp_path, "--out", tmp_path / "out")


def test_a_channel_by_number_or_name(
    run: Run, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    pixels = draw_field([(10, 10)])[0]
    names = {"axes": "CYX", "Channel": {"Name": ["empty", "7"]}}
    stack = [draw_field([])[0], pixels]
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata=names)
    bundle = make_bundle()
    for channel, granules in (("1", 1), ("0", 0), ("empty", 0)):
        run(tmp_path / "a.ome.tif", "--model", bundle, "--out", tmp_path, "--channel", channel)
        assert tifffile.imread(tmp_path / "a_mask.tif").max() == granules


@pytest.mark.parametrize(
    "wrong",
    [
        ["--pixel-size-um", "0"],
        ["--pixel-size-um", "-0.1"],
        ["--pixel-size-um", "nan"],
        ["--pixel-size-um", "inf"],
        ["--pixel-size-um", "small"],
        ["--projection", "maximum"],
        ["--members", "0"],
        ["--members", "-1"],
        ["--members", "some"],
        ["--orientations", "4"],
        ["--threshold", "1.1"],
        ["--threshold", "nan"],
        ["--min-area-px", "0"],
        ["--min-area-px", "2.5"],
    ],
)
def test_a_wrong_option_is_explained(
    wrong: list[str], run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run("a.tif", "--out", "out", *wrong)
    assert stop.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"argument {wrong[0]}" in last
    assert wrong[1] in last


def test_threshold_and_minimum_area(
    run: Run, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    # Granules of 3 x 3 = 9 px, 2.2 times as bright as the cell: probability 0.88, see above.
    tifffile.imwrite(tmp_path / "a.tif", draw_field([(10, 10), (30, 20)], brightness=2.2)[0])
    bundle, out = make_bundle(), tmp_path / "out"
    for options, granules in (
        ([], 2),
        (["--threshold", "0.95"], 0),
        (["--min-area-px", "9"], 2),
        (["--min-area-px", "10"], 0),
    ):
        assert run(tmp_path / "a.tif", "--model", bundle, "--out", out, *options) == 0
        assert tifffile.imread(out / "a_mask.tif").max() == granules


def test_a_model_of_the_registry(
    run: Run,
    make_bundle: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def bundle_of(uri: str) -> Path:
        asked.append(uri)
        return make_bundle()

    registry = ModuleType("sgseg.registry.bundles")
    registry.bundle_of = bundle_of  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, registry.__name__, registry)
    tifffile.imwrite(tmp_path / "a.tif", draw_field([(10, 10)])[0])
    model = "models:/sgseg@champion"
    assert run(tmp_path / "a.tif", "--model", model, "--out", tmp_path / "out") == 0
    assert asked == [model]
    assert (tmp_path / "out" / "a_mask.tif").exists()


def test_what_a_server_decides_cannot_be_asked_for(run: Run, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", draw_field([])[0])
    where = ("--url", "http://127.0.0.1:9", "--out", tmp_path / "out")
    with pytest.raises(InputError) as caught:
        run(tmp_path / "a.tif", *where, "--members", "1", "--orientations", "8")
    assert [problem.where for problem in caught.value.problems] == ["--members", "--orientations"]
    with pytest.raises(InputError, match=r"http://\.\.\. or https://"):
        run(tmp_path / "a.tif", "--url", "127.0.0.1:9", "--out", tmp_path / "out")
    with pytest.raises(SystemExit):
        run(tmp_path / "a.tif", *where, "--model", tmp_path)
    assert not (tmp_path / "out").exists()


def test_every_projection_can_be_asked_for() -> None:
    # They are written out in the command so that `--help` need not import what reads images.
    for name in PROJECTIONS:
        arguments = ["predict", "a.tif", "--out", "out", "--projection", name]
        assert parser().parse_args(arguments).projection == name


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_plate_of_ome_zarr(
    version: str, run: Run, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    fields = [np.stack([draw_field([(10, 10 + 8 * k) for k in range(n)])[0]] * 2) for n in range(3)]
    wells = {"A/1": fields[:2], "B/2": fields[2:]}
    plate = write_plate(tmp_path / "p.ome.zarr", wells, version=version)
    out, bundle = tmp_path / "out", make_bundle()
    options = ("--model", bundle, "--channel", "G3BP1", "--into-plate")
    for _ in range(2):
        assert run(plate, "--out", out, *options) == 0
        found = {name: tifffile.imread(out / f"{name}_mask.tif") for name in ("A/1/1", "B/2/0")}
        assert {name: mask.max() for name, mask in found.items()} == {"A/1/1": 1, "B/2/0": 2}
        for name, mask in found.items():
            labels = zarr.open_array(str(plate / name / "labels/granules/0"), mode="r")
            assert np.array_equal(labels[:], mask)
        shutil.rmtree(plate / "B/2/0/labels")  # is written again
    with pytest.raises(InputError, match="results would lie inside the images"):
        run(plate, "--out", plate / "results", *options)
    tifffile.imwrite(tmp_path / "a.tif", fields[0][0])
    with pytest.raises(InputError, match=r"a\.tif: no image of OME-Zarr"):
        run(tmp_path / "a.tif", "--out", out, *options)
