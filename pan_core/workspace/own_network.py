"""Check that people were found by the project's own pose network, the only one that devices run."""

from pan_core.errors import ConfigError
from pan_core.files import sha256_of
from pan_core.params.load import PARAMS_FILE, Params
from pan_core.pose.named_networks import network_file
from pan_core.workspace import paths


def require_own_network(params: Params) -> None:
    """Refuse export targets if people are found by another network than the project's.

    Raises:
        ConfigError: If they are, with what to do instead.
    """
    own, network = paths.own_pose_network(), network_file(params.pose.network, quality=params.pose.quality)
    if not params.export.targets or network == own:
        return
    if own.is_file() and network.is_file() and sha256_of(own) == sha256_of(network):
        return
    raise ConfigError(
        str(PARAMS_FILE),
        [
            f"pose.network: devices run {own} only, but people are found by {network}; what the recognizer learnt from it "
            "would meet other skeletons there: use the project's network, or set export.targets: [] to do without devices"
        ],
        code="devices.other-network",
    )
