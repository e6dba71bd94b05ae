"""A bundle becomes one version, whoever registers it, how often, and wherever a process dies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from sgseg.registry import open_registry, register, registration
from sgseg.registry.evaluated import read_evaluated
from sgseg.registry.models import Registry, Version, versions
from sgseg.serving import package

from .project import evaluate, save


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def registry(root: Path) -> Registry:
    evaluate(root, 0.6)
    return open_registry(root, "sgseg")


def add(registry: Registry, root: Path) -> Version:
    return register(registry, read_evaluated(root), save=save)


def logged(registry: Registry) -> list[str]:
    found = registry.client.search_logged_models([registry.store.experiment_id])
    return sorted(model.model_id for model in found)


def test_one_bundle_one_version(root: Path, registry: Registry) -> None:
    first = add(registry, root)
    evaluate(root, 0.7)
    second = add(registry, root)
    evaluate(root, 0.6)
    assert add(registry, root) == first
    assert [first.number, second.number] == [1, 2]
    assert first.bundle != second.bundle
    assert versions(registry) == [first, second]
    assert versions(registry, tag=("sgseg.bundle", second.bundle)) == [second]
    assert len(logged(registry)) == 2


def test_the_same_networks_evaluated_again_are_the_same_version(
    root: Path, registry: Registry
) -> None:
    first = add(registry, root)
    assert evaluate(root, 0.6, commit="d" * 40) != first.bundle
    assert add(registry, root) == first
    assert len(logged(registry)) == 1


def test_other_code_is_another_version(
    root: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = add(registry, root)
    monkeypatch.setattr(registration, "code_digest", lambda: "other")
    second = add(registry, root)
    assert [first.number, second.number] == [1, 2]
    assert (first.networks, first.bundle) == (second.networks, second.bundle)
    assert add(registry, root) == second
    monkeypatch.undo()
    assert add(registry, root) == first


def test_what_the_code_of_a_version_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "sgseg"
    (source / "serving").mkdir(parents=True)
    files = [source / "errors.py", source / "serving" / "model.py"]
    for path in files:
        path.write_text("x")
    monkeypatch.setattr(package, "SOURCE", source)
    monkeypatch.setattr(package, "CODE", ("errors.py", "serving"))
    monkeypatch.setattr(package, "requirements", lambda: ["numpy==1"])
    first = registration.code_digest()
    (source / "not_served.py").write_text("x")
    assert registration.code_digest() == first
    found = {first}
    for path in files:
        path.write_text("y")
        found.add(registration.code_digest())
    monkeypatch.setattr(package, "requirements", lambda: ["numpy==2"])
    found.add(registration.code_digest())
    assert len(found) == 4
    assert all(len(digest) == 32 for digest in found)


def test_nobody_waits_for_an_upload(root: Path, registry: Registry) -> None:
    def while_others_write(bundle: Path, target: Path, card: Path | None) -> None:
        with FileLock(root / "mlflow.db.lock", timeout=0):
            save(bundle, target, card)

    log_files = registry.client.log_model_artifacts

    def upload(*arguments: Any) -> None:
        with FileLock(root / "mlflow.db.lock", timeout=0):
            log_files(*arguments)

    registry.client.log_model_artifacts = upload
    assert register(registry, read_evaluated(root), save=while_others_write).number == 1


def test_who_uploaded_for_nothing_takes_it_back(root: Path, registry: Registry) -> None:
    # Another process is first, during the upload.
    first: list[Version] = []

    def meanwhile(bundle: Path, target: Path, card: Path | None) -> None:
        first.append(add(registry, root))
        save(bundle, target, card)

    assert register(registry, read_evaluated(root), save=meanwhile) == first[0]
    (left,) = logged(registry)
    assert left in first[0].source


def test_the_model_is_registered_once_and_keeps_its_name(root: Path, registry: Registry) -> None:
    again = open_registry(root, "sgseg")
    assert again.id == registry.id
    assert len(registry.id) == 12
    other = open_registry(root, "sgseg", name="another")
    assert other.id != registry.id


def test_a_model_that_somebody_created_by_hand_gets_its_mark(root: Path) -> None:
    registry = open_registry(root, "sgseg", name="other")
    registry.client.create_registered_model("sgseg")
    found = open_registry(root, "sgseg")
    assert found.id
    assert open_registry(root, "sgseg").id == found.id


def test_a_process_killed_between_model_and_version(
    root: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(registry.client, "create_model_version", die, raising=False)
        with pytest.raises(Killed):
            add(registry, root)
    assert versions(registry) == []
    (left,) = logged(registry)
    version = add(registry, root)
    assert logged(registry) == [left]
    assert left in version.source


def test_two_machines_at_once(
    root: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    # They share no lock: both look, both find nothing, both create.
    create = registry.client.create_model_version
    evaluated = read_evaluated(root)

    def after_the_other(name: str, source: str, **given: Any) -> Any:
        create(name, source, tags=given["tags"])
        return create(name, source, **given)

    monkeypatch.setattr(registry.client, "create_model_version", after_the_other, raising=False)
    version = register(registry, evaluated, save=save)
    assert version.number == 1
    assert [item.number for item in versions(registry)] == [1]


def test_the_first_of_two_keeps_its_version(
    root: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = registry.client.create_model_version

    def before_the_other(name: str, source: str, **given: Any) -> Any:
        made = create(name, source, **given)
        create(name, source, tags=given["tags"])
        return made

    monkeypatch.setattr(registry.client, "create_model_version", before_the_other, raising=False)
    assert add(registry, root).number == 1
    # The other machine takes its own back; until then nobody takes it for another bundle.
    assert add(registry, root).number == 1


def test_a_run_that_was_deleted_does_not_stop_it(root: Path, registry: Registry) -> None:
    version = add(registry, root)
    registry.client.delete_run(version.run_id)
    evaluate(root, 0.6, weights="others")
    other = add(registry, root)
    assert (other.number, other.run_id) == (2, "")


def test_a_card_travels_with_the_model(root: Path, registry: Registry) -> None:
    card = root / "reports/evaluation/card"
    card.mkdir()
    seen: list[Path | None] = []

    def with_card(bundle: Path, target: Path, given: Path | None) -> None:
        seen.append(given)
        save(bundle, target, given)

    register(registry, read_evaluated(root), save=with_card)
    assert seen == [card]


def test_what_serving_packs_is_what_comes_back(root: Path, registry: Registry) -> None:
    # The real thing once: MLflow reads it, with the marks of where it is logged.
    evaluated = read_evaluated(root)
    version = register(registry, evaluated, save=registration.save_for_serving)
    folder = Path(version.source)
    text = (folder / "MLmodel").read_text()
    assert f"run_id: {version.run_id}" in text
    assert f"model_id: {logged(registry)[0]}" in text
    assert f"sgseg.bundle: {evaluated.digest}" in text
    assert not list(folder.rglob("*.pkl"))
