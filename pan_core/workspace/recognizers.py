"""Choice of the recognizer that commands use: the one in a folder, the champion, or what the last run trained."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pan_core.datasets.registry import check_name
from pan_core.errors import PanError
from pan_core.params.load import Params, load_params
from pan_core.registry.models import registry_of
from pan_core.runtimes.cuda import CUDA
from pan_core.workspace import paths

if TYPE_CHECKING:
    from pan_core.recognition.recognizer import Recognizer

_log = logging.getLogger(__name__)


def get_recognizer(
    model: Path | None, dataset: str | None = None, *, quality: str | None = None, people: int | None = None
) -> "Recognizer":
    """Load the recognizer of a folder, or the champion.

    Args:
        model: Folder of an online recognizer. If None, the champion, or what the last run trained if there is none.
        dataset: Dataset of the champion; that of params.yaml if None.
        quality: As for `Recognizer.from_pretrained`.
        people: As for `Recognizer.from_pretrained`.

    Raises:
        PanError: If nothing has been trained.
    """
    from pan_core.recognition.recognizer import Recognizer  # late: start-up

    params = load_params()
    if params.pose.device == CUDA:
        _log.warning("pose.device: cuda is for the stages of a run; this command finds people on the processor")
    folder, name = (model, str(model)) if model else find_recognizer(params, dataset or params.dataset)
    return Recognizer.from_folder(
        folder,
        name=name,
        pose=params.pose.extraction(),
        quality=quality,
        people=people,
    )


def find_recognizer(params: Params, dataset: str) -> tuple[Path, str]:
    """Folder and name of a dataset's champion, or of what the last run trained if there is none.

    Raises:
        PanError: If another dataset than that of the parameters has no champion.
    """
    check_name(dataset)
    registry = registry_of(dataset)
    champion = registry.champion()
    if champion is None and dataset != params.dataset:
        raise PanError(
            f"{registry.name} has no champion; see `pan registry list --dataset {dataset}`", code="registry.no-champion"
        )
    if champion is None:
        folder = paths.model_folder("online", params.split.splits[0])
        return folder, str(folder)
    return registry.fetch(champion), f"{registry.name} version {champion.number} (champion)"


def champion_version(dataset: str | None = None) -> tuple[str, int] | None:
    """Registered model and number of the champion; None if there is none.

    Args:
        dataset: Dataset of the champion; that of params.yaml if None.

    Raises:
        PanError: If the registry cannot be reached.
    """
    registry = registry_of(dataset or load_params().dataset)
    champion = registry.champion()
    return (registry.name, champion.number) if champion else None
