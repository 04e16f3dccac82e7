"""How far footage of one kind diverges from itself: what the thresholds of `drift` in params.yaml must be above.

    PAN_MIRROR=... python benchmarks/drift_thresholds.py jhmdb14 penn_action
    PAN_MIRROR=... python benchmarks/drift_thresholds.py jhmdb14 penn_action --change height=0.5

Compares random halves of a dataset, and samples of one half with the other. A half takes whole runs of neighbours of each
class, because neighbours often come from one film, which no group names in these datasets. Prints, for each number of new
clips, the 99th percentile over the repeats of the divergence and of what it is above that of chance, and in how many repeats
any measure was above chance by more than 0, 0.05 and 0.1. With `--change` a number of the new clips is multiplied, so that
these repeats are those that find the change.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pandas as pd
from scipy.stats import entropy
from tqdm import tqdm

from pan_core.datasets.base import Context
from pan_core.datasets.registry import dataset_by_name
from pan_core.pose.pose_set import PoseSet, write_pose_set
from pan_core.quality import DriftSettings, profile
from pan_core.quality.partition import Partition
from pan_core.quality.profiles import FEATURES

SIZES = (20, 30, 50, 100, 0)  # 0: the whole half
TOLERATED = (0.0, 0.05, 0.1)


def profile_of(name: str) -> pd.DataFrame:
    """Profile of all clips of a dataset with annotated joints, in the order of their names."""
    dataset = dataset_by_name(name)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        context = Context(cache=folder / "cache", mirror=Path(os.environ["PAN_MIRROR"]), download=False)
        dataset.fetch(folder / "raw", context)
        clips = dataset.catalogue(folder / "raw", context).clips
        write_pose_set(folder / "poses", dataset.layout, dataset.poses(folder / "raw", clips))
        return profile(clips, PoseSet(folder / "poses")).sort_values("clip_id", ignore_index=True)


def half(table: pd.DataFrame, run: int, random: np.random.Generator) -> np.ndarray:
    """Clips of one half, bool: of each class half of its runs of `run` neighbours."""
    runs = table.groupby("label").cumcount() // run
    chosen = np.zeros(len(table), dtype=bool)
    for label, rows in table.groupby("label").groups.items():
        numbers = runs[rows].unique()
        taken = random.permutation(numbers)[: (len(numbers) + random.integers(2)) // 2]
        chosen |= (table["label"] == label).to_numpy() & runs.isin(taken).to_numpy()
    return chosen


def divergences(reference: pd.DataFrame, new: pd.DataFrame, settings: DriftSettings) -> dict[str, tuple[float, float]]:
    """Divergence of each measure, and that of chance."""
    partitions = {
        feature.column: Partition.of_numbers(reference[feature.column], step=feature.step, bins=settings.bins)
        for feature in FEATURES
    }
    partitions["label"] = Partition.of_classes(reference["label"], {*reference["label"], *new["label"]})
    found = {}
    for column, partition in partitions.items():
        low, high = np.split(np.array(partition.expected.get("tail_weights", ())), 2)
        expected = np.concatenate([low, partition.expected["weights"], high])
        counts = partition.count(new[column])
        found[column] = (float(entropy(counts, expected)), partition.by_chance(int(counts.sum()), settings.level))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--run", type=int, default=10, help="neighbours that stay together")
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--change", metavar="COLUMN=FACTOR", help="of the new clips")
    arguments = parser.parse_args()
    column, factor = arguments.change.split("=") if arguments.change else ("height", 1)
    settings = DriftSettings()
    for name in arguments.datasets:
        table, random = profile_of(name), np.random.default_rng(0)
        for size in SIZES:
            rows = []
            for _ in tqdm(range(arguments.repeats), desc=f"{name}, {size or 'half'}"):
                chosen = half(table, arguments.run, random)
                new = table[chosen].sample(size, random_state=random) if size else table[chosen]
                new = new.assign(**{column: new[column] * float(factor)})
                rows.append(divergences(table[~chosen], new, settings))
            seen, chance = (pd.DataFrame([{k: v[i] for k, v in row.items()} for row in rows]) for i in (0, 1))
            above = seen - chance
            figures = pd.DataFrame({"divergence": seen.quantile(0.99), "above chance": above.quantile(0.99)}).round(3)
            shares = ", ".join(f"{limit:g}: {(above > limit).any(axis=1).mean():.0%}" for limit in TOLERATED)
            print(
                f"{name}, {size or 'half of the'} clips\n{figures.to_string()}\nany above chance by more than {shares}\n"
            )


if __name__ == "__main__":
    main()
