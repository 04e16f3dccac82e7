"""The exported step, fed as a device feeds it, says what the torch network says of the whole stream."""

import numpy as np
import pytest
import torch
from refusals import refused

from pan_core.errors import DataError
from pan_core.export.onnx_file import write_onnx
from pan_core.files import write_json
from pan_core.model.features import PoseFeatures, feature_count
from pan_core.model.pan import PAN, PanSettings, frame_weights
from pan_core.model.streaming import STEP_INPUTS, STEP_OUTPUTS, StepModel
from pan_core.recognition.exported_network import ExportedNetwork
from pan_core.skeletons import OPENPOSE18, PENN13


@pytest.fixture(scope="module", params=[{}, {"none": True, "forgetting": 0.05}], ids=["paper", "none-and-forgets"])
def network(request):
    torch.manual_seed(0)
    settings = PanSettings(hidden=32, frame_channels=24, graph_channels=(16,), **request.param)
    return PAN(
        adjacency=PENN13.adjacency(), features=feature_count(PENN13), classes=5, actions=4, settings=settings
    ).eval()


def exported(network, folder, layout):
    model = StepModel(network)
    path = folder / "step.onnx"
    write_onnx(model, model.example(), path, inputs=STEP_INPUTS, outputs=STEP_OUTPUTS, opset=13)
    start = {name: float(value.flatten()[0]) for name, value in network.start(1)._asdict().items()}
    write_json(path.with_suffix(".json"), {"labels": list("abcde"), "actions": list("wxyz"),
                                           "layout": layout.as_dict(), "rate": 15, "start": start,
                                           "shapes": {n: list(t.shape[1:]) for n, t in zip(STEP_INPUTS, model.example(), strict=True)}})  # fmt: skip
    return path


def test_stream_equals_batch(network, tmp_path):
    rng = np.random.default_rng(0)
    joints = np.concatenate([rng.uniform(0, 200, (30, 13, 2)), np.ones((30, 13, 1))], axis=-1).astype(np.float32)
    joints[rng.random((30, 13)) < 0.1] = np.nan, np.nan, 0
    exported_step = ExportedNetwork(exported(network, tmp_path, PENN13))
    features = PoseFeatures(PENN13, mode="online")(joints[None])
    memory = exported_step.start()
    with torch.inference_mode():
        output = network(torch.from_numpy(features))
    for frame in range(30):
        got = exported_step.step(features[:, frame], memory)
        assert got.logits == pytest.approx(output.logits[0, frame].numpy(), abs=1e-4)
        assert got.action_logits == pytest.approx(output.action_logits[0, frame].numpy(), abs=1e-4)
        everything = torch.ones(1, frame + 1, dtype=torch.bool)
        weights = frame_weights(output.pose_scores[:, : frame + 1], everything, forgetting=network.forgetting)
        assert got.share == pytest.approx(float(weights[0, -1]), abs=1e-5)
        assert got.joints_attention == pytest.approx(output.joints_attention[0, frame].numpy(), abs=1e-5)
        memory = got.memory


def test_a_description_of_another_skeleton_is_refused(network, tmp_path):
    with refused("exported.shape", DataError):
        ExportedNetwork(exported(network, tmp_path, OPENPOSE18))


def test_a_missing_model_says_how_to_make_it(tmp_path):
    with refused("exported.missing", DataError):
        ExportedNetwork(tmp_path / "step.onnx")
