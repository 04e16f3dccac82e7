"""Open-set recognition on JHMDB: are clips of classes that a recognizer never learnt told from those that it knows?

    PAN_MIRROR=... python benchmarks/open_set.py [--draws 3] [--epochs 40] [--out open_set.json]

Each draw learns 14 of the 21 classes from the training part of split 1 and is asked about the clips of its test part, of
all classes. Scores of a clip at its end, from the network without "none" and from the one with it:

- maximum softmax probability (Hendrycks and Gimpel, 2017);
- energy, the logarithm of the sum of the exponentials of the logits (Liu et al., 2020);
- Mahalanobis distance of the features before the class head from the nearest class, one covariance for all (Lee et al., 2018);
- with "none": the largest class probability, which is what captions and events go by, and 1 minus the probability of "none".

The network with "none" also sees Penn Action, without its classes that JHMDB has as well, and drawn people who do nothing
in particular (outlier exposure, Hendrycks et al., 2019). Nothing is chosen by looking at test clips. AUROC is of known
against unknown clips; "kept out" is the share of unknown clips below the threshold that 80 % of the known ones reach.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score

from pan_core.benchmark.prepared_data import BenchmarkData, prepare
from pan_core.files import cache_folder
from pan_core.model.features import PoseFeatures
from pan_core.model.pan import PAN
from pan_core.params.load import Params
from pan_core.training.background import as_background, roughen
from pan_core.training.fit import fit
from pan_core.training.samples import Samples, join_samples
from pan_core.workspace.context import dataset_context
from pan_core.workspace.recipe import project_poses, project_recipe
from pan_core.workspace.training_data import background_samples

KNOWN, KEPT = 14, 0.8
SHARED = ("golf_swing", "pullup", "baseball_swing", "baseball_pitch")
"""Penn Action's classes that JHMDB has as well, under another name or nearly."""


def main() -> None:
    """Run all draws and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    films, penn = (_prepare(name) for name in ("jhmdb_video", "penn_action"))
    rows = []
    for draw in range(arguments.draws):
        rows += run_draw(films, penn, draw, arguments.epochs)
        if arguments.out:
            arguments.out.write_text(json.dumps(rows, indent=1))
    print("| score | AUROC | unknown clips kept out |\n| --- | --- | --- |")
    for score in dict.fromkeys(row["score"] for row in rows):
        own = [row for row in rows if row["score"] == score]
        auroc, out = ([100 * row[key] for row in own] for key in ("auroc", "kept_out"))
        print(f"| {score} | {np.mean(auroc):.1f} ({min(auroc):.1f} to {max(auroc):.1f}) | {np.mean(out):.1f} % |")


def run_draw(films: BenchmarkData, penn: BenchmarkData, draw: int, epochs: int) -> list[dict]:
    """Both networks of one draw, and how well each score tells known from unknown."""
    recipe = project_recipe("jhmdb_video", epochs)
    chosen = np.sort(np.random.default_rng(draw).permutation(len(films.classes))[:KNOWN])
    train, test = (
        films.samples(films.parts(1), part, mode="online", frames=recipe.frames, rate=recipe.rate)
        for part in ("train", "test")
    )
    train = _of_classes(train, chosen)
    exposure = penn.samples(penn.parts(penn.splits[0]), "train", mode="online", frames=recipe.frames, rate=recipe.rate)
    allowed = [number for number, name in enumerate(penn.classes) if name not in SHARED]
    others = as_background(exposure.select(np.flatnonzero(np.isin(exposure.labels, allowed))), train)
    others = roughen(others, train, np.random.default_rng(draw))
    background = join_samples([others, background_samples(train, seed=draw)])
    known = np.isin(test.labels, chosen)
    rows = []
    for none in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            model = fit(
                train, None, settings=replace(recipe.training, chained=0.0), seed=draw,
                model_settings=replace(recipe.network, none=none), checkpoint=Path(folder) / "c.pt",
                background=background if none else None,
            ).model  # fmt: skip
        scores, said = score_clips(model, train, test)
        right = float((chosen[said] == test.labels)[known].mean())
        for name, values in scores.items():
            row = {"draw": draw, "score": f"{name}{', with none' * none}", "accuracy": right, **compare(values, known)}
            rows.append(row)
            print(json.dumps(row), flush=True)
    return rows


def compare(values: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """AUROC, and the share of unknown clips below the threshold that `KEPT` of the known ones reach."""
    threshold = np.quantile(values[known], 1 - KEPT)
    return {"auroc": float(roc_auc_score(known, values)), "kept_out": float((values[~known] < threshold).mean())}


def score_clips(model: PAN, train: Samples, test: Samples) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Each score of the test clips, larger for known ones, and their most likely class."""
    logits, features = read_ends(model, test)
    _, learnt = read_ends(model, train)
    known = logits[:, : model.classes]
    softmax = np.exp(known - logsumexp(known, axis=1, keepdims=True))
    means = np.stack([learnt[train.labels == label].mean(axis=0) for label in range(model.classes)])
    apart = learnt - means[train.labels]
    inverse = np.linalg.pinv(apart.T @ apart / len(apart) + 1e-3 * np.eye(apart.shape[1]))
    differences = features[:, None] - means
    distances = np.einsum("nkd,de,nke->nk", differences, inverse, differences).min(axis=1)
    scores = {"maximum softmax": softmax.max(axis=1), "energy": logsumexp(known, axis=1), "Mahalanobis": -distances}
    if model.settings.none:
        full = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
        scores |= {"largest class probability": full[:, :-1].max(axis=1), "probability of a class": 1 - full[:, -1]}
    return scores, known.argmax(axis=1)


@torch.inference_mode()
def read_ends(model: PAN, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Logits at the end of each clip, and the features before the class head, (N, 2 H)."""
    describe, seen = PoseFeatures(samples.layout, mode=samples.mode), []
    hook = model.class_head.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0][0, -1]))
    logits = [
        model(torch.from_numpy(describe(samples.batch(np.array([number])).joints))).logits[0, -1]
        for number in range(len(samples))
    ]
    hook.remove()
    return torch.stack(logits).double().numpy(), torch.stack(seen).double().numpy()


def _of_classes(samples: Samples, chosen: np.ndarray) -> Samples:
    """Clips of some classes, whose numbers are then their places among these."""
    kept = samples.select(np.flatnonzero(np.isin(samples.labels, chosen)))
    names = tuple(samples.classes[number] for number in chosen)
    return replace(
        kept, labels=np.searchsorted(chosen, kept.labels), classes=names, actions=names, holds=kept.holds[:, chosen]
    )


def _prepare(name: str) -> BenchmarkData:
    context = dataset_context(Params(dataset=name))
    return prepare(name, cache_folder() / "benchmark" / name, context, poses=project_poses())


if __name__ == "__main__":
    main()
