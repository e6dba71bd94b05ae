"""A trained model as files: `model.onnx` and `bundle.json`, which says how to use it.

No Keras, no pickle. `Segmenter` loads and runs it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from sgseg.errors import InputError, Problem
from sgseg.images.write import replacing
from sgseg.inference.network import ORIENTATIONS
from sgseg.inference.preprocess import NORMALISATIONS, Preprocessing
from sgseg.inference.watch import RULES

FORMAT = 2
NETWORKS, SPEC = "model.onnx", "bundle.json"
POINT = {"threshold", "min_area_px"}
"""What turns probabilities into granules, and depends on how they were averaged."""
MEMBERS = ("all", "one")


@dataclass(frozen=True)
class BundleSpec:
    """The content of `bundle.json`.

    Parameters
    ----------
    members
        Names of the networks, which are outputs of `model.onnx`, in the order of the folds.
    preprocessing
        Settings of `Preprocessing`.
    threshold, min_area_px
        From probability to granules, see `to_labels`.
    margin_px
        How far the network sees, see `OnnxNetwork`.
    orientations
        1, or 8 to average over mirrored and turned images, see `run_in_orientations`.
    members_in_use
        "all": the members' probabilities are averaged; "one": the first member alone. See
        `in_use`.
    points_at_orientations
        Where the other number of orientations is asked for: "1" or "8" -> `threshold` and
        `min_area_px` as chosen on such maps.
    pixel_size_um
        Median pixel size of the training images; None where unknown.
    statistics
        What the training images are like, see `watch`; {} where unknown.
    trained_on
        `pixel_hash` (see the manifest) of every image that had a part in the model: trained on,
        stopped by, or used to choose the threshold.
    facts
        Where the model comes from: scores, data digest, git commit, parameters.
    """

    members: list[str]
    preprocessing: dict[str, Any]
    threshold: float
    min_area_px: int
    margin_px: int | None
    orientations: int = 1
    members_in_use: str = "all"
    points_at_orientations: dict[str, dict[str, Any]] = field(default_factory=dict)
    pixel_size_um: float | None = None
    statistics: dict[str, Any] = field(default_factory=dict)
    trained_on: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT


def _is_number(value: Any) -> bool:
    # Beyond that, an int is no finite float.
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
    )


def _is_whole(value: Any, *, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_size_or_none(value: Any) -> bool:
    return value is None or (_is_number(value) and value > 0)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name for name in value)


def _are_members(value: Any) -> bool:
    return _are_texts(value) and 0 < len(value) == len(set(value))


def _is_preprocessing(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() - {f.name for f in fields(Preprocessing)}:
        return False
    size = value.get("resize")
    return (
        value.get("normalise") in list(NORMALISATIONS)
        and _is_size_or_none(value.get("target_pixel_size_um"))
        and (
            size is None
            or (
                isinstance(size, list)
                and len(size) == 2
                and all(_is_whole(n, least=1) for n in size)
            )
        )
    )


def _are_points(value: Any) -> bool:
    return isinstance(value, dict) and all(
        number in {str(n) for n in ORIENTATIONS}
        and isinstance(point, dict)
        and point.keys() == POINT
        and all(_RIGHT[name][0](point[name]) for name in POINT)
        for number, point in value.items()
    )


def _are_statistics(value: Any) -> bool:
    return isinstance(value, dict) and all(
        value.get(name) is None
        or (
            isinstance(value[name], list)
            and len(value[name]) == 2
            and all(_is_number(end) for end in value[name])
        )
        for name in RULES
    )


_RIGHT: dict[str, tuple[Callable[[Any], bool], str]] = {
    "members": (_are_members, "names of networks, each once"),
    "preprocessing": (_is_preprocessing, "settings that this version of sgseg knows"),
    "threshold": (lambda value: _is_number(value) and 0 <= value <= 1, "a number in [0, 1]"),
    "min_area_px": (lambda value: _is_whole(value, least=1), "a whole number, at least 1"),
    "margin_px": (
        lambda value: value is None or _is_whole(value, least=0),
        "a whole number, at least 0, or null",
    ),
    "orientations": (
        lambda value: _is_whole(value, least=1) and value in ORIENTATIONS,
        "1 or 8",
    ),
    "members_in_use": (lambda value: value in list(MEMBERS), " or ".join(MEMBERS)),
    "points_at_orientations": (_are_points, "threshold and min_area_px for 1 or 8"),
    "pixel_size_um": (_is_size_or_none, "a number above 0, or null"),
    "statistics": (_are_statistics, f"a mapping; {', '.join(RULES)} to two numbers each"),
    "trained_on": (_are_texts, "a list of hashes"),
    "facts": (lambda value: isinstance(value, dict), "a mapping"),
}


def check_point(threshold: float | None, min_area_px: int | None) -> None:
    """Refuse a threshold or minimum area that a bundle could not have; None is none given."""
    given = {"threshold": threshold, "min_area_px": min_area_px}
    problems = [
        Problem(name, f"got {value!r}", _RIGHT[name][1])
        for name, value in given.items()
        if value is not None and not _RIGHT[name][0](value)
    ]
    if problems:
        raise InputError(*problems)


def _problems(path: Path, content: Mapping[str, Any]) -> Iterator[Problem]:
    optional = {
        "orientations",
        "members_in_use",
        "points_at_orientations",
        "pixel_size_um",
        "statistics",
        "trained_on",
        "facts",
    }
    for name in sorted(_RIGHT.keys() - content.keys() - optional):
        yield Problem(f"{path}: {name}", "missing")
    for name in sorted(content.keys() - _RIGHT.keys() - {"format"}):
        yield Problem(f"{path}: {name}", "unknown key")
    for name, (is_right, expected) in _RIGHT.items():
        if name in content and not is_right(content[name]):
            yield Problem(f"{path}: {name}", f"got {content[name]!r}", expected)


def write_spec(folder: Path, spec: BundleSpec) -> None:
    """Write `bundle.json`."""
    text = json.dumps(asdict(spec), indent=2, ensure_ascii=False) + "\n"
    with replacing(folder / SPEC) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_spec(folder: Path) -> BundleSpec:
    """Read `bundle.json`; an `InputError` names all that is wrong with it."""
    path = folder / SPEC
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            Problem(
                str(folder),
                "no model here (bundle.json is missing)",
                "the folder of an evaluated model",
                "Run `dvc repro` to make models/evaluated.",
            )
        ) from None
    except RecursionError:
        raise InputError(Problem(str(path), "unreadable: nested too deeply")) from None
    except ValueError as error:
        raise InputError(Problem(str(path), f"unreadable: {error}")) from None
    if not isinstance(content, dict) or "format" not in content:
        raise InputError(Problem(str(path), "not the description of a model"))
    if content["format"] != FORMAT:
        found = f"format {content['format']!r}"
        # Format 1 had one file per network and did not know what it was trained on.
        older = content["format"] == 1
        remedy = "Run `dvc repro` to make it anew." if older else "Update sgseg."
        raise InputError(Problem(str(path), found, f"format {FORMAT}", remedy))
    problems = list(_problems(path, content))
    if problems:
        raise InputError(*problems)
    return BundleSpec(**content)


def digest(folder: Path) -> str:
    """MD5 (32 hex digits) of a bundle, byte for byte; see `networks_digest` for what it does.

    Raises
    ------
    InputError
        One of the two files is missing.
    """
    total = hashlib.md5(usedforsecurity=False)
    for name in (NETWORKS, SPEC):
        try:
            content = (folder / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            problem = Problem(str(folder), f"no model here ({name} is missing)")
            raise InputError(problem) from None
        # Of each file on its own, so that no byte can move from one to the other unnoticed.
        total.update(hashlib.md5(content, usedforsecurity=False).digest())
    return total.hexdigest()


def networks_digest(folder: Path) -> str:
    """MD5 (32 hex digits) of the networks and how they are used, whatever is told of them.

    Two bundles that differ in `facts` alone (scores, commit) give the same masks: a model evaluated
    again is the same model. `digest` tells them apart.

    Raises
    ------
    InputError
        No bundle, or a broken one.
    """
    used = {name: value for name, value in asdict(read_spec(folder)).items() if name != "facts"}
    try:
        networks = (folder / NETWORKS).read_bytes()
    except FileNotFoundError:
        problem = Problem(str(folder), f"no model here ({NETWORKS} is missing)")
        raise InputError(problem) from None
    total = hashlib.md5(usedforsecurity=False)
    for content in (networks, json.dumps(used, sort_keys=True).encode("utf-8")):
        total.update(hashlib.md5(content, usedforsecurity=False).digest())
    return total.hexdigest()


def spec_preprocessing(settings: dict[str, Any]) -> Preprocessing:
    """`Preprocessing` from its JSON form."""
    size = settings.get("resize")
    return Preprocessing(
        normalise=settings["normalise"],
        target_pixel_size_um=settings.get("target_pixel_size_um"),
        resize=None if size is None else (int(size[0]), int(size[1])),
    )


def margin_px(depth: int, normalisation: str) -> int | None:
    """How far a U-Net of this depth sees at most, a multiple of its stride 2^d.

    Two 3 x 3 convolutions on each of d levels down, at the bottom and up again reach 6 * 2^d - 4
    px; pooling and upsampling round to the stride, less than 2^d each. None for "group", which
    normalises by the mean over the whole image.
    """
    return None if normalisation == "group" else int(8 * 2**depth)


def in_use(
    spec: BundleSpec, *, members: str | int | None = None, orientations: int | None = None
) -> BundleSpec:
    """The description with the members that are used, and the settings that belong to them.

    Parameters
    ----------
    members
        "all", or how many: the first so many in the order of the folds ("one" is 1), an order that
        was there before any of them had a score. None: as the bundle says.
    orientations
        1 or 8; None: as the bundle says. Another number brings the threshold and minimum area that
        were chosen for it, where the bundle has them.

    Raises
    ------
    InputError
        There are not so many members.
    """
    wanted = spec.members_in_use if members is None else members
    n = {"all": len(spec.members), "one": 1}[wanted] if isinstance(wanted, str) else wanted
    if not 1 <= n <= len(spec.members):
        raise InputError(
            Problem("members", f"{n} asked for", f"1 to {len(spec.members)}, or all, of this model")
        )
    if orientations is None or orientations == spec.orientations:
        return replace(spec, members=spec.members[:n], members_in_use="all")
    point = spec.points_at_orientations.get(str(orientations), {})
    return replace(
        spec, members=spec.members[:n], members_in_use="all", orientations=orientations, **point
    )
