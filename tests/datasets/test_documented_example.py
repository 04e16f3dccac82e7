"""The example of docs/datasets.md runs as it stands, from its file to a checked dataset with splits."""

import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pan_core.cli.main import app
from pan_core.datasets import registry
from pan_core.datasets.base import Context
from pan_core.datasets.splits import group_splits, leakage

DOCUMENT = Path(__file__).parents[2] / "docs" / "datasets.md"


@pytest.fixture
def gestures(tmp_path, monkeypatch, write_video):
    """The documented module on the import path, its line in the registry, and twelve videos in the mirror."""
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    module, line = blocks
    (tmp_path / "gestures.py").write_text(module)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "REGISTRY", dict(registry.REGISTRY))
    exec(line.replace("pan_core.datasets.gestures", "gestures"), {"REGISTRY": registry.REGISTRY})
    for label in ("wave", "nod"):
        for person in ("ann", "bob", "cy"):
            for number in (1, 2):
                write_video(tmp_path / "mirror" / "gestures" / "videos" / label / f"{person}_{number}.mp4")
    (tmp_path / "params.yaml").write_text("dataset: actors\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAN_MIRROR", str(tmp_path / "mirror"))
    yield tmp_path
    sys.modules.pop("gestures", None)


def test_the_example_passes_its_check(gestures):
    result = CliRunner().invoke(app, ["data", "check", "gestures"])
    assert result.exit_code == 0, result.output
    assert "12 of 2 classes" in result.output


def test_its_clips_are_split_by_person(gestures):
    dataset, context = registry.dataset_by_name("gestures"), Context(gestures / "cache", gestures / "mirror")
    dataset.fetch(gestures / "raw", context)
    clips = group_splits(dataset.catalogue(gestures / "raw", context).clips, folds=3, seed=0)
    assert leakage(clips, "split1")["group"] == 0
    assert set(clips.loc[clips["split1"] == "test", "subject"]) < {"ann", "bob", "cy"}
