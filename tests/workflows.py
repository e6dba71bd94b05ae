"""What must hold of the workflows, beside schema and linter. Each check names what it has found."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ".github"
DOCS = "docs/ci.md"
USES = re.compile(r"^\s*(?:- )?uses: (\S+)(?: # (\S+))?$", re.MULTILINE)
PIN = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
# Rights beyond reading the repository, written out: one more is a decision.
WRITES = {
    ("ci.yml", "comment"): {"pull-requests"},
    ("retrain.yml", "retrain"): {"contents", "pull-requests"},
}
# Stopped half-way they would leave work undone.
NEVER_CANCELLED = {"retrain.yml", "promote.yml"}
TIMED_BY = {"requirements.lock", "dvc.lock"}
# DVC's cache and checkpoints, and nothing of .dvc besides: there are the secrets.
CACHED = [".dvc/cache", ".dvc/tmp/retrain/**/checkpoints"]
MINUTES_TO_SAVE = 20


@dataclass(frozen=True)
class Project:
    """The texts of the files that the checks read, by path; a test changes one."""

    texts: dict[str, str]

    @property
    def workflows(self) -> dict[str, dict[str, Any]]:
        """By file name. YAML 1.1 reads the key `on` as true; here it is `on`."""
        found = {}
        for path, text in self.texts.items():
            if path.startswith(f"{GITHUB}/workflows/"):
                content = yaml.safe_load(text)
                content["on"] = content.pop(True)
                found[Path(path).name] = content
        return found

    @property
    def actions(self) -> dict[str, dict[str, Any]]:
        """Own actions, by their folder."""
        return {
            str(Path(path).parent): yaml.safe_load(text)
            for path, text in self.texts.items()
            if path.endswith("/action.yml")
        }

    def jobs(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Workflow, name and content of every job."""
        for file, workflow in self.workflows.items():
            for name, job in workflow["jobs"].items():
                yield file, name, job

    def steps(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every step, of jobs and of own actions, and where it is."""
        for file, name, job in self.jobs():
            for step in job["steps"]:
                yield f"{file}, {name}", step
        for folder, action in self.actions.items():
            for step in action["runs"]["steps"]:
                yield folder, step


def the_project() -> Project:
    """The project as it is."""
    paths = [*(ROOT / GITHUB).rglob("*.yml"), *(ROOT / name for name in ("Makefile", DOCS))]
    paths += [ROOT / "dvc.yaml"]
    return Project(
        {p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8") for p in sorted(paths)}
    )


def run_lines_are_targets(project: Project) -> Iterator[str]:
    """So that every job can be done on a laptop and by another CI."""
    targets = set(re.findall(r"^([a-z-]+):.*## ", project.texts["Makefile"], re.MULTILINE))
    for where, step in project.steps():
        for line in step.get("run", "make env").strip().splitlines():
            words = line.split()
            if words[0] != "make" or not words[1:] or set(words[1:]) - targets:
                yield f"{where}: `{line}` is not `make` with targets of the Makefile"


def no_expression_in_run_lines(project: Project) -> Iterator[str]:
    """What somebody else has filled in would become text for the shell."""
    for where, step in project.steps():
        if "${{" in step.get("run", ""):
            yield f"{where}: an expression within `run`"


def actions_are_pinned(project: Project) -> Iterator[str]:
    """By full commit, with the version for the reader; one commit of each action."""
    commits: dict[str, set[str]] = {}
    for path, text in project.texts.items():
        if not path.startswith(GITHUB):
            continue
        for used, version in USES.findall(text):
            if used.startswith("./"):
                if used.removeprefix("./") not in project.actions:
                    yield f"{path}: no action {used}"
            elif not PIN.fullmatch(used):
                yield f"{path}: {used} is not pinned to a commit"
            elif not re.fullmatch(r"v\d+\.\d+\.\d+", version):
                yield f"{path}: {used} without its version"
            else:
                action, _, commit = used.partition("@")
                commits.setdefault(action, set()).add(f"{commit} {version}")
    for action, used_commits in commits.items():
        if len(used_commits) > 1:
            yield f"{action} is pinned to several commits"
    counted = sum(len(USES.findall(text)) for text in project.texts.values())
    if counted != sum("uses" in step for _, step in project.steps()):
        yield "a `uses` is written in a way that this check does not see"


def permissions_are_least(project: Project) -> Iterator[str]:
    """Nothing for the workflow, and for each job what it needs."""
    for file, workflow in project.workflows.items():
        if workflow.get("permissions") != {}:
            yield f"{file}: permissions of the workflow are not {{}}"
    for file, name, job in project.jobs():
        rights = job.get("permissions")
        if not isinstance(rights, dict):
            yield f"{file}, {name}: has no permissions of its own"
            continue
        writes = {right for right, level in rights.items() if level != "read"}
        if writes != WRITES.get((file, name), set()):
            yield f"{file}, {name}: may write {sorted(writes)}"


def credentials_stay_where_nothing_is_pushed(project: Project) -> Iterator[str]:
    """The token of the checkout is on the disk of those jobs only that push."""
    for file, name, job in project.jobs():
        pushes = "contents" in WRITES.get((file, name), set())
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                kept = step.get("with", {}).get("persist-credentials", True)
                if kept != pushes:
                    yield f"{file}, {name}: persist-credentials is {kept}"


def concurrency_is_stated(project: Project) -> Iterator[str]:
    """One at a time, and what is stopped half-way only where that harms nothing."""
    for file, workflow in project.workflows.items():
        stated = workflow.get("concurrency", {})
        if "group" not in stated:
            yield f"{file}: no concurrency group"
        if stated.get("cancel-in-progress") is not (file not in NEVER_CANCELLED):
            yield f"{file}: cancel-in-progress is {stated.get('cancel-in-progress')}"


def jobs_have_an_end(project: Project) -> Iterator[str]:
    """GitHub's own limit is six hours of paid time."""
    for file, name, job in project.jobs():
        if not 0 < job.get("timeout-minutes", 0) < 360:
            yield f"{file}, {name}: no timeout-minutes"


def caches_follow_lock_files(project: Project) -> Iterator[str]:
    """A cache is never written again under the same key."""
    for where, step in project.steps():
        if step.get("uses", "").startswith(("actions/cache@", "actions/cache/restore@")):
            named = set(re.findall(r"'([\w.]+)'", step["with"]["key"]))
            if "hashFiles(" not in step["with"]["key"] or not named & TIMED_BY:
                yield f"{where}: the cache's key follows no lock file"


def a_training_that_is_cut_off_is_kept(project: Project) -> Iterator[str]:
    """What `make retrain` has finished goes into the cache however it ended, and no secret does."""
    job = project.workflows["retrain.yml"]["jobs"]["retrain"]
    steps = {step.get("uses", "").partition("@")[0]: step for step in job["steps"]}
    if "actions/cache" in steps:
        yield "retrain.yml: actions/cache keeps nothing of a job that fails"
    (training,) = (step for step in job["steps"] if step.get("run") == "make retrain")
    if training.get("timeout-minutes", 360) + MINUTES_TO_SAVE > job["timeout-minutes"]:
        yield "retrain.yml: no time is left to keep what was trained"
    parts = [steps.get(f"actions/cache/{part}", {}) for part in ("restore", "save")]
    paths = [part.get("with", {}).get("path", "").split() for part in parts]
    if "always()" not in parts[1].get("if", ""):
        yield "retrain.yml: is not kept always"
    if paths[0] != paths[1] or paths[0] != CACHED:
        yield f"retrain.yml: {paths[0]} is fetched and {paths[1]} kept, not {CACHED}"
    if "github.run_id" not in parts[0].get("with", {}).get("key", ""):
        yield "retrain.yml: the key of what was kept before is taken"


def by_hand_only_on_main(project: Project) -> Iterator[str]:
    """Whoever starts a workflow by hand chooses the branch; these change what all others use."""
    for file in sorted(NEVER_CANCELLED):
        for name, job in project.workflows[file]["jobs"].items():
            if "github.ref == 'refs/heads/main'" not in str(job.get("if", "")):
                yield f"{file}, {name}: runs on any branch"


def what_is_filled_in_is_not_dropped(project: Project) -> Iterator[str]:
    """Of the runs of a group that wait GitHub drops all but the newest."""
    workflow = project.workflows["retrain.yml"]
    group = workflow["concurrency"]["group"]
    asked = [f"inputs.{name}" for name in workflow["on"]["workflow_dispatch"]["inputs"]]
    text = project.texts[f"{GITHUB}/workflows/retrain.yml"]
    asked += sorted(set(re.findall(r"github\.event\.client_payload\.\w+", text)))
    for name in asked:
        if name not in group:
            yield f"retrain.yml: {name} does not matter to the group"


def secrets_are_listed(project: Project) -> Iterator[str]:
    """By name in docs/ci.md, and nothing there that is not used; the same for variables."""
    for kind in ("secrets", "vars"):
        used = {
            name
            for path, text in project.texts.items()
            if path.startswith(GITHUB)
            for name in re.findall(rf"\b{kind}\.(\w+)", text)
        }
        part = re.search(rf"<!-- {kind} -->(.*?)\n\n", project.texts[DOCS], re.DOTALL)
        listed = set(re.findall(r"^\| `(\w+)`", part[1], re.MULTILINE)) if part else set()
        if used != listed:
            yield f"{kind}: not both used and listed in {DOCS}: {sorted(used ^ listed)}"


def secrets_are_kept(project: Project) -> Iterator[str]:
    """Only in jobs of an environment, which can be protected, and never where forks come in."""
    for file, name, job in project.jobs():
        if "secrets." not in str(job):
            continue
        if "environment" not in job:
            yield f"{file}, {name}: secrets without an environment"
        if {"pull_request", "pull_request_target"} & set(project.workflows[file]["on"]):
            yield f"{file}, {name}: secrets where pull requests come in"
        if "secrets." in str(job.get("env", "")):
            yield f"{file}, {name}: secrets for all steps of the job"


def forks_are_not_commented_on(project: Project) -> Iterator[str]:
    """Their token cannot write: the job would fail."""
    for file, name, job in project.jobs():
        writes = "pull-requests" in WRITES.get((file, name), set())
        asks = "head.repo.full_name == github.repository" in str(job.get("if", ""))
        if writes and "pull_request" in project.workflows[file]["on"] and not asks:
            yield f"{file}, {name}: runs for forks"


def as_regex(pattern: str) -> re.Pattern[str]:
    """A path filter of GitHub: `*` does not cross a slash, `**` does."""
    parts = re.split(r"(\*\*|\*)", pattern)
    return re.compile(
        "".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts)
    )


def files_of_stages(project: Project) -> set[str]:
    """What git keeps of what the stages of dvc.yaml depend on."""
    stages = yaml.safe_load(project.texts["dvc.yaml"])["stages"].values()
    made = {out for stage in stages for out in stage["outs"]} - {"data/raw/simulated"}
    found = {"params.yaml", "dvc.yaml"}
    for dep in {dep for stage in stages for dep in stage["deps"]}:
        if any(dep == out or dep.startswith(f"{out}/") for out in made) or dep == "models/folds":
            continue
        path = dep.replace("${data.source}", "lab")
        if path.startswith("data/raw/"):
            found.add(f"{path}.dvc")
        elif (ROOT / path).is_dir():
            found |= {p.relative_to(ROOT).as_posix() for p in (ROOT / path).rglob("*.py")}
        else:
            found.add(path)
    return found


def retrain_is_started_by_its_causes(project: Project) -> Iterator[str]:
    """A push of anything that a stage depends on, and of nothing that does not exist."""
    patterns = project.workflows["retrain.yml"]["on"]["push"]["paths"]
    needed = files_of_stages(project)
    for path in sorted(needed):
        if not any(as_regex(pattern).fullmatch(path) for pattern in patterns):
            yield f"retrain.yml: a push of {path} starts nothing"
    for pattern in patterns:
        if not any(as_regex(pattern).fullmatch(path) for path in needed):
            yield f"retrain.yml: {pattern} is no dependency of a stage"


def merging_promotes(project: Project) -> Iterator[str]:
    """What is merged is the lock of another model."""
    if project.workflows["promote.yml"]["on"]["push"] != {
        "branches": ["main"],
        "paths": ["dvc.lock"],
    }:
        yield "promote.yml: is not started by a push of dvc.lock to main"


CHECKS: tuple[Callable[[Project], Iterator[str]], ...] = (
    run_lines_are_targets,
    no_expression_in_run_lines,
    actions_are_pinned,
    permissions_are_least,
    credentials_stay_where_nothing_is_pushed,
    concurrency_is_stated,
    jobs_have_an_end,
    caches_follow_lock_files,
    a_training_that_is_cut_off_is_kept,
    by_hand_only_on_main,
    what_is_filled_in_is_not_dropped,
    secrets_are_listed,
    secrets_are_kept,
    forks_are_not_commented_on,
    retrain_is_started_by_its_causes,
    merging_promotes,
)
