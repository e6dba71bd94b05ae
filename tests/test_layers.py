"""Who may import whom: read from the source, wherever in a file the import stands."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "sgseg"
BASE = {"errors", "scores"}

# What each part of the library may import of the others. Written out rather than derived, so that
# a new dependency is a decision.
ALLOWED: dict[str, set[str]] = {
    "__init__": set(),
    "errors": set(),
    "quiet": set(),
    "processes": set(),
    "scores": set(),
    "config": {"errors"},
    "images": BASE,
    "dataset": BASE | {"config", "images"},
    "inference": BASE | {"images"},
    "nets": set(),
    "training": BASE | {"config", "images", "dataset", "inference", "nets", "evaluation"},
    "evaluation": BASE | {"config", "images", "dataset", "inference"},
    "gate": BASE | {"config", "images", "dataset", "inference", "evaluation"},
    "serving": BASE | {"images", "inference"},
    "client": BASE | {"images", "inference"},
    "quantify": BASE | {"images", "inference"},
    "tracking": BASE | {"__init__", "config", "dataset", "inference", "training", "evaluation"},
    "tuning": BASE
    | {"config", "images", "dataset", "nets", "training", "evaluation", "tracking", "quiet"}
    | {"processes"},
    "experiments": BASE
    | {"config", "images", "dataset", "inference", "training", "evaluation", "tracking"}
    | {"processes"},
    "registry": BASE
    | {"config", "images", "inference", "evaluation", "gate", "tracking", "serving"},
    "cluster": BASE | {"images", "inference", "quantify", "tuning", "processes"},
    "comparison": BASE | {"config", "evaluation", "tracking", "registry"},
    "preview": BASE | {"dataset"},
    "retrain": BASE
    | {"__init__", "config", "images", "dataset", "inference", "evaluation", "gate"}
    | {"tracking", "registry"},
    "commands": BASE
    | {
        "__init__",
        "client",
        "cluster",
        "comparison",
        "config",
        "dataset",
        "inference",
        "training",
        "evaluation",
        "gate",
        "tracking",
        "tuning",
        "quantify",
        "registry",
        "retrain",
    },
    "cli": {"__init__", "errors", "commands"},
}
# Packages that only some parts may import, and those parts.
ONLY_IN: dict[str, set[str]] = {
    "keras": {"nets", "training"},
    "tensorflow": {"training"},
    "torch": {"training"},
    "jax": {"training"},
    "tf2onnx": {"training"},
    "onnxruntime": {"inference", "training"},
    "mlflow": {"tracking", "registry", "serving"},
    "onnx": {"training"},
    "requests": {"client"},
    "great_expectations": {"dataset"},
    "sklearn": {"dataset"},
    "dvc": {"dataset"},
    "optuna": {"tuning"},
    "pandas": {
        "commands",
        "dataset",
        "training",
        "evaluation",
        "gate",
        "serving",
        "quantify",
        "tuning",
        "experiments",
        "comparison",
        "retrain",
    },
    "matplotlib": {
        "evaluation",
        "gate",
        "quantify",
        "tuning",
        "experiments",
        "comparison",
        "retrain",
    },
    "distributed": {"cluster"},
    "dask": {"cluster"},
    "zarr": {"images"},
    "ome_zarr_models": {"images"},
    "roifile": {"images"},
    "pydantic": {"config", "dataset"},
}
GREAT_EXPECTATIONS = {"dataset/validate.py"}


def part_of(path: Path) -> str:
    """`images` for src/sgseg/images/read.py, `scores` for src/sgseg/scores.py."""
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, ast.stmt]]:
    """Full names of what a file imports, and the statement; relative imports made absolute."""
    package = ("sgseg", *path.relative_to(SRC).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*parents, *([node.module] if node.module else [])])
            if module == "sgseg":
                for alias in node.names:
                    is_module = (SRC / alias.name).is_dir() or (SRC / f"{alias.name}.py").is_file()
                    yield f"sgseg.{alias.name if is_module else '__init__'}", node
            else:
                yield module, node


FILES = sorted(SRC.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


def test_every_part_has_a_rule() -> None:
    assert {part_of(path) for path in FILES} <= ALLOWED.keys()


def test_the_rules_have_no_circles() -> None:
    done: set[str] = set()
    while len(done) < len(ALLOWED):
        ready = {part for part, others in ALLOWED.items() if others <= done} - done
        assert ready, f"circle among {sorted(ALLOWED.keys() - done)}"
        done |= ready


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_part_imports_only_parts_below_it(path: Path) -> None:
    own = part_of(path)
    used = {name.split(".")[1] for name, _ in imports(path) if name.startswith("sgseg.")}
    assert used - {own} <= ALLOWED[own]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_heavy_packages_are_imported_by_their_own_part_only(path: Path) -> None:
    for name, _ in imports(path):
        package = name.partition(".")[0]
        assert part_of(path) in ONLY_IN.get(package, {part_of(path)}), f"imports {name}"


def test_nets_names_no_backend() -> None:
    files = [path for path in FILES if part_of(path) == "nets"]
    assert files
    for path in files:
        packages = {name.partition(".")[0] for name, _ in imports(path)}
        assert not packages & {"tensorflow", "torch", "jax", "openvino", "mlflow", "numpy"}
        # Naming one through Keras would be the same.
        text = path.read_text(encoding="utf-8")
        assert "keras.backend" not in text
        assert "keras.src" not in text


def runs_on_import(tree: ast.Module) -> Iterator[ast.AST]:
    """All that runs when a module is imported: what lies in no function."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def test_great_expectations_is_imported_by_validate_alone_and_only_when_it_runs() -> None:
    for path in FILES:
        users = [name for name, _ in imports(path) if name.startswith("great_expectations")]
        assert not users or name_of(path) in GREAT_EXPECTATIONS
        for node in runs_on_import(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "great_expectations" not in ast.unparse(node)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        (
            "sgseg.inference.bundle",
            "keras tensorflow mlflow sklearn pandas matplotlib pydantic",
        ),
        (
            "sgseg.inference.predict",
            "keras tensorflow mlflow sklearn pandas matplotlib pydantic",
        ),
        ("sgseg.evaluation.report", "keras tensorflow mlflow great_expectations dvc"),
        ("sgseg.dataset.manifest", "keras tensorflow mlflow great_expectations sklearn dvc"),
        ("sgseg.tracking", "keras tensorflow mlflow great_expectations dvc"),
        ("sgseg.images.read", "keras tensorflow mlflow pandas pydantic skimage onnxruntime"),
    ],
)
def test_what_importing_a_module_brings_in(module: str, absent: str) -> None:
    # Not only what our files name, but what those import in turn.
    code = f"import sys, {module}; print(*[n for n in {absent.split()} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_pipelines_are_imported_by_nobody() -> None:
    names = {path.stem for path in (ROOT / "pipelines").glob("*.py")} | {"pipelines"}
    assert names
    for path in FILES:
        for name, _ in imports(path):
            assert name.partition(".")[0] not in names - set(sys.stdlib_module_names)
