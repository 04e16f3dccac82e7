"""The networks that a benchmark trains, and the recipe of each."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pan_core
from pan_core.benchmark.protocol import COMPARATORS, Recipe, Variant
from pan_core.errors import PanError
from pan_core.files import code_hash
from pan_core.training.fit import Build, build_network

PROJECT = Path(pan_core.__file__).parents[1]
COMPARATORS_FOLDER = PROJECT / "benchmarks" / "comparators"

JOINTS_LOSS = "joints_loss"
SWITCHES = {
    "pooling": "pooling",
    "joints_attention": "joints_attention",
    "pose_attention": "pose_attention",
    "recurrence": "recurrent",
}
"""Setting of the network that switches a part of the paper on or off."""


def recipe_of(variant: Variant, recipe: Recipe) -> Recipe:
    """The recipe of a variant.

    A comparator has no atomic actions, so it is trained on the classes alone; an ablation has one part of the paper
    switched: left out, or put in where the recipe does without it.
    """
    if variant.kind == "comparator":
        return replace(recipe, training=replace(recipe.training, lambda_joints=0.0))
    if variant.kind != "ablation":
        return recipe
    if variant.name == JOINTS_LOSS:
        return replace(recipe, training=replace(recipe.training, lambda_joints=0.0))
    switch = SWITCHES[variant.name]
    switched: dict[str, Any] = {switch: not getattr(recipe.network, switch)}
    return replace(recipe, network=replace(recipe.network, **switched))


def build_of(variant: Variant) -> Build:
    """What makes the network of a variant."""
    return comparator(variant.name).build if variant.kind == "comparator" else build_network


def comparator(name: str) -> ModuleType:
    """The module of a comparator, out of the project's `benchmarks/comparators`.

    Raises:
        PanError: Where the package was installed without the project around it.
    """
    path = _comparator_file(name)
    key = f"benchmarks.comparators.{name}"
    if key not in sys.modules:
        spec = importlib.util.spec_from_file_location(key, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[key] = module
    return sys.modules[key]


def comparators_at_hand() -> bool:
    """Whether the package lies in a checkout of the project, which has the comparators."""
    return COMPARATORS_FOLDER.is_dir()


def code_of(variant: Variant) -> str:
    """Hash of the code that a variant's figures rest on: network, training and scoring."""
    return code_hash(
        "model", "training", "skeletons.py", "benchmark/runs.py", "evaluation/metrics.py", "evaluation/behaviour.py",
        others=[_comparator_file(variant.name)] if variant.kind == "comparator" else [],
    )  # fmt: skip


def _comparator_file(name: str) -> Path:
    path = COMPARATORS_FOLDER / f"{name}.py"
    if name not in COMPARATORS or not path.is_file():
        raise PanError(f"{path}: no such comparator; comparators come with a checkout of the project, not the package")
    return path
