"""Digests and tags that say where a run comes from."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo
from hypothesis import given
from hypothesis import strategies as st

from sgseg.config import load_params, with_values
from sgseg.errors import InputError
from sgseg.tracking import (
    CrossValidation,
    DatasetInput,
    TuningRecord,
    cross_validation,
    dvc_md5,
    git_state,
    provenance_tags,
    tuning_study,
)
from sgseg.tracking.provenance import SHAPING, TUNE_SHAPING, code_digest, digest, flat

PARAMS = Path(__file__).parents[2] / "params.yaml"
DATA = DatasetInput("simulated", "1" * 32 + ".dir", "data/dataset")


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with two committed files."""
    for name, value in {"NAME": "ada", "EMAIL": "ada@example.org"}.items():
        for who in ("AUTHOR", "COMMITTER"):
            monkeypatch.setenv(f"GIT_{who}_{name}", value)
    (tmp_path / "code.py").write_text("a = 1\n")
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\n")
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry/history.jsonl").write_text("")
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/lab.csv").write_text("image_id\n")
    for command in ("init -q -b main", "add .", "commit -q -m first"):
        subprocess.run(["git", "-C", str(tmp_path), *command.split()], check=True)
    return tmp_path


def test_git_state(repository: Path) -> None:
    state = git_state(repository)
    assert state is not None
    head = subprocess.check_output(["git", "-C", str(repository), "rev-parse", "HEAD"], text=True)
    assert (state.commit, state.branch, state.dirty) == (head.strip(), "main", False)

    (repository / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    (repository / "registry/history.jsonl").write_text("{}\n")
    (repository / "splits/lab.csv").write_text("image_id\na\n")
    (repository / "untracked.txt").write_text("")
    assert git_state(repository) == state

    (repository / "code.py").write_text("a = 2\n")
    changed = git_state(repository)
    assert changed is not None
    assert changed.dirty


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path) is None
    assert not [name for name in provenance_tags(tmp_path) if "git" in name]


def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    subprocess.run(["git", "-C", str(tmp_path), "init", "-q"], check=True)
    assert git_state(tmp_path) is None


def test_tags(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_STAGE", "train@2")
    monkeypatch.setenv("DVC_EXP_NAME", "brave-newt")
    tags = provenance_tags(repository)
    assert tags["sgseg.dvc_stage"] == "train@2"
    assert tags["sgseg.dvc_experiment"] == "brave-newt"
    assert tags["mlflow.source.git.dirty"] == "false"
    assert tags["mlflow.source.git.branch"] == "main"
    assert len(tags["mlflow.source.git.commit"]) == 40
    assert provenance_tags(repository, stage="train@1")["sgseg.dvc_stage"] == "train@1"


def test_flat_parameters() -> None:
    nested = {"train": {"epochs": 3, "augment": {"flip": True}}, "size": None, "name": "unet"}
    nested["choices"] = {"dice": {}}
    assert flat(nested) == {
        "train.epochs": "3",
        "train.augment.flip": "true",
        "choices.dice": "{}",
        "size": "null",
        "name": "unet",
    }


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.booleans(), min_size=2))
def test_digest_ignores_the_order_of_keys(content: dict[str, object]) -> None:
    assert digest(content) == digest(dict(reversed(content.items())))


def test_a_cross_validation_is_known_by_what_shapes_its_models(tmp_path: Path) -> None:
    params = load_params(PARAMS)
    source = tmp_path / "src"
    source.mkdir()
    (source / "net.py").write_text("depth = 3\n")

    def key(**changes: object) -> str:
        changed = params.model_copy(update=changes)
        return cross_validation(changed, datasets=[DATA], code=["src"], root=tmp_path).key

    first = cross_validation(params, datasets=[DATA], code=["src"], root=tmp_path)
    assert first.name == f"cv unet-bce_dice-adam {first.key[:7]}"
    assert first.params["train.epochs"] == str(params.train.epochs)
    assert first.params["data.source"] == params.data.source
    assert first.params["train.loss.name"] == "bce_dice"
    assert float(first.params["train.loss.positive_weight"]) == 1.0
    assert key() == first.key
    # scores do not shape a model; the data do so through their digest alone
    assert key(evaluate=params.evaluate.model_copy(update={"bootstrap": 7})) == first.key
    assert key(data=params.data.model_copy(update={"source": "other"})) == first.key
    assert key(evaluate=params.evaluate.model_copy(update={"object_iou": 0.7})) != first.key
    assert key(train=params.train.model_copy(update={"seed": 99})) != first.key
    other = DatasetInput("simulated", "2" * 32 + ".dir", "data/dataset")
    assert cross_validation(params, datasets=[other], code=["src"], root=tmp_path).key != first.key
    (source / "net.py").write_text("depth = 4\n")
    assert key() != first.key


def test_what_the_stage_depends_on_is_what_shapes_a_model() -> None:
    # Otherwise DVC would train anew and MLflow and the checkpoint take it for the same training.
    # The source of the data is known by the digest of the data.
    stages = yaml.safe_load((PARAMS.parent / "dvc.yaml").read_text())["stages"]
    assert set(stages["train"]["params"]) - {"data.source"} == set(SHAPING)


def test_where_values_come_from_is_shown_and_shapes_nothing(tmp_path: Path) -> None:
    params = load_params(PARAMS)
    sources = {
        "train.loss": "tuned",
        "train.learning_rate": "tuned",
        "network.width": "explicit",
        "network.depth": "start",
    }

    def made(sources: dict[str, str] | None) -> CrossValidation:
        return cross_validation(params, datasets=[DATA], code=[], root=tmp_path, sources=sources)

    shown = made(sources)
    assert shown.tags["sgseg.tuned"] == "train.learning_rate, train.loss"
    assert shown.tags["sgseg.explicit"] == "network.width"
    assert not {"sgseg.tuned", "sgseg.explicit"} & made(None).tags.keys()
    assert shown.key == made(None).key == made({"train.loss": "explicit"}).key


def test_a_network_to_start_from_is_known_by_its_content(tmp_path: Path) -> None:
    params = load_params(PARAMS)

    def made(init: str | None) -> CrossValidation:
        changed = with_values(params, {"train.init": init})
        return cross_validation(changed, datasets=[DATA], code=[], root=tmp_path)

    for name, content in {"a": b"one", "b": b"two", "same": b"one"}.items():
        (tmp_path / f"{name}.keras").write_bytes(content)
    assert "train.init_md5" not in made(None).params
    assert made("a.keras").params["train.init"] == "a.keras"
    assert made("a.keras").params["train.init_md5"] == md5(b"one")
    keys = [made(init).key for init in (None, "a.keras", "b.keras", "same.keras")]
    assert len(set(keys)) == 3
    assert keys[1] == keys[3]
    assert made(str(tmp_path / "a.keras")).key == keys[1]
    with pytest.raises(InputError, match=r"lost\.keras \(train\.init\): no such file"):
        made("lost.keras")


SETTINGS = {
    "space": {"train.learning_rate": {"start": 0.003, "low": 0.0003, "high": 0.01, "log": True}},
    "seed": 1,
}


def study(tmp_path: Path, settings: dict[str, Any] = SETTINGS, **values: Any) -> TuningRecord:
    params = with_values(load_params(PARAMS), {n.replace("__", "."): v for n, v in values.items()})
    return tuning_study(params, datasets=[DATA], code=[], settings=settings, root=tmp_path)


def test_a_study_is_known_by_what_shapes_its_trials(tmp_path: Path) -> None:
    first = study(tmp_path)
    assert first.name == f"tune {load_params(PARAMS).data.source} {first.key[:7]}"
    assert first.ended_ms is None
    assert study(tmp_path).key == first.key
    # what is searched has no value of its own
    assert study(tmp_path, train__learning_rate=0.005).key == first.key
    assert study(tmp_path, evaluate__bootstrap=7).key == first.key
    others = {
        study(tmp_path, train__epochs=7).key,
        study(tmp_path, evaluate__thresholds=[0.5]).key,
        study(tmp_path, SETTINGS | {"seed": 2}).key,
        study(tmp_path, SETTINGS | {"space": {}}).key,
    }
    assert len(others | {first.key}) == 5


def test_parameters_of_a_study(tmp_path: Path) -> None:
    union = {"train.loss": {"start": {"name": "dice"}, "choices": {"dice": {}}}}
    shown = study(tmp_path, {"space": union}).params
    assert not [name for name in shown if name.startswith("train.loss")]
    assert shown["tune.space.train.loss.choices.dice"] == "{}"
    assert "train.learning_rate" in shown
    assert "train.learning_rate" not in study(tmp_path).params
    assert study(tmp_path).params["tune.space.train.learning_rate.low"] == "0.0003"


def test_the_stage_tune_depends_on_what_shapes_a_trial() -> None:
    stages = yaml.safe_load((PARAMS.parent / "dvc.yaml").read_text())["stages"]
    assert set(TUNE_SHAPING) <= set(stages["tune"]["params"])


def test_code_is_known_by_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "b.py").write_text("2")
    (tmp_path / "notes.txt").write_text("3")
    before = code_digest(["."], tmp_path)
    assert before == code_digest(["a.py", "b.py"], tmp_path)
    (tmp_path / "notes.txt").write_text("4")
    assert code_digest(["."], tmp_path) == before
    (tmp_path / "b.py").rename(tmp_path / "c.py")
    assert code_digest(["."], tmp_path) != before


def test_md5_from_dvc_lock(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(
        "schema: '2.0'\n"
        "stages:\n"
        "  split:\n"
        "    cmd: x\n"
        "    deps: [{path: data/dataset, hash: md5, md5: stale.dir}]\n"
        "    outs: [{path: data/split, hash: md5, md5: bbbb.dir}]\n"
        "  ingest:\n"
        "    cmd: x\n"
        "    outs: [{path: data/dataset, hash: md5, md5: aaaa.dir}]\n"
    )
    assert dvc_md5("data/dataset", tmp_path) == "aaaa.dir"
    assert dvc_md5("data/split", tmp_path) == "bbbb.dir"


def test_md5_from_a_dvc_file(tmp_path: Path) -> None:
    (tmp_path / "data" / "raw").mkdir(parents=True)
    (tmp_path / "data/raw/cells.dvc").write_text("outs:\n- {md5: cccc.dir, path: cells}\n")
    assert dvc_md5("data/raw/cells", tmp_path) == "cccc.dir"


def test_a_dvc_lock_that_is_just_being_written_is_waited_for(tmp_path: Path) -> None:
    lock, begun = tmp_path / "dvc.lock", threading.Event()

    def write_slowly() -> None:
        with lock.open("w", encoding="utf-8") as file:
            for part in ("stages:\n  a:\n    outs:\n    - {path: data, md5: ", "aa", "bb.dir}\n"):
                file.write(part)
                file.flush()
                begun.set()
                time.sleep(0.05)

    thread = threading.Thread(target=write_slowly)
    thread.start()
    begun.wait()
    assert dvc_md5("data", tmp_path) == "aabb.dir"
    thread.join()


def test_md5_that_dvc_would_compute(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "masks").mkdir(parents=True)
    (folder / "b.txt").write_bytes(b"two")
    (folder / "masks" / "a.txt").write_bytes(b"one")
    # DVC's .dir object: a JSON list of files, sorted by path, with the keys in order
    listing = (
        f'[{{"md5": "{md5(b"two")}", "relpath": "b.txt"}}, '
        f'{{"md5": "{md5(b"one")}", "relpath": "masks/a.txt"}}]'
    )
    assert dvc_md5("data", tmp_path) == md5(listing.encode()) + ".dir"
    assert dvc_md5("data/b.txt", tmp_path) == md5(b"two")


def test_md5_is_the_one_of_dvc_itself(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "masks").mkdir(parents=True)
    for number in range(3):
        (folder / "masks" / f"{number} é.bin").write_bytes(os.urandom(20))
    computed = dvc_md5("data", tmp_path)
    with Repo.init(str(tmp_path), no_scm=True) as dvc:
        dvc.add([str(folder)])
    assert json.dumps(computed)[1:-1] in (tmp_path / "data.dvc").read_text()
    assert dvc_md5("data", tmp_path) == computed
