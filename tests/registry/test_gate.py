"""The gate with the images of a project: what it checks, and when it need not decide again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from gate.cases import TestSet, fields, write_bundle, write_test_set

from sgseg.errors import InputError
from sgseg.gate.decision import Decision
from sgseg.registry.gate import ProjectGate

from .project import make_params


@pytest.fixture
def data(tmp_path: Path) -> TestSet:
    return write_test_set(tmp_path / "data", fields(2))


@pytest.fixture
def gate(data: TestSet) -> ProjectGate:
    return ProjectGate(data.root.parent, make_params())


def decided(gate: ProjectGate) -> tuple[Path, Decision]:
    """A first decision, on a bundle, and the folder that it is in."""
    bundle, folder = gate.root / "bundle", gate.root / "reports/promotion"
    if not bundle.exists():
        write_bundle(bundle)
    decision = gate.decide(bundle, None)
    gate.write(folder, decision, bundle, None)
    return folder, decision


def test_the_same_question_has_been_answered(gate: ProjectGate) -> None:
    folder, decision = decided(gate)
    digest = decision.challenger.digest
    assert gate.decided_before(folder, digest, "") == decision
    assert gate.decided_before(folder, "another", "") is None
    assert gate.decided_before(folder, digest, "another") is None
    evaluate = make_params().evaluate.model_copy(update={"object_iou": 0.123})
    other = make_params().model_copy(update={"evaluate": evaluate})
    assert ProjectGate(gate.root, other).decided_before(folder, digest, "") is None


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_other_files_are_another_question(gate: ProjectGate, data: TestSet, kind: str) -> None:
    folder, decision = decided(gate)
    path = data.dataset / kind / "field_1.tif"
    # Mirrored, so that nothing in the manifest tells it from what it was.
    tifffile.imwrite(path, np.ascontiguousarray(tifffile.imread(path)[:, ::-1]))
    assert gate.decided_before(folder, decision.challenger.digest, "") is None
    path.unlink()
    assert gate.decided_before(folder, decision.challenger.digest, "") is None


def test_masks_as_the_lab_handed_them_over_are_checked(gate: ProjectGate, data: TestSet) -> None:
    (data.raw / "few/masks/field_1.tif").write_bytes(b"another")
    with pytest.raises(InputError, match=r"raw/few/masks/field_1\.tif: changed"):
        decided(gate)
    (data.raw / "few/masks/field_1.tif").unlink()
    assert decided(gate)[1].outcome == "promote"
