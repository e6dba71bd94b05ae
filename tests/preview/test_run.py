"""A preview from beginning to end, of a project with two short stages."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from sgseg.preview.calls import call
from sgseg.preview.revisions import find_revisions
from sgseg.preview.run import compare_commits, preview
from sgseg.preview.summary import Preview
from sgseg.preview.tables import rows

from .lab import commit, git, repository

METRICS = "reports/evaluation/metrics.json"
SIMULATE = "import pathlib; pathlib.Path('field.txt').write_text('1')\n"
EVALUATE = """\
import json, pathlib, yaml
gain = yaml.safe_load(open('params.yaml'))['train']['gain']
folder = pathlib.Path('reports/evaluation')
folder.mkdir(parents=True)
(folder / 'gallery_best.png').write_bytes(b'picture')
scores = {'test': {'object_f1': {'value': gain / 10}}}
(folder / 'metrics.json').write_text(json.dumps(scores))
"""
STAGES = """\
stages:
  simulate:
    cmd: python simulate.py
    deps: [simulate.py]
    params: [train.size]
    outs: [field.txt]
  evaluate:
    cmd: python evaluate.py
    deps: [evaluate.py, field.txt, splits/simulated.csv]
    params: [train.gain]
    outs: [reports/evaluation]
metrics: [reports/evaluation/metrics.json]
"""
FILES = {
    "dvc.yaml": STAGES,
    "simulate.py": SIMULATE,
    "evaluate.py": EVALUATE,
    "params.yaml": "train: {gain: 1, size: 100}\n",
    "params.tiny.yaml": "train: {size: 2}\n",
    "splits/simulated.csv": "image_id,set\nold,test\n",
    ".gitignore": "/field.txt\n/reports/\n/build/\n",
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, with its first commit on `main`."""
    folder = tmp_path_factory.mktemp("project")
    git(folder, "init", "--quiet", "--initial-branch=main")
    call("dvc", "init", "--quiet", cwd=folder)
    repository(folder, **FILES)
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SERVER_URL", "REPOSITORY", "RUN_ID", "STEP_SUMMARY"):
        monkeypatch.delenv(f"GITHUB_{name}", raising=False)
    return Path(shutil.copytree(template, tmp_path / "project"))


def page_of(project: Path, *, is_well: bool = True) -> str:
    """The page of a preview against `main`."""
    out = project / "reports/preview"
    assert preview(project, "main", out, project / "build/preview") is is_well
    return (out / "summary.md").read_text(encoding="utf-8")


def test_a_changed_parameter_shows_in_the_scores(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    (project / "params.yaml").write_text("train: {gain: 3, size: 101}\n", encoding="utf-8")
    text = page_of(project)
    # The score is gain / 10: 0.1 and 0.3. `size` is 2 in both runs, so nothing is simulated again.
    assert "| test.object_f1.value | 0.1 | 0.3 | 0.2 |" in text
    assert "This change makes run again: `evaluate`." in text
    assert "Untouched, taken from the base: `simulate`." in text
    assert "| train.gain | 1 | 3 |" in text
    assert "values of its own for `train.size`:" in text
    assert summary.read_text(encoding="utf-8") == text
    for side in ("base", "head"):
        picture = project / "reports/preview" / side / "evaluation_gallery_best.png"
        assert picture.read_bytes() == b"picture"
    # Again, all comes from DVC's cache, and the page is the same.
    assert re.sub(r"of `\w+`", "", page_of(project)) == re.sub(r"of `\w+`", "", text)
    # The project is as it was.
    assert git(project, "status", "--short") == "M params.yaml"
    assert git(project, "branch", "--list").split() == ["*", "main"]
    assert not (project / "dvc.lock").exists()


def test_a_stage_that_fails_is_shown(project: Path) -> None:
    git(project, "switch", "--quiet", "--create", "change")
    commit(project, "a defect", **{"evaluate.py": "raise SystemExit('cells are missing')\n"})
    text = page_of(project, is_well=False)
    assert "**The pipeline failed at the head.**" in text
    assert "cells are missing" in text
    assert not list((project / "reports").glob(".*"))


def test_a_base_that_fails_leaves_the_head(project: Path) -> None:
    commit(project, "a defect", **{"simulate.py": "raise SystemExit('defect')\n"})
    git(project, "switch", "--quiet", "--create", "change")
    commit(project, "mended", **{"simulate.py": SIMULATE})
    text = page_of(project)
    assert "**The pipeline failed at the base.**" in text
    assert "| test.object_f1.value | 0.1 |\n" in text


def test_real_scores_are_compared_where_the_lock_differs(project: Path) -> None:
    def trained(gain: int) -> None:
        (project / "params.yaml").write_text(f"train: {{gain: {gain}, size: 9}}\n", "utf-8")
        call("dvc", "repro", "--quiet", cwd=project)
        commit(project, f"gain {gain}")

    trained(4)
    git(project, "switch", "--quiet", "--create", "retrain")
    trained(5)
    found = Preview(find_revisions(project, "main"))
    base = git(project, "rev-parse", "main")
    compare_commits(project, found, base)
    assert rows(found.real_scores) == [[METRICS, "test.object_f1.value", "0.4", "0.5", "0.1"]]
    # Not in the cache, and no remote: as for whoever has no right to read it.
    shutil.rmtree(project / ".dvc/cache")
    shutil.rmtree(project / "reports/evaluation")
    compare_commits(project, found, base)
    assert "neither DVC's cache nor a remote" in found.real_problem
