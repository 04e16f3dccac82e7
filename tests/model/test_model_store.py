import json
import re

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from pan_core.errors import DataError
from pan_core.model.features import feature_count
from pan_core.model.pan import PAN, PanSettings
from pan_core.model.store import FORMAT, load_model, save_model
from pan_core.skeletons import OPENPOSE18, PENN13

SMALL = PanSettings(graph_channels=(8,), pools=2, pooled_channels=4, frame_channels=8, hidden=8, pose_heads=2)


@pytest.fixture
def model() -> PAN:
    torch.manual_seed(0)
    return PAN(
        adjacency=PENN13.adjacency(), features=feature_count(PENN13), classes=2, actions=3, settings=SMALL
    ).eval()


def save(folder, model, **changes) -> None:
    names = {"labels": ["sit", "run"], "actions": ["a", "b", "c"], "layout": PENN13, "mode": "online"}
    save_model(folder, model, **{**names, **changes}, frames=32, rate=15.0, preprocessing={"extractor": "annotated"})


def test_what_was_stored_comes_back(tmp_path, model):
    save(tmp_path / "m", model)
    loaded = load_model(tmp_path / "m")
    features = torch.randn(2, 5, 13, feature_count(PENN13))
    with torch.inference_mode():
        np.testing.assert_array_equal(loaded.model(features).logits, model(features).logits)
    assert (loaded.labels, loaded.actions, loaded.layout) == (("sit", "run"), ("a", "b", "c"), PENN13)
    assert (loaded.mode, loaded.frames, loaded.rate) == ("online", 32, 15.0)
    assert loaded.preprocessing == {"extractor": "annotated"}
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["model.json", "model.safetensors"]


def test_names_that_do_not_fit_are_refused_together(tmp_path, model):
    with pytest.raises(DataError) as caught:
        save(tmp_path / "m", model, labels=["sit"], layout=OPENPOSE18, mode="offline")
    _, *faults = str(caught.value).splitlines()
    assert [fault.split(":")[0].strip(" -") for fault in faults] == ["labels", "layout", "mode"]
    assert re.findall(r"\d+", faults[0]) == ["2", "1"]
    assert "13" in faults[1]
    assert not (tmp_path / "m").exists()


def test_a_folder_that_is_no_recognizer_is_refused(tmp_path, model):
    with pytest.raises(DataError) as caught:
        load_model(tmp_path)
    assert "model.json" in str(caught.value)
    save(tmp_path / "m", model)
    (tmp_path / "m" / "model.safetensors").write_bytes(b"no")
    with pytest.raises(DataError) as caught:
        load_model(tmp_path / "m")
    assert isinstance(caught.value.__cause__, SafetensorError)


def test_a_description_changed_by_hand_is_refused(tmp_path, model):
    save(tmp_path / "m", model)
    path = tmp_path / "m" / "model.json"
    description = json.loads(path.read_text())
    path.write_text(json.dumps({**description, "labels": ["sit", "run", "jump"]}))
    with pytest.raises(DataError, match="do not fit each other"):
        load_model(tmp_path / "m")
    path.write_text(json.dumps({**description, "features": {**description["features"], "lags": [1, 2]}}))
    with pytest.raises(DataError) as caught:
        load_model(tmp_path / "m")
    assert FORMAT in str(caught.value)


def test_none_forgetting_and_temperatures_come_back(tmp_path):
    network = PAN(
        adjacency=PENN13.adjacency(), features=feature_count(PENN13), classes=2, actions=3,
        settings=PanSettings(hidden=16, pose_heads=2, none=True, forgetting=0.1),
    )  # fmt: skip
    save(tmp_path / "m", network, temperatures={"class": 0.7, "action": 1.2})
    loaded = load_model(tmp_path / "m")
    assert loaded.model.settings == network.settings
    assert loaded.temperatures == {"class": 0.7, "action": 1.2}


def test_a_recognizer_of_before_there_was_none_loads_as_it_was(tmp_path, model):
    save(tmp_path / "m", model)
    path = tmp_path / "m" / "model.json"
    description = json.loads(path.read_text())
    del description["temperatures"], description["settings"]["none"], description["settings"]["forgetting"]
    path.write_text(json.dumps(description))
    loaded = load_model(tmp_path / "m")
    assert (loaded.model.settings.none, loaded.model.settings.forgetting, loaded.temperatures) == (False, 0.0, {})
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value)
