"""Devices run the project's pose network, so another one is refused where something would be made for them."""

from refusals import refused

from pan_core.errors import ConfigError
from pan_core.params.load import load_params
from pan_core.workspace import paths
from pan_core.workspace.own_network import require_own_network


def params_with(network, targets):
    params = load_params()
    return params.model_copy(
        update={
            "pose": params.pose.model_copy(update={"network": network}),
            "export": params.export.model_copy(update={"targets": targets}),
        }
    )


def test_only_the_projects_network_goes_to_devices(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "POSE_MODEL", tmp_path)
    own, copy, other = (tmp_path / name for name in ("pose.onnx", "copy.onnx", "other.onnx"))
    own.write_bytes(b"a")
    copy.write_bytes(b"a")
    other.write_bytes(b"b")
    for network in (own, copy):
        require_own_network(params_with(str(network), ["host"]))
    for network in (str(other), "models/rtmpose/rtmpose.yaml"):
        with refused("devices.other-network", ConfigError) as caught:
            require_own_network(params_with(network, ["raspberry-pi-5"]))
        assert caught.value.names == ("pose.network",)
        require_own_network(params_with(network, []))
