"""Versions and aliases in a real MLflow registry."""

from pathlib import Path

import pytest
from refusals import refused

from pan_core.registry.models import Registry
from pan_core.tracking.tracker import Tracker, store_uri


@pytest.fixture
def register(tmp_path, monkeypatch):
    """Registers a folder with one file, as a run would, and returns the version."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracker = Tracker("stage")

    def make(content):
        folder = tmp_path / "trained"
        folder.mkdir(exist_ok=True)
        (folder / "model.json").write_text(content)
        with tracker.stage(f"promote {content}", fingerprint=content, params={}) as run:
            run.artifact(folder, "model")
            return Registry("pan-stage").register(run.artifact_uri("model"), run.run_id, {"content": content})

    return make


def test_a_version_is_the_challenger_until_it_is_promoted(register):
    registry = Registry("pan-stage")
    assert registry.versions() == []
    assert registry.champion() is None
    first = register("a")
    assert (first.number, first.aliases, first.tags["content"]) == (1, ("challenger",), "a")
    registry.promote(1)
    assert registry.version(1).aliases == ("champion",)
    register("b")
    assert [(version.number, version.aliases) for version in registry.versions()] == [
        (2, ("challenger",)),
        (1, ("champion",)),
    ]


def test_rollback_goes_back_one_champion_at_a_time(register):
    registry = Registry("pan-stage")
    for content in "abc":
        registry.promote(register(content).number)
    assert registry.champion().number == 3
    assert registry.rollback() == (3, 2)
    assert registry.rollback() == (2, 1)
    assert registry.champion().number == 1
    with refused("registry.no-champion-before"):
        registry.rollback()
    registry.promote(3)
    assert registry.rollback() == (3, 1)


def test_rollback_passes_over_versions_that_were_deleted(register):
    from mlflow import MlflowClient

    registry = Registry("pan-stage")
    for content in "abc":
        registry.promote(register(content).number)
    client = MlflowClient(tracking_uri=store_uri(), registry_uri=store_uri())
    client.delete_model_version("pan-stage", "2")
    assert registry.rollback() == (3, 1)


def test_an_alias_that_was_moved_by_hand_counts(register):
    from mlflow import MlflowClient

    registry = Registry("pan-stage")
    for content in "ab":
        register(content)
    registry.promote(1)
    client = MlflowClient(tracking_uri=store_uri(), registry_uri=store_uri())
    client.set_registered_model_alias("pan-stage", "champion", "2")
    assert registry.rollback() == (2, 1)


def test_files_of_a_version_are_fetched_once(register, tmp_path):
    registry = Registry("pan-stage")
    version = register("a")
    register("b")
    folder = registry.fetch(version, tmp_path / "cache")
    assert (folder / "model.json").read_text() == "a"
    (folder / "mark").touch()
    assert (registry.fetch(version, tmp_path / "cache") / "mark").exists()


def test_files_that_are_gone_are_told(register, tmp_path):
    import shutil

    version = register("a")
    shutil.rmtree(Path(version.source.removeprefix("file://")))
    with refused("registry.files-gone"):
        Registry("pan-stage").fetch(version, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("model.json"))


def test_what_is_not_there_is_told(register):
    registry = Registry("pan-stage")
    with refused("registry.no-champion-before"):
        registry.rollback()
    register("a")
    with refused("registry.no-version"):
        registry.promote(7)
