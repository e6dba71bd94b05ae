"""With the real gate, the real packaging and networks that run: from bundles to the champion."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from gate.cases import empty, fields, rule_with, write_bundle, write_test_set

from sgseg.config import Params
from sgseg.gate.decision import read_decision
from sgseg.inference.bundle import digest
from sgseg.registry import Promotion, bundle_of, promote, put_back, roll_back

from .project import champion, everything, lines_of_log, make_params, reopen
from .project import evaluate as leave_report

# 4 fields of 8 granules, 4 of them faint, and an empty control: all are found at a middle of 2.0
# (F1 1), the faint ones are not at 2.5: TP 16, FN 16, F1 32 / 48 = 0.667.
GOOD, POOR = 2.0, 2.5
SEEN = ["0000000000000001"]


@pytest.fixture
def project(root: Path) -> Path:
    """Test images, and no model yet."""
    write_test_set(root / "data", {**fields(4, faint=4), "control": empty(20)})
    return root


def params(**rule: Any) -> Params:
    # What a busy machine measures must not decide.
    changed = rule_with(most_slowdown=1000.0, **rule)
    return make_params().model_copy(update={"promote": changed})


def submit(root: Path, middle: float, *, on_tie: str = "keep", **bundle: Any) -> Promotion:
    """Train a model, as far as anybody can tell, and put it to the gate."""
    leave_report(root, middle, weights=str(bundle))
    shutil.rmtree(root / "models/evaluated")
    write_bundle(root / "models/evaluated", middle=middle, **bundle)
    return promote(root, params(on_tie=on_tie))


def test_from_the_first_model_to_a_rollback(project: Path) -> None:
    first = submit(project, POOR)
    assert (first.what, first.decision.verdict) == ("promoted", "first")
    better = submit(project, GOOD)
    assert (better.what, better.decision.verdict) == ("promoted", "win")
    worse = submit(project, POOR, trained_on=SEEN)
    assert (worse.what, worse.decision.verdict) == ("refused", "loss")
    assert any("Object recall 0.500 against 1.000" in said for said in worse.against)
    assert champion(project) == 2

    before = everything(project)
    assert submit(project, POOR, trained_on=SEEN).what == "refused"
    assert everything(project) == before

    roll_back(reopen(project), reason="too slow on plates")
    folder = bundle_of("models:/sgseg@champion", root=project)
    assert digest(folder) == first.challenger.bundle
    assert champion(project) == 1
    # Nothing brings version 2 back but a person: not the stage that is run again, not `track`.
    assert submit(project, GOOD).what == "withheld"
    done = put_back(project)
    assert done is not None
    assert done.what == "already there"
    assert champion(project) == 1
    assert [line["how"] for line in lines_of_log(project) if line["alias"] == "champion"] == [
        "gate",
        "gate",
        "rollback",
    ]


@pytest.mark.parametrize(("on_tie", "what"), [("keep", "refused"), ("promote", "promoted")])
def test_a_tie_is_for_the_rule(project: Path, on_tie: str, what: str) -> None:
    submit(project, GOOD)
    done = submit(project, GOOD, trained_on=SEEN, on_tie=on_tie)
    assert (done.what, done.decision.verdict) == (what, "tie")
    assert champion(project) == (1 if what == "refused" else 2)


def test_a_champion_that_was_trained_on_a_test_image(project: Path) -> None:
    manifest = (project / "data/dataset/manifest.csv").read_text().splitlines()
    column = manifest[0].split(",").index("pixel_hash")
    seen = next(line for line in manifest if line.startswith("field_2")).split(",")[column]
    # It was champion before that image was made a test image.
    first = submit(project, POOR, trained_on=[seen])
    assert [item.image_id for item in first.decision.left_out] == ["field_2"]
    done = submit(project, GOOD)
    assert done.what == "promoted"
    decided = read_decision(project / "reports/promotion")
    assert [(item.image_id, item.why) for item in decided.left_out] == [
        ("field_2", "the champion was trained on it")
    ]
    assert len(decided.images) == 4
    # The page that says why is where MLflow shows it.
    registry = reopen(project)
    shown = registry.client.list_artifacts(done.challenger.run_id, "promotion")
    assert {"promotion/decision.html", "promotion/decision.json"} <= {item.path for item in shown}
