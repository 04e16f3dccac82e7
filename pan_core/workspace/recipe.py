"""The recipe that the project's benchmarks train by."""

from pan_core.benchmark.people import PoseRecipe
from pan_core.benchmark.protocol import Recipe
from pan_core.params.load import parse_params
from pan_core.params.schema import ModelParams, TrainParams
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.named_networks import network_file
from pan_core.workspace.training_data import network_settings, train_settings

LENGTH = {"epochs": 45, "least_steps": 2400}
"""Length of a training: Penn Action's 1,258 clips take 3,510 steps, the 433 of a split of JHMDB-14 get 89 epochs."""

PRETRAINED_ON = {"jhmdb_video": "penn_action"}
"""Dataset that the networks of a small dataset learn first, by name. Penn Action helps JHMDB-14, too, on clips that no split
tests, but five seeds of the official splits showed no gain there (docs/decisions.md)."""


def project_recipe(dataset: str, epochs: int | None = None) -> Recipe:
    """The project's own recipe: the defaults of params.yaml, whatever the workspace at hand says, and `LENGTH`.

    Args:
        dataset: Name in the registry; some begin with what was learnt on another.
        epochs: Instead of the recipe's.
    """
    model, train = ModelParams(), TrainParams()
    length = LENGTH if epochs is None else {"epochs": epochs, "least_steps": 0}
    return Recipe(
        network_settings(model), train_settings(train.model_copy(update=length)), model.frames, model.rate,
        pretrained_on=PRETRAINED_ON.get(dataset, ""),
    )  # fmt: skip


def project_poses(network: str = "", quality: str = "") -> PoseRecipe:
    """The project's own extraction of skeletons: the defaults of params.yaml, whatever the workspace at hand says.

    Args:
        network: Name of another pose network, or file in `networks`; empty for the default.
        quality: Another quality; likewise.

    Raises:
        ConfigError: If one of them is unknown.
    """
    chosen = {name: value for name, value in (("network", network), ("quality", quality)) if value}
    pose = parse_params({"dataset": "jhmdb_video", "pose": chosen}, "pan benchmark").pose
    file = network_file(pose.network, quality=pose.quality)
    return PoseRecipe(file, ExtractionSettings(**pose.extraction()), pose.device)
