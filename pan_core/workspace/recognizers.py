"""Choice of the recognizer that commands use: a named one, the champion, what the last run trained, or the stock one."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pan_core.errors import PanError
from pan_core.recognition.pretrained import STOCK
from pan_core.runtimes.cuda import CUDA
from pan_core.tracking.local_store import has_store
from pan_core.workspace import paths

if TYPE_CHECKING:
    from pan_core.recognition.recognizer import Recognizer

_log = logging.getLogger(__name__)

FALLBACK = "everyday"
"""The stock recognizer that commands use while there is none of one's own."""


def get_recognizer(
    model: str | Path | None,
    dataset: str | None = None,
    *,
    quality: str | None = None,
    people: int | None = None,
    fallback: bool | None = None,
) -> "Recognizer":
    """Load the recognizer of a folder, the champion, or the stock recognizer.

    Args:
        model: Folder of an online recognizer, or the name of a stock recognizer. If None, the champion, or what the last run
            trained if there is none, or the stock recognizer if nothing was trained.
        dataset: Dataset of the champion; that of params.yaml if None.
        quality: As for `Recognizer.from_pretrained`.
        people: As for `Recognizer.from_pretrained`.
        fallback: Whether the stock recognizer may stand in; only if no dataset is named, if None.

    Raises:
        PanError: If nothing has been trained for a dataset that was named, or there is no such recognizer.
    """
    if isinstance(model, str) and model not in STOCK and not Path(model).exists():
        raise PanError(
            f"{model}: no such folder, and no recognizer that comes with PAN; these are: {', '.join(STOCK)}",
            code="recognizer.unknown",
        )
    from pan_core.recognition.recognizer import Recognizer  # late: start-up

    options: dict[str, Any] = {"quality": quality, "people": people}
    if isinstance(model, str) and model in STOCK:  # a Path is a folder, whatever its name
        return Recognizer.from_pretrained(model, **options)
    found = (Path(model), str(model)) if model is not None else find_recognizer(dataset)
    if found is None and (dataset is None if fallback is None else fallback):
        stock = Recognizer.from_pretrained(FALLBACK, **options)
        return replace(stock, note=f"{stock.note}; there is no champion here, `pan run` trains one of your own")
    if found is None:
        raise PanError(
            f"{dataset or dataset_in_use() or 'no dataset'}: there is no champion, and no run has trained a recognizer; see `pan registry list`, or name a recognizer "
            "with --model",
            code="registry.no-champion",
        )
    from pan_core.params.load import load_pose_params  # late: start-up

    pose = load_pose_params()
    if pose.device == CUDA:
        _log.warning("pose.device: cuda is for the stages of a run; this command finds people on the processor")
    folder, name = found
    return Recognizer.from_folder(folder, name=name, pose=pose.extraction(), **options)


def find_recognizer(dataset: str | None = None) -> tuple[Path, str] | None:
    """Folder and name of a dataset's champion, or of what the last run trained if there is none; None if there is neither.

    Args:
        dataset: Dataset of the champion; that of params.yaml if None.

    Raises:
        PanError: If the registry cannot be reached.
    """
    # Most first predictions end here: reading params.yaml and asking MLflow take seconds.
    if dataset is None and not has_store() and not paths.RECOGNIZER.is_dir():
        return None
    from pan_core.datasets.registry import check_name  # late: start-up
    from pan_core.params.load import PARAMS_FILE, load_params  # late: start-up
    from pan_core.registry.models import registry_of  # late: start-up

    params = load_params() if PARAMS_FILE.is_file() else None
    asked = dataset or (params.dataset if params else None)
    if asked is None:
        return None
    check_name(asked)
    registry = registry_of(asked) if has_store() else None
    champion = registry.champion() if registry else None
    if registry and champion:
        return registry.fetch(champion), f"{registry.name} version {champion.number} (champion)"
    if params is None or asked != params.dataset:
        return None
    folder = paths.model_folder("online", params.split.splits[0])
    return (folder, str(folder)) if (folder / "model.json").is_file() else None


def champion_version(dataset: str | None) -> tuple[str, int] | None:
    """Registered model and number of the champion; None if there is none.

    Args:
        dataset: Dataset of the champion; None has none.

    Raises:
        PanError: If the registry cannot be reached.
    """
    if dataset is None or not has_store():
        return None
    from pan_core.registry.models import registry_of  # late: start-up

    registry = registry_of(dataset)
    champion = registry.champion()
    return (registry.name, champion.number) if champion else None


def dataset_in_use() -> str | None:
    """The dataset of params.yaml; None outside of a project's folder."""
    from pan_core.params.load import PARAMS_FILE, load_params  # late: start-up

    return load_params().dataset if PARAMS_FILE.is_file() else None
