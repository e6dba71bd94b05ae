"""A project whose evaluated model costs nothing to make, and a gate that reads its score.

Run as a script it puts the model to that gate, so that a test can do so in two processes at once or
kill one: `python project.py ROOT [DIE_AT]`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sgseg.config import Params, load_params
from sgseg.gate.decision import Decision, Latency, Model, read_decision, write_json
from sgseg.inference.bundle import BundleSpec, digest, networks_digest, read_spec, write_spec
from sgseg.registry import Promotion, promote
from sgseg.registry.models import Registry, aliases_of, open_existing_registry
from sgseg.tracking import CrossValidation, DatasetInput
from sgseg.tracking.identity import EvaluationRecord, write_record

ROOT = Path(__file__).parents[2]
TIE = 0.01
"""The fake gate's margin: a challenger within it is no better."""


def make_params() -> Params:
    return load_params(ROOT / "params.yaml")


def evaluate(root: Path, score: float, *, weights: str = "", commit: str = "c" * 40) -> str:
    """Write what the stage `evaluate` leaves; the digest of the bundle.

    Another score or other weights make other networks; another commit is another bundle of them.
    """
    bundle, report = root / "models/evaluated", root / "reports/evaluation"
    for folder in (bundle, report):
        folder.mkdir(parents=True, exist_ok=True)
    (root / "params.yaml").touch()
    (bundle / "model.onnx").write_text(f"weights {score} {weights}")
    scores = {
        "out_of_fold": {"object_f1": {"value": score, "low": score - 0.1, "high": score + 0.1}}
    }
    write_spec(
        bundle,
        BundleSpec(
            members=["fold_0"],
            preprocessing={"normalise": "background"},
            threshold=0.5,
            min_area_px=4,
            margin_px=16,
            facts={"data": "d" * 32 + ".dir", "commit": commit, "scores": scores},
        ),
    )
    (report / "metrics.json").write_text(json.dumps(scores))
    key = f"{int(score * 1000):08x}" * 4
    cv = CrossValidation(
        key=key,
        name=f"cv unet-bce_dice-adam {key[:7]}",
        experiment="sgseg",
        datasets=(DatasetInput("simulated", "d" * 32 + ".dir", "data/dataset"),),
    )
    write_record(EvaluationRecord(cv, started_ms=1000, evaluated_ms=2000), report)
    return digest(bundle)


def score_of(bundle: Path) -> float:
    value = read_spec(bundle).facts["scores"]["out_of_fold"]["object_f1"]["value"]
    return float(value)


@dataclass
class FakeGate:
    """Compares the scores that the bundles claim; counts how often it was asked."""

    floor: float = 0.3
    seconds: float = 1.0
    """What the challenger takes, of 1.5 that it may."""
    asked: list[tuple[str, str]] = field(default_factory=list)

    def decide(self, challenger: Path, champion: Path | None) -> Decision:
        mine = score_of(challenger)
        theirs = None if champion is None else score_of(champion)
        self.asked.append((digest(challenger), "" if champion is None else digest(champion)))
        better = theirs is None or mine > theirs + TIE
        passed = mine >= self.floor and better and self.seconds <= 1.5
        against = "no champion" if theirs is None else f"{theirs:.2f}"
        return Decision(
            outcome="promote" if passed else "keep",
            verdict="first" if theirs is None else "win" if better else "loss",
            reasons=[f"Object F1 is {mine:.2f}, against {against}."],
            warnings=[],
            challenger=_model(challenger),
            champion=None if champion is None else _model(champion),
            checks=[],
            images=[],
            left_out=[],
            rule={"floor": self.floor},
            settings={},
            data={},
            latency=Latency(self.seconds, 1.0, self.seconds, 1.5, 1, "any machine"),
        )

    def write(
        self, folder: Path, decision: Decision, challenger: Path, champion: Path | None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder, decision)
        (folder / "decision.html").write_text(" ".join(decision.reasons))

    def decided_before(self, folder: Path, challenger: str, champion: str) -> Decision | None:
        if not (folder / "decision.json").is_file():
            return None
        found = read_decision(folder)
        known = found.challenger.digest, found.champion.digest if found.champion else ""
        same = known == (challenger, champion) and found.rule == {"floor": self.floor}
        return found if same else None


def _model(bundle: Path) -> Model:
    return Model(digest(bundle), 0.5, 4, 1, 1, 0, {}, networks=networks_digest(bundle))


def save(bundle: Path, target: Path, card: Path | None) -> None:
    """An MLflow model as far as the registry can tell: MLmodel, and the bundle in it."""
    shutil.copytree(bundle, target / "artifacts" / bundle.name)
    content = {
        "flavors": {
            "python_function": {
                "artifacts": {"bundle": {"path": f"artifacts/{bundle.name}", "uri": str(bundle)}},
                "loader_module": "mlflow.pyfunc.model",
            }
        },
        "model_uuid": "0" * 32,
        "utc_time_created": "2026-01-01 00:00:00.000000",
    }
    (target / "MLmodel").write_text(yaml.safe_dump(content))


def submit(root: Path, gate: FakeGate | None = None, *, propose: bool = False) -> Promotion:
    """Put the evaluated model to the gate."""
    return promote(root, make_params(), gate=gate or FakeGate(), save=save, propose=propose)


def submit_each(root: Path, *scores: float) -> None:
    """One model after the other."""
    for score in scores:
        evaluate(root, score)
        submit(root)


def reopen(root: Path) -> Registry:
    return open_existing_registry(root)


def champion(root: Path) -> int | None:
    return aliases_of(reopen(root)).get("champion")


def tags_of_log(registry: Registry) -> dict[str, Any]:
    model = registry.client.get_registered_model(registry.name)
    return {
        name: json.loads(text)
        for name, text in sorted(model.tags.items())
        if name.startswith("sgseg.change.")
    }


def lines_of_log(root: Path) -> list[dict[str, Any]]:
    path = root / "registry/history.jsonl"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [json.loads(line) for line in text.splitlines()]


def everything(root: Path) -> dict[str, Any]:
    """All that the registry and the project show of the model, times included."""
    registry = reopen(root)
    model = registry.client.get_registered_model(registry.name)
    versions = registry.client.search_model_versions(f"name = '{registry.name}'")
    report = root / "reports/promotion"
    return {
        "model": (dict(model.aliases), dict(model.tags), model.description),
        "versions": sorted(
            (v.version, v.source, v.run_id, sorted(v.tags.items()), v.description) for v in versions
        ),
        "files": {p.name: p.read_bytes() for p in sorted(report.rglob("*")) if p.is_file()},
        "log": lines_of_log(root),
        "runs": sorted(
            (run.info.run_name, sorted(run.data.tags.items()))
            for run in registry.client.search_runs(
                [e.experiment_id for e in registry.client.search_experiments()]
            )
        ),
    }


def main() -> None:
    root, *die_at = sys.argv[1:]
    if die_at:
        from sgseg.registry import aliases as module  # noqa: PLC0415

        def die(*_: object) -> None:
            os._exit(9)

        setattr(module, *die_at, die)
    sys.stdout.write(submit(Path(root)).what)


if __name__ == "__main__":
    main()
