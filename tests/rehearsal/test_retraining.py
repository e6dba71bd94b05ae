"""New images to a served model, and everything that may go wrong on the way; half an hour.

The tests are one story and build on each other. What they measured is printed: `pytest -s`.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
import yaml

from sgseg.client import predict

from .lab import Lab, Ran, commit_and_push, found, hand_over

RETRAIN = ("sgseg", "retrain")
KILLS = 10
DATA = ("data/dataset", "data/split")
MODELS = ("models/folds/0", "models/folds/1", "models/evaluated")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab whose first model is in use, trained on half of its images."""
    home = Path(os.environ.get("SGSEG_REHEARSAL") or tmp_path_factory.mktemp("lab"))
    lab = found(home)
    first = home / "first"
    lab.run(first, sys.executable, "pipelines/simulate.py")
    shutil.move(first / "data/raw/simulated", home / "simulated")
    bring(lab, "part 1", lambda name: "_r1_" in name or "_r2_" in name)
    lab.run(first, *imported(home / "part 1"), "--use")
    commit_and_push(lab, first, "The project, and the first images")
    note("first training", lab.run(first, *RETRAIN))
    merge(lab, first)
    assert lab.champion()[0] == 1
    return lab


def note(what: str, ran: Ran) -> None:
    sys.stdout.write(f"\n{what}: {ran.seconds:.0f} s, status {ran.status}\n")
    sys.stdout.write("".join(f"    {line}\n" for line in ran.text.splitlines()[-9:]))
    sys.stdout.flush()


def bring(lab: Lab, name: str, wanted: Any) -> Path:
    images = sorted(path.name for path in (lab.home / "simulated/images").iterdir())
    return hand_over(lab.home / "simulated", lab.home / name, [i for i in images if wanted(i)])


def imported(folder: Path) -> list[str]:
    said = ["--images", "images", "--masks", "masks", "--name", "lab", "--samples"]
    return ["sgseg", "import", str(folder), *said, str(folder / "samples.csv"), "--channel", "0"]


def outcome(clone: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((clone / "reports/retrain/outcome.json").read_text())
    return found


def merge(lab: Lab, clone: Path) -> Ran:
    """What a person does with a good retrain: merge its branch, have CI promote it."""
    branch = outcome(clone)["branch"]
    lab.run(clone, "git", "fetch", "-q")
    lab.run(clone, "git", "switch", "-q", "main")
    lab.run(clone, "git", "pull", "-q", "--ff-only", "origin", "main")
    lab.run(clone, "git", "merge", "-q", "--no-ff", "-m", f"Merge {branch}", f"origin/{branch}")
    lab.run(clone, "git", "push", "-q", "origin", "main")
    runner = lab.clone(f"runner-{time.monotonic_ns()}")
    lab.run(runner, "dvc", "pull", "-q", *gate_reads())
    ran = lab.run(runner, "sgseg", "promote", "--strict")
    note("make promote, after the merge", ran)
    return ran


def gate_reads() -> list[str]:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
    (line,) = [line for line in makefile.splitlines() if line.startswith("GATE_READS :=")]
    return line.partition(":=")[2].split()


def branches(lab: Lab) -> set[str]:
    listed = lab.run(lab.home, "git", "-C", str(lab.origin), "branch", "--format=%(refname:short)")
    return set(listed.text.split())


def is_clean(lab: Lab, clone: Path) -> bool:
    return not lab.run(clone, "git", "status", "--porcelain", "--untracked-files=no").text


@pytest.fixture(scope="module")
def served(lab: Lab) -> Iterator[Any]:
    """Starts `mlflow models serve` of the champion and asks it once; gives the version it says."""

    def ask(image: Path) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = ["mlflow", "models", "serve", "-m", "models:/sgseg@champion"]
        command += ["--env-manager", "local", "-p", str(port)]
        log = lab.home / "server.log"
        server = lab.start(lab.home / "first", *command, output=log)
        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    result = predict(f"http://127.0.0.1:{port}", [image], channel=0)[0]
                    break
                except Exception:
                    if time.monotonic() > deadline or server.poll() is not None:
                        raise
                    time.sleep(1)
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()
        return str(result.model_version)

    return ask


def test_new_images_to_a_served_model(lab: Lab, served: Any) -> None:
    image = next((lab.home / "simulated/images").iterdir())
    number, bundle = lab.champion()
    before = served(image)
    assert str(number) in before
    writer = lab.clone("writer")
    bring(lab, "part 2", lambda name: "_r4_" not in name)
    lab.run(writer, *imported(lab.home / "part 2"), "--replace")
    base = commit_and_push(lab, writer, "Images of a third day")
    clone = lab.clone("fresh")
    ran = lab.run(clone, *RETRAIN)
    note("new images", ran)
    done = outcome(clone)
    assert (done["outcome"], done["base"]) == ("promote", base)
    assert done["branch"] in branches(lab)
    assert is_clean(lab, clone)
    assert lab.champion() == (number, bundle)  # proposed, no more
    merge(lab, clone)
    after = lab.champion()
    assert after[0] == number + 1
    assert after[1] != bundle
    assert served(image) == before.replace(str(number), str(after[0]))
    history = lab.run(clone, "sgseg", "registry", "history", "--alias", "champion", "--json")
    assert json.loads(history.text)[-1]["how"] == "gate"


def test_nothing_changed(lab: Lab) -> None:
    clone = lab.clone("idle")
    before = branches(lab)
    ran = lab.run(clone, *RETRAIN, status=10)
    note("nothing changed, fresh clone", ran)
    assert ran.seconds < 60
    assert branches(lab) == before
    assert is_clean(lab, clone)


def test_a_worse_model_is_not_promoted(lab: Lab) -> None:
    champion = lab.champion()
    clone = lab.clone("worse")
    values = ("--set", "train.epochs=1", "--set", "promote.on_tie=keep")
    ran = lab.run(clone, *RETRAIN, *values, status=11)
    note("worse", ran)
    assert lab.champion() == champion
    assert outcome(clone)["branch"] in branches(lab)
    assert is_clean(lab, clone)
    branch = outcome(clone)["branch"]
    params = yaml.safe_load(lab.run(clone, "git", "show", f"{branch}:params.yaml").text)
    assert params["train"]["epochs"] == 1
    again = lab.run(clone, *RETRAIN, *values, status=10)
    note("the same again", again)


def test_bad_images_are_stopped(lab: Lab) -> None:
    champion, before = lab.champion(), branches(lab)
    writer = lab.clone("careless")
    lab.run(writer, "dvc", "pull", "-q", "data/raw/lab.dvc")
    victims = sorted((writer / "data/raw/lab/images").iterdir())[:2]
    for victim in victims:
        kept = victim.read_bytes()
        victim.unlink()
        victim.write_bytes(kept[: len(kept) // 2])
    lab.run(writer, "dvc", "add", "-q", "data/raw/lab")
    commit_and_push(lab, writer, "Images from a full disk")
    clone = lab.clone("strict")
    ran = lab.run(clone, *RETRAIN, status=12)
    note("bad images", ran)
    said = ran.text[ran.text.rindex("The data are refused") :]
    assert all(victim.name in said for victim in victims)
    assert (lab.champion(), branches(lab)) == (champion, before)
    assert is_clean(lab, clone)
    lab.run(writer, "git", "revert", "--no-edit", "HEAD")
    lab.run(writer, "git", "push", "-q", "origin", "HEAD:main")


@pytest.fixture(scope="module")
def everything_pushed(lab: Lab) -> str:
    """All images, which nobody has trained on yet."""
    writer = lab.clone("last")
    bring(lab, "part 3", lambda name: True)
    lab.run(writer, *imported(lab.home / "part 3"), "--replace")
    return commit_and_push(lab, writer, "Images of a fourth day")


def hashes(lab: Lab, clone: Path) -> dict[str, str]:
    """Of the data and of the networks: what else is in their folders tells of the time."""
    lab.run(clone, "git", "switch", "-q", outcome(clone)["branch"])
    lab.run(clone, "dvc", "checkout", "-q", "--with-deps", "promote", "quantify")
    lock = yaml.safe_load((clone / "dvc.lock").read_text(encoding="utf-8"))
    outs = [out for stage in lock["stages"].values() for out in stage.get("outs", [])]
    found = {out["path"]: out["md5"] for out in outs if out["path"] in DATA}
    networks = [clone / folder / "model.onnx" for folder in MODELS]
    return found | {file.parent.name: md5(file.read_bytes()).hexdigest() for file in networks}


@pytest.fixture(scope="module")
def reference(lab: Lab, everything_pushed: str) -> dict[str, str]:
    """What an undisturbed retrain gives."""
    clone = lab.clone("undisturbed")
    ran = lab.run(clone, *RETRAIN, "--no-push", "--branch", "undisturbed", status=None)
    note("undisturbed", ran)
    assert ran.status in {0, 11}
    return hashes(lab, clone)


def test_killed_ten_times(lab: Lab, reference: dict[str, str]) -> None:
    clone, chance = lab.clone("killed"), random.Random(6)
    log = lab.home / "killed.log"
    lasts = []
    for number in range(KILLS):
        process = lab.start(clone, *RETRAIN, "--branch", "killed", output=log)
        # Each goes on where the last one was, so together they must not take as long as it takes
        # undisturbed; every other time the stages outlive it.
        wait = chance.uniform(0.5, 8.0) if number % 3 else chance.uniform(8.0, 25.0)
        try:
            process.wait(timeout=wait)
            break
        except subprocess.TimeoutExpired:
            if number % 2:
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        lasts.append(f"{wait:.1f} s: {last}")
    sys.stdout.write("\n".join(["killed after", *lasts, ""]))
    ran = lab.run(clone, *RETRAIN, "--branch", "killed", status=None)
    note("after the kills", ran)
    assert ran.status in {0, 11}
    assert len(lasts) == KILLS
    assert hashes(lab, clone) == reference
    assert "killed" in branches(lab)
    assert is_clean(lab, clone)
    assert lab.run(clone, "dvc", "status", "--with-deps", "promote").text.strip() == (
        "Data and pipelines are up to date."
    )


def test_two_at_once(lab: Lab, reference: dict[str, str]) -> None:
    clones = [lab.clone("left"), lab.clone("right")]
    logs = [lab.home / f"{clone.name}.log" for clone in clones]
    running = [
        lab.start(clone, *RETRAIN, output=log) for clone, log in zip(clones, logs, strict=True)
    ]
    time.sleep(8)
    second = lab.run(clones[0], *RETRAIN, status=13)
    note("second in the same clone", second)
    ended = [process.wait() for process in running]
    sys.stdout.write(f"two clones: {ended}\n{logs[0].read_text()[-600:]}\n---\n")
    sys.stdout.write(logs[1].read_text()[-600:])
    assert set(ended) <= {0, 11, 13}
    assert all(is_clean(lab, clone) for clone in clones)
    heads = [outcome(clone)["commit"] for clone in clones]
    if 13 not in ended:
        # Both took their results from DVC's cache, and made the very same commit.
        assert heads[0] == heads[1]
        return
    loser = clones[ended.index(13)]
    assert lab.run(loser, "git", "branch", "--show-current").text.strip() == "main"
    note("the loser again", lab.run(loser, *RETRAIN, status=10))
