"""Operations are those that torch counts; a fit is what was put in."""

import math

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pan_core.edge.roofline import Anchor, Layer, count_layers, fit, predict_ms
from pan_core.export.targets import PeakRates
from pan_core.pose.onnx_export import DeployedNetwork

PEAKS = PeakRates(gflops=100, gbytes_s=10)


def test_operations_of_the_pose_network_are_those_that_torch_counts(made):
    layers = count_layers((made.exported("host") / "pose.onnx").read_bytes(), {"images": (1, 3, 160, 160)})
    convolutions = sum(layer.operations for layer in layers if layer.name == "Conv")
    features = torch.zeros(1, 864, 20, 20)
    network = DeployedNetwork(made.pose)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        made.pose.backbone(torch.zeros(1, 3, 160, 160))
        for branches in (network.affinity, network.confidence):
            branches[0](features, None)
            branches[1](features, torch.zeros(1, 64, 20, 20))
    expected = counter.get_total_flops()
    assert convolutions == pytest.approx(expected, rel=1e-6)


def test_a_layer_takes_what_it_lacks_most():
    work, traffic = Layer("Conv", 1e9, 1e6), Layer("Add", 1e6, 1e9)
    assert predict_ms([work], PEAKS, number_bytes=4, share=1.0) == pytest.approx(10.0)
    assert predict_ms([traffic], PEAKS, number_bytes=4, share=1.0) == pytest.approx(400.0)
    assert predict_ms([work, traffic], PEAKS, number_bytes=2, share=0.5) == pytest.approx(420.0)


def anchor(share):
    return Anchor("n", "d", PEAKS, 1e9, 0, 10 / share, "")


def test_devices_that_reach_the_same_share_are_predicted_exactly():
    found = fit([anchor(0.25)] * 4)
    assert found.share == pytest.approx(0.25)
    assert found.factor == pytest.approx(1.0)


def test_the_error_is_that_of_a_prediction_by_the_others():
    found = fit([anchor(0.1), anchor(0.4)])
    assert found.share == pytest.approx(0.2)
    assert found.errors == pytest.approx((0.25, 4.0))
    assert found.factor == pytest.approx(4.0)


def test_published_figures_are_told_apart_from_their_predictions():
    found = fit()
    assert 1 < found.factor < 10
    assert np.exp(np.mean(np.log(found.errors))) == pytest.approx(1.0)
    assert math.isfinite(found.share)
