"""Both dvc.yaml against the code: what a stage imports makes it run again when it changes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sgseg.training.code import WEIGHT_CODE

ROOT = Path(__file__).parents[1]
# Where the stages are defined, by the folder of their scripts; the first ones run without being
# asked for.
DEFINITIONS = {"pipelines": Path("dvc.yaml"), "experiments": Path("experiments/dvc.yaml")}
STAGES_IN: dict[str, dict[str, dict[str, Any]]] = {
    folder: yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))["stages"]
    for folder, path in DEFINITIONS.items()
}
STAGES = {name: stage for stages in STAGES_IN.values() for name, stage in stages.items()}
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
# These shape no result: messages, reading of parameters (which are dependencies of their own),
# what MLflow shows and serves, the command line.
SHAPES_NOTHING = {"errors", "config", "quiet", "tracking", "serving", "commands", "cli"}


def resolve(module: str) -> Path | None:
    """File of a module of sgseg, relative to the root; None for names that are no module."""
    path = ROOT.joinpath("src", *module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate.relative_to(ROOT)
    return None


def imported_by(path: Path) -> Iterator[Path]:
    """Files of sgseg that a file imports itself, in functions too."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and str(node.value).startswith("sgseg."):
            # Run as a program of its own, or imported when it is needed.
            modules = [str(node.value).partition(":")[0]]
        for module in modules:
            found = resolve(module) if module.partition(".")[0] == "sgseg" else None
            if found is not None:
                yield found


def shapes_result(path: Path) -> bool:
    part = path.parts[2].removesuffix(".py")
    # An empty __init__ changes nothing; one with code does.
    is_empty = not (ROOT / path).read_text(encoding="utf-8").strip()
    return part not in SHAPES_NOTHING and part != "__init__" and not is_empty


def needed(script: Path) -> set[Path]:
    """All files of sgseg that a script's result depends on, through any number of imports."""
    waiting, seen = [script], set()
    while waiting:
        for path in imported_by(waiting.pop()):
            if path not in seen and shapes_result(path):
                seen.add(path)
                waiting.append(path)
    return seen


def script_of(stage: dict[str, Any]) -> Path:
    python, script, *_ = stage["cmd"].split()
    assert python == "python"
    return Path(script)


def data_deps(stage: dict[str, Any]) -> set[str]:
    code = ("src/", *(f"{folder}/" for folder in DEFINITIONS))
    return {dep for dep in stage["deps"] if not dep.startswith(code)}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_a_script_of_its_name(name: str) -> None:
    (folder,) = (folder for folder, stages in STAGES_IN.items() if name in stages)
    assert script_of(STAGES[name]) == Path(folder, f"{name}.py")
    # Paths are all relative to the root, wherever the stage is defined.
    assert (
        Path(DEFINITIONS[folder].parent, STAGES[name].get("wdir", "."), "x").resolve()
        == Path("x").resolve()
    )
    assert (ROOT / script_of(STAGES[name])).is_file()
    assert str(script_of(STAGES[name])) in STAGES[name]["deps"]


@pytest.mark.parametrize("folder", DEFINITIONS)
def test_every_script_is_a_stage(folder: str) -> None:
    assert {path.stem for path in (ROOT / folder).glob("*.py")} == set(STAGES_IN[folder])


@pytest.mark.parametrize("name", STAGES)
def test_what_shapes_a_stage_s_result_is_among_its_dependencies(name: str) -> None:
    deps = [Path(dep) for dep in STAGES[name]["deps"]]
    missing = {
        path.as_posix()
        for path in needed(script_of(STAGES[name]))
        if not any(path == dep or dep in path.parents for dep in deps)
    }
    assert not missing


@pytest.mark.parametrize("name", STAGES)
def test_no_dependency_on_code_that_is_not_used(name: str) -> None:
    # Such a dependency would run the stage again for nothing: hours, for `train`.
    used = needed(script_of(STAGES[name]))
    for dep in map(Path, STAGES[name]["deps"]):
        if dep.parts[0] == "src":
            assert (ROOT / dep).exists(), dep
            assert any(path == dep or dep in path.parents for path in used), dep


@pytest.mark.parametrize("name", STAGES)
def test_every_parameter_named_exists(name: str) -> None:
    for key in STAGES[name].get("params", []):
        value: Any = PARAMS
        for part in key.split("."):
            assert isinstance(value, dict), key
            assert part in value, key
            value = value[part]


def library_deps(name: str) -> set[str]:
    return {dep for dep in STAGES[name]["deps"] if dep.startswith("src/")}


# What shapes no weights: it draws pictures, tries the exported network, names what does shape them.
SHAPES_NO_WEIGHTS = {
    "src/sgseg/evaluation/pictures.py",
    "src/sgseg/images/write.py",
    "src/sgseg/inference/network.py",
    "src/sgseg/inference/tiles.py",
    "src/sgseg/training/code.py",
    "src/sgseg/training/export.py",
}


def test_a_fold_is_known_by_the_code_that_shapes_its_weights() -> None:
    # `train` goes on with a fold where it was unless this code has changed; DVC runs it again for
    # the same code, and for what draws its pictures.
    assert set(WEIGHT_CODE) == library_deps("train") - SHAPES_NO_WEIGHTS


def test_a_pretraining_is_known_by_the_code_that_shapes_its_weights() -> None:
    # Beside the training of a fold, of which it has no data set, it draws the fields.
    from sgseg.experiments import pretrain  # noqa: PLC0415 - with Keras: seconds

    no_library = {"src/sgseg/dataset/folders.py"} | SHAPES_NO_WEIGHTS
    assert set(pretrain.CODE) == library_deps("pretrain") - no_library


def params_read_in(path: Path) -> set[str]:
    """Sections, or section.key, of the parameters that a file takes from `params`."""
    found = set()
    outer: set[ast.AST] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        parts: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            # Walking from the outside in: of `params.split.folds` only the whole counts.
            if inner in outer:
                break
            parts.insert(0, inner.attr.removesuffix("_"))
            outer.add(inner)
            inner = inner.value
        if isinstance(inner, ast.Name) and inner.id == "params" and parts and parts[0] in PARAMS:
            is_key = len(parts) > 1 and parts[1] in PARAMS[parts[0]]
            found.add(".".join(parts[:2]) if is_key else parts[0])
    return found


def test_parameters_are_found_in_code() -> None:
    assert {"split.folds", "network"} <= params_read_in(Path("pipelines/evaluate.py"))
    library = params_read_in(Path("src/sgseg/training/cross_validation.py"))
    assert {"train", "network", "preprocess.resize", "evaluate.object_iou"} <= library


@pytest.mark.parametrize("name", STAGES)
def test_every_parameter_that_a_stage_reads_is_named(name: str) -> None:
    named = STAGES[name].get("params", [])
    script = script_of(STAGES[name])
    for path in (script, *needed(script)):
        for key in params_read_in(path):
            assert any(key == own or key.startswith(f"{own}.") for own in named), (path, key)


def test_every_section_is_used() -> None:
    used = {key.partition(".")[0] for stage in STAGES.values() for key in stage.get("params", [])}
    # The experiment's name shapes no result.
    assert set(PARAMS) - used == {"tracking"}


@pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=str)
def test_values_in_braces_exist(definition: Path) -> None:
    text = (ROOT / definition).read_text(encoding="utf-8")
    for piece in text.split("${")[1:]:
        key = piece.partition("}")[0]
        if not key.startswith("item"):
            section, _, leaf = key.partition(".")
            assert leaf in PARAMS[section], key


def test_data_flows_one_way() -> None:
    # In the order of the file: what a stage reads is an output of an earlier one, or in git.
    made: set[str] = set()
    in_git = {"data/raw/${data.source}", "splits/${data.source}.csv"}
    for name, stage in STAGES.items():
        for dep in data_deps(stage) - in_git:
            assert any(
                out == dep or dep.startswith(f"{out}/") or out.startswith(f"{dep}/") for out in made
            ), (
                name,
                dep,
            )
        outs = [out if isinstance(out, str) else next(iter(out)) for out in stage["outs"]]
        assert not made & set(outs)
        made |= set(outs)
