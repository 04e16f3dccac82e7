"""What networks that see pictures have in common: the recipe, weights that were learnt elsewhere, and the cost of a clip."""

import copy
import pickle
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pan_core.benchmark.picture_clips import View
from pan_core.errors import ConfigError, DataError, PanError
from pan_core.files import sha256_of

IMAGENET = "imagenet"
REPEATS, LONGEST_S = 5, 20.0


@dataclass(frozen=True)
class PictureRecipe:
    """How a network of pictures is fed and trained: by SGD with momentum 0.9 and a learning rate of one cycle.

    Attributes:
        view: What it sees.
        epochs: Passes over the training clips.
        batch: Clips a step.
        learning_rate: Its peak.
        weight_decay: Of SGD.
        warm_up: Share of the steps before the peak.
        clip: Largest norm of a gradient.
    """

    view: View
    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    warm_up: float = 0.1
    clip: float = 5.0


def import_models() -> ModuleType:
    """`torchvision.models`.

    Raises:
        PanError: If torchvision is not installed, or is that of another torch.
    """
    try:
        try:
            import torchvision.models as models  # late: optional
        except RuntimeError as error:
            if "torchvision::" not in str(error):
                raise
            _declare_operators()
            import torchvision.models as models  # late: optional
    except (ImportError, RuntimeError) as error:
        raise PanError(
            f"networks that see pictures need the torchvision that belongs to torch {torch.__version__} ({error}); install it: .venv/bin/uv pip install -e '.[pictures]'",
            code="pictures.no-torchvision",
        ) from error
    return models


def _declare_operators() -> None:
    """Name the two operators without which torchvision cannot be imported, and forget that it was tried.

    Its wheels on PyPI are compiled for CUDA. With torch for CPUs their operators do not load, which torchvision allows, but the import
    then ends at a description of these two. Nothing here uses them.
    """
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[module]


def choose_device(name: str) -> torch.device:
    """The device for networks of pictures.

    Raises:
        ConfigError: If it is unknown or missing.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(
            "pan benchmark", [f"--device: unknown {name!r}; known: auto, cpu, cuda"], code="device.unknown"
        )
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "pan benchmark", ["--device: 'cuda', but no CUDA device is available; use 'auto' or 'cpu'"],
            code="device.missing",
        )  # fmt: skip
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


@cache
def describe_weights(source: str) -> str:
    """Identity of weights to begin with; empty for none.

    Raises:
        DataError: If the file is missing.
    """
    if source in ("", IMAGENET):
        return source
    if not Path(source).is_file():
        raise DataError(
            f"{source}: no such file; --picture-weights takes NAME=FILE, or NAME={IMAGENET} to download",
            code="picture-weights.missing",
        )
    return sha256_of(Path(source))[:16]


def load_weights(backbones: list[nn.Module], name: str, source: str, heads: tuple[str, ...]) -> None:
    """Let networks begin from weights that were learnt elsewhere; their heads belong to other classes and stay out.

    Args:
        backbones: Networks, each of which gets the weights.
        name: Name of their architecture, as torchvision has it.
        source: `imagenet` for torchvision's, which are downloaded, or a file.
        heads: How names of weights begin that are left out.

    Raises:
        DataError: If there are no such weights, or they are of another network.
    """
    found = _read_weights(name, source)
    kept = {key: value for key, value in found.items() if not key.startswith(heads)}
    for network in backbones:
        own = {key: value for key, value in network.state_dict().items() if not key.startswith(heads)}
        wrong = sorted(own.keys() ^ kept.keys()) + [
            key for key in own.keys() & kept.keys() if own[key].shape != kept[key].shape
        ]
        if endless := [key for key, value in kept.items() if not bool(torch.isfinite(value.float()).all())]:
            raise DataError(
                f"{source}: {endless[0]} has values that are no finite numbers; name other weights",
                code="picture-weights.not-finite",
            )
        if wrong:
            raise DataError(
                f"{source}: weights of another network than {name}: {len(wrong)} differ, such as {wrong[0]}; name others",
                code="picture-weights.other-network",
            )
        network.load_state_dict(kept, strict=False)


def _read_weights(name: str, source: str) -> Mapping[str, Tensor]:
    try:
        if source == IMAGENET:
            if (known := import_models().get_model_weights(name) if name != "c3d" else None) is None:
                raise DataError(f"{name} has not learnt ImageNet; give a file", code="picture-weights.no-imagenet")
            return known.DEFAULT.get_state_dict(progress=False, check_hash=True)
        found = torch.load(source, map_location="cpu", weights_only=True)
        found = found.get("state_dict", found)
        return {key: value for key, value in found.items() if isinstance(value, Tensor)}
    except (OSError, RuntimeError, EOFError, AttributeError, pickle.UnpicklingError) as error:
        raise DataError(
            f"{source}: weights of {name} cannot be read ({error}); expected a state dict as torch saves it",
            code="picture-weights.unreadable",
        ) from error


def copy_to_meta(network: nn.Module) -> Any:
    """A copy without weights, which computes shapes only."""
    memo = {
        id(value): nn.Parameter(value.to("meta"), requires_grad=False)
        if isinstance(value, nn.Parameter)
        else value.to("meta")
        for value in (*network.parameters(), *network.buffers())
    }
    return copy.deepcopy(network, memo)


def name_device(device: torch.device) -> str:
    """The device in words: the name of a GPU, or the processor and its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'' if threads == 1 else 's'}"


def count_macs(run: Callable[[], object]) -> int:
    """Multiplications with additions of convolutions and matrix products in a run; the recurrent cells of the CPU are taken apart for it."""
    with torch.inference_mode(), torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() // 2


def time_run(run: Callable[[], object], device: torch.device) -> float:
    """Milliseconds of a run, the median of a few after one that does not count."""
    spent: list[float] = []
    with torch.inference_mode():
        while len(spent) < REPEATS + 1 and sum(spent) < LONGEST_S:
            begun = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            spent.append(time.perf_counter() - begun)
    return 1000 * float(np.median(spent[1:] or spent))
