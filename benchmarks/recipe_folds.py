"""How a change of the recipe fares on clips that are never test: cross-validation inside the training parts.

    PAN_MIRROR=... python benchmarks/recipe_folds.py penn_action --folds 2
    PAN_MIRROR=... python benchmarks/recipe_folds.py jhmdb14 --folds 4 --mode online --set epochs=120 --set cut=0
    PAN_MIRROR=... python benchmarks/recipe_folds.py jhmdb14 --folds 4 --set 'pretrained_on="penn_action"'
    PAN_MIRROR=... python benchmarks/recipe_folds.py jhmdb_video --folds 4 --split 1

Takes the clips that are in the training part of every official split, or of one. No film is in two folds if the dataset names films;
else a fold is a run of neighbours in each class, because neighbours often come from one film. Clips without people count as
mistakes. Prints accuracy and log loss over all clips, each scored by the network that did not see it. `--set` takes any setting of the network, the training or the augmentation.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold
from tqdm import tqdm

from pan_core.benchmark.prepared_data import BenchmarkData, prepare
from pan_core.benchmark.protocol import Recipe
from pan_core.benchmark.runs import pretrain
from pan_core.files import cache_folder
from pan_core.model.features import MODES
from pan_core.params.load import Params
from pan_core.training.fit import body, fit
from pan_core.training.predict import predict
from pan_core.training.samples import Samples
from pan_core.workspace.context import dataset_context
from pan_core.workspace.recipe import project_poses, project_recipe


def never_test(data: BenchmarkData, recipe: Recipe, mode: str, split: int | None) -> tuple[Samples, int]:
    """Samples of the clips that every split trains on, or one split, and how many of them show nobody."""
    parts = data.parts(split or data.splits[0]).copy()
    for each in [split] if split else data.splits:
        parts[data.parts(each) != "train"] = "unused"
    samples = data.samples(parts, "train", mode=mode, frames=recipe.frames, rate=recipe.rate)
    return samples, int((parts == "train").sum()) - len(samples)


def choose_folds(data: BenchmarkData, samples: Samples, folds: int) -> np.ndarray:
    """Fold of each clip, (N,): by film if films are named, else equal runs of each class in the order of the clip ids."""
    own = data.clips.set_index("clip_id", drop=False).loc[samples.clip_ids]
    if (own["group"] != "").all() and own["group"].nunique() < len(own):
        # The same folds for every seed, so that seeds can be compared.
        cut = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
        fold = np.zeros(len(samples), dtype=int)
        for number, (_, held) in enumerate(cut.split(samples.labels, samples.labels, own["group"])):
            fold[held] = number
        return fold
    fold = np.zeros(len(samples), dtype=int)
    for label in np.unique(samples.labels):
        rows = np.flatnonzero(samples.labels == label)
        fold[rows[np.argsort(samples.clip_ids[rows])]] = np.arange(len(rows)) * folds // len(rows)
    return fold


def changed(recipe: Recipe, values: dict[str, Any]) -> Recipe:
    """The recipe with other settings, each by its name in network, training or augmentation."""
    own = {"frames": recipe.frames, "rate": recipe.rate, "pretrained_on": recipe.pretrained_on}
    parts = {"network": recipe.network, "training": recipe.training, "augmentation": recipe.training.augmentation}
    known = {name: {field.name for field in fields(part)} - {"augmentation"} for name, part in parts.items()}
    if unknown := values.keys() - own.keys() - set().union(*known.values()):
        sys.exit(
            f"--set: unknown {', '.join(sorted(unknown))}; known: {', '.join(sorted(set().union(own, *known.values())))}"
        )
    chosen = {name: {key: value for key, value in values.items() if key in keys} for name, keys in known.items()}
    training = replace(
        recipe.training,
        **chosen["training"],
        augmentation=replace(recipe.training.augmentation, **chosen["augmentation"]),
    )
    return Recipe(
        replace(recipe.network, **chosen["network"]), training,
        frames=values.get("frames", recipe.frames), rate=values.get("rate", recipe.rate),
        pretrained_on=values.get("pretrained_on", recipe.pretrained_on),
    )  # fmt: skip


def score(samples: Samples, recipe: Recipe, fold: np.ndarray, seed: int, source: BenchmarkData | None) -> np.ndarray:
    """Probability of each class, (N, K), by networks that did not see the clip."""
    start = None
    if source:
        with tempfile.TemporaryDirectory() as folder:
            found = pretrain(
                source, recipe, layout=samples.layout, mode=samples.mode, seed=seed, checkpoint=Path(folder) / "c.pt"
            )
        start = body(found.model)
    stated = np.zeros((len(samples), len(samples.classes)))
    for number in tqdm(np.unique(fold), desc="folds", unit="fold"):
        held = np.flatnonzero(fold == number)
        with tempfile.TemporaryDirectory() as folder:
            found = fit(
                samples.select(np.flatnonzero(fold != number)), None, settings=recipe.training,
                model_settings=recipe.network, checkpoint=Path(folder) / "c.pt", seed=seed,
                start=start,
            )  # fmt: skip
        stated[held] = predict(found.model, samples.select(held)).probabilities
    return stated


def summarise(stated: np.ndarray, labels: np.ndarray, nobody: int) -> dict[str, float]:
    """Accuracy of all clips, and the log loss of those that show somebody."""
    right = stated[np.arange(len(labels)), labels]
    return {
        "clips": len(labels) + nobody,
        "without_people": nobody,
        "accuracy": float((stated.argmax(axis=1) == labels).sum() / (len(labels) + nobody)),
        "log_loss": float(-np.log(np.maximum(right, 1e-9)).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--mode", choices=MODES, default="clip")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", type=int, help="training part of this split; of every split if left out")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another setting")
    arguments = parser.parse_args()
    if arguments.folds < 2:
        parser.error(f"--folds: expected 2 or more, but got {arguments.folds}")
    torch.set_num_threads(1)
    values = {name: json.loads(value) for name, value in (item.split("=", 1) for item in arguments.set)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    recipe = changed(project_recipe(arguments.dataset), values)
    context = dataset_context(Params(dataset=arguments.dataset))
    data, *sources = (
        prepare(name, cache_folder() / "benchmark" / name, context, poses=project_poses())
        for name in (arguments.dataset, recipe.pretrained_on)
        if name
    )
    if arguments.split and arguments.split not in data.splits:
        parser.error(f"--split: {arguments.dataset} has splits {data.splits}, but got {arguments.split}")
    samples, nobody = never_test(data, recipe, arguments.mode, arguments.split)
    fold = choose_folds(data, samples, arguments.folds)
    stated = score(samples, recipe, fold, arguments.seed, sources[0] if sources else None)
    found = summarise(stated, samples.labels, nobody)
    print(
        json.dumps({"dataset": arguments.dataset, "mode": arguments.mode, "split": arguments.split, **values, **found})
    )


if __name__ == "__main__":
    main()
