"""The workflows, by schema, linter and our own rules; and that each of these finds faults."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from workflows import CHECKS, DOCS, GITHUB, ROOT, Project, as_regex, files_of_stages, the_project

BIN = Path(sys.executable).parent
SCHEMAS = {
    ".github/workflows/ci.yml": "vendor.github-workflows",
    ".github/workflows/nightly.yml": "vendor.github-workflows",
    ".github/workflows/promote.yml": "vendor.github-workflows",
    ".github/workflows/retrain.yml": "vendor.github-workflows",
    ".github/actions/environment/action.yml": "vendor.github-actions",
    ".github/dependabot.yml": "vendor.dependabot",
    "CITATION.cff": "vendor.citation-file-format",
}
WORKFLOWS = f"{GITHUB}/workflows"


def tool(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment."""
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]], cwd=cwd, capture_output=True, text=True, check=False
    )


def faults_by_schema(root: Path, path: str) -> str:
    """What the schema finds in a file; empty: nothing."""
    done = tool("check-jsonschema", "--builtin-schema", SCHEMAS[path], path, cwd=root)
    return done.stdout if done.returncode else ""


def faults_by_linter(root: Path) -> set[str]:
    """Names of the rules of zizmor that the workflows break."""
    done = tool(
        *(
            "zizmor",
            "--offline",
            "--no-progress",
            "--pedantic",
            "--format",
            "json",
            "--strict-collection",
        ),
        GITHUB,
        cwd=root,
    )
    assert done.stdout, done.stderr
    return {found["ident"] for found in json.loads(done.stdout)}


def written(project: Project, folder: Path) -> Path:
    """The project's files in a folder, for tools that read files."""
    for path, text in project.texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def changed(path: str, old: str, new: str) -> Project:
    """The project with one place of one file changed."""
    texts = the_project().texts
    assert old in texts[path], f"{path} has no {old!r}: this test shows nothing"
    return Project(texts | {path: texts[path].replace(old, new, 1)})


def test_every_file_has_a_schema() -> None:
    files = {p.relative_to(ROOT).as_posix() for p in (ROOT / GITHUB).rglob("*.yml")}
    assert files - {".github/zizmor.yml"} == set(SCHEMAS) - {"CITATION.cff"}


@pytest.mark.parametrize("path", SCHEMAS)
def test_a_file_is_valid(path: str) -> None:
    assert not faults_by_schema(ROOT, path)


def test_the_linter_finds_nothing() -> None:
    assert faults_by_linter(ROOT) == set()


def test_what_the_linter_ignores_has_a_reason() -> None:
    text = (ROOT / GITHUB / "zizmor.yml").read_text(encoding="utf-8")
    rules = yaml.safe_load(text)["rules"]
    for rule in rules:
        before = text[: text.index(f"  {rule}:")].splitlines()[-1]
        assert before.strip().startswith("# "), rule
    assert not any("zizmor: ignore" in text for text in the_project().texts.values())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_workflows_keep_our_rules(check: Callable[[Project], Iterator[str]]) -> None:
    assert list(check(the_project())) == []


CHECKOUT = "actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2"
# Check, file, what stands there, what is put in its place, a word of what is said.
FAULTS = [
    ("run_lines_are_targets", "ci.yml", "make lint", "ruff check .", "ruff check"),
    ("run_lines_are_targets", "ci.yml", "make lint", "make lint; curl example.org", "curl"),
    ("run_lines_are_targets", "ci.yml", "make lint", "make polish", "polish"),
    ("run_lines_are_targets", "ci.yml", "make lint", "make", "`make`"),
    ("no_expression_in_run_lines", "ci.yml", "make lint", "make ${{ github.ref }}", "expression"),
    ("actions_are_pinned", "ci.yml", CHECKOUT, "actions/checkout@v6 # v6.0.2", "not pinned"),
    (
        "actions_are_pinned",
        "ci.yml",
        CHECKOUT,
        CHECKOUT.split(" #", maxsplit=1)[0],
        "without its version",
    ),
    ("actions_are_pinned", "ci.yml", CHECKOUT, CHECKOUT.replace("de0f", "de0e"), "several"),
    ("actions_are_pinned", "ci.yml", "./.github/actions/environment", "./other", "no action"),
    ("actions_are_pinned", "ci.yml", f"uses: {CHECKOUT}", '"uses": actions/checkout@v6', "see"),
    ("permissions_are_least", "ci.yml", "permissions: {}", "permissions: read-all", "workflow"),
    ("permissions_are_least", "ci.yml", "contents: read", "contents: write", "may write"),
    (
        "permissions_are_least",
        "nightly.yml",
        "    permissions:\n      contents: read # check out\n",
        "",
        "no permissions",
    ),
    (
        "credentials_stay_where_nothing_is_pushed",
        "ci.yml",
        "persist-credentials: false",
        "persist-credentials: true",
        "persist-credentials is True",
    ),
    (
        "credentials_stay_where_nothing_is_pushed",
        "nightly.yml",
        "          persist-credentials: false\n",
        "",
        "persist-credentials is True",
    ),
    (
        "concurrency_is_stated",
        "retrain.yml",
        "cancel-in-progress: false",
        "cancel-in-progress: true",
        "cancel-in-progress is True",
    ),
    ("concurrency_is_stated", "ci.yml", "concurrency:", "x-concurrency:", "no concurrency"),
    ("jobs_have_an_end", "ci.yml", "    timeout-minutes: 20\n", "", "no timeout"),
    ("caches_follow_lock_files", "retrain.yml", "dvc-${{ hashFiles('dvc.lock') }}-$", "$", "lock"),
    (
        "a_training_that_is_cut_off_is_kept",
        "retrain.yml",
        "actions/cache/restore@",
        "actions/cache@",
        "of a job that fails",
    ),
    (
        "a_training_that_is_cut_off_is_kept",
        "retrain.yml",
        "timeout-minutes: 320",
        "timeout-minutes: 350",
        "no time is left",
    ),
    ("a_training_that_is_cut_off_is_kept", "retrain.yml", "always() &&", "", "not kept always"),
    (
        "a_training_that_is_cut_off_is_kept",
        "retrain.yml",
        ".dvc/tmp/retrain/**/checkpoints",
        ".dvc/tmp",
        "fetched",
    ),
    (
        "a_training_that_is_cut_off_is_kept",
        "retrain.yml",
        "-${{ github.run_id }}",
        "",
        "is taken",
    ),
    (
        "by_hand_only_on_main",
        "promote.yml",
        "github.ref == 'refs/heads/main'",
        "always()",
        "promote.yml, promote",
    ),
    (
        "by_hand_only_on_main",
        "retrain.yml",
        "    if: ${{ github.ref == 'refs/heads/main' }}",
        "    #",
        "retrain.yml, retrain",
    ),
    (
        "what_is_filled_in_is_not_dropped",
        "retrain.yml",
        " ${{ inputs.force && 'force' || '' }}",
        "",
        "inputs.force",
    ),
    (
        "what_is_filled_in_is_not_dropped",
        "retrain.yml",
        " || github.event.client_payload.set }}",
        " }}",
        "client_payload.set",
    ),
    ("secrets_are_listed", "retrain.yml", "secrets.DVC_KEY_FILE", "secrets.OTHER", "OTHER"),
    ("secrets_are_listed", "retrain.yml", "vars.RETRAIN_RUNNER", "vars.RUNNER", "RUNNER"),
    ("secrets_are_kept", "promote.yml", "    environment: production\n", "", "environment"),
    ("secrets_are_kept", "promote.yml", "on:\n", "on:\n  pull_request:\n", "pull requests"),
    (
        "secrets_are_kept",
        "promote.yml",
        "    environment: production\n",
        "    environment: production\n    env: {KEY: '${{ secrets.DVC_KEY_FILE }}'}\n",
        "all steps",
    ),
    (
        "forks_are_not_commented_on",
        "ci.yml",
        "github.event.pull_request.head.repo.full_name == github.repository &&",
        "",
        "forks",
    ),
    (
        "retrain_is_started_by_its_causes",
        "retrain.yml",
        "      - src/sgseg/training/**\n",
        "",
        "src/sgseg/training/fold.py",
    ),
    ("retrain_is_started_by_its_causes", "retrain.yml", "splits/**", "split/**", "splits/lab.csv"),
    (
        "retrain_is_started_by_its_causes",
        "retrain.yml",
        "      - pipelines/**\n",
        "      - pipelines/**\n      - src/sgseg/serving/**\n",
        "serving",
    ),
    ("merging_promotes", "promote.yml", "paths: [dvc.lock]", "paths: [dvc.yaml]", "dvc.lock"),
]


@pytest.mark.parametrize(
    ("check", "file", "old", "new", "said"),
    FAULTS,
    ids=[f"{fault[0]}-{number}" for number, fault in enumerate(FAULTS)],
)
def test_a_fault_is_found(check: str, file: str, old: str, new: str, said: str) -> None:
    (found,) = (own for own in CHECKS if own.__name__ == check)
    assert any(said in line for line in found(changed(f"{WORKFLOWS}/{file}", old, new)))


def test_every_check_is_shown_a_fault() -> None:
    assert {fault[0] for fault in FAULTS} == {check.__name__ for check in CHECKS}


def test_a_new_dependency_of_a_stage_must_start_a_retrain() -> None:
    project = changed("dvc.yaml", "      - src/sgseg/scores.py\n", "      - src/sgseg/client.py\n")
    (check,) = (own for own in CHECKS if own.__name__ == "retrain_is_started_by_its_causes")
    assert any("src/sgseg/client.py" in line for line in check(project))


def test_a_secret_that_is_no_longer_used_is_found_in_the_docs() -> None:
    project = changed(DOCS, "| `RETRAIN_TOKEN`", "| `OLD_TOKEN` | | |\n| `RETRAIN_TOKEN`")
    (check,) = (own for own in CHECKS if own.__name__ == "secrets_are_listed")
    assert any("OLD_TOKEN" in line for line in check(project))


def test_path_filters_are_read_as_github_reads_them() -> None:
    assert as_regex("data/raw/*.dvc").fullmatch("data/raw/lab.dvc")
    assert not as_regex("data/raw/*.dvc").fullmatch("data/raw/lab/images.dvc")
    assert as_regex("src/**").fullmatch("src/a/b.py")
    assert not as_regex("params.yaml").fullmatch("paramsxyaml")


def test_what_stages_depend_on_is_found() -> None:
    files = files_of_stages(the_project())
    assert {"data/raw/lab.dvc", "splits/lab.csv", "pipelines/train.py", "params.yaml"} <= files
    assert "src/sgseg/nets/unet.py" in files
    assert not any(path.startswith(("models", "reports", "data/dataset")) for path in files)


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        (f"{WORKFLOWS}/ci.yml", "timeout-minutes: 20", "timeout: 20"),
        (f"{WORKFLOWS}/ci.yml", "    runs-on: ubuntu-24.04\n", ""),
        (f"{WORKFLOWS}/retrain.yml", "- cron:", "- kron:"),
        (".github/actions/environment/action.yml", "using: composite", "using: compost"),
        (".github/dependabot.yml", "interval: monthly", "interval: sometimes"),
    ],
    ids=["key", "missing", "cron", "action", "dependabot"],
)
def test_the_schema_finds_a_fault(path: str, old: str, new: str, tmp_path: Path) -> None:
    assert faults_by_schema(written(changed(path, old, new), tmp_path), path)


LINT_FAULTS = {
    "template-injection": (f"{WORKFLOWS}/ci.yml", "make lint", "echo ${{ github.head_ref }}"),
    "unpinned-uses": (f"{WORKFLOWS}/ci.yml", CHECKOUT, "actions/checkout@v6"),
    "dangerous-triggers": (f"{WORKFLOWS}/ci.yml", "  pull_request:", "  pull_request_target:"),
    "undocumented-permissions": (
        f"{WORKFLOWS}/retrain.yml",
        "contents: write #",
        "contents: write\n      #",
    ),
    "excessive-permissions": (f"{WORKFLOWS}/ci.yml", "permissions: {}", "permissions: write-all"),
    "dependabot-cooldown": (".github/dependabot.yml", "default-days: 7", "default-days: 0"),
}


@pytest.mark.parametrize("rule", LINT_FAULTS)
def test_the_linter_finds_a_fault(rule: str, tmp_path: Path) -> None:
    assert rule in faults_by_linter(written(changed(*LINT_FAULTS[rule]), tmp_path))


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert cited["version"] == project["version"]
    assert cited["license"] == project["license"]
