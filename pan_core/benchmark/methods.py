"""The networks that a benchmark trains, and the recipe of each."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pan_core
from pan_core.benchmark.protocol import COMPARATORS, PICTURES, Recipe, Variant
from pan_core.code_identity import code_hash
from pan_core.errors import PanError
from pan_core.training.fit import Build, build_network

PROJECT = Path(pan_core.__file__).parents[1]

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
    """The module of a comparator.

    Raises:
        PanError: If there is none of that name.
    """
    if name not in (known := (*COMPARATORS, *PICTURES)):
        raise PanError(f"{name}: no such comparator; known: {', '.join(known)}", code="benchmark.comparator")
    return import_module(f"pan_core.benchmark.comparators.{name}")


def code_of(variant: Variant) -> str:
    """Hash of the code that a variant's figures rest on: network, training and scoring."""
    if variant.name in PICTURES:
        return code_hash(
            "benchmark/picture_clips.py", "benchmark/picture_networks.py", "benchmark/picture_runs.py", "training/schedule.py", "video.py",
            f"benchmark/comparators/{variant.name}.py",
        )  # fmt: skip
    return code_hash(
        "model", "training", "pose/main_person.py", "skeletons.py", "benchmark/runs.py", "evaluation/metrics.py", "evaluation/behaviour.py",
        *([f"benchmark/comparators/{variant.name}.py"] if variant.kind == "comparator" else []),
    )  # fmt: skip
