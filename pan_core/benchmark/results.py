"""The figures of a benchmark: means over seeds and splits, as docs/results/<dataset>.json holds them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from pan_core.benchmark.runs import Record
from pan_core.errors import ConfigError, DataError
from pan_core.evaluation.metrics import OBSERVED_SHARES
from pan_core.evaluation.statistics import PairedComparison, compare, mean_interval
from pan_core.model.features import MODES

SECTIONS = {"ablation": "ablations", "comparator": "comparators", "control": "controls"}
KEPT = (
    "seed", "split", "mode", "accuracy", "mean_class_accuracy", "pretrain_seconds", "train_seconds", "test_clips", "nobody_found",
    "params", "git_commit", "data_hash", "identity", "accuracy_by_observed_share", "cost", "weights", "unread_clips",
)  # fmt: skip
"""Figures of a run that a result file holds, beside its hits."""


def summarise(records: Sequence[Record]) -> dict:
    """Figures of one variant: those of clip mode by plain names, those of online mode beside them.

    A mean is the mean over seeds of the mean over splits; a standard deviation is that of the seeds' means. It is null
    for a single seed, as everything is of a mode that was not run.

    Args:
        records: Runs of the variant.
    """
    clip, online = (_summarise_mode(records, mode) for mode in ("clip", "online"))
    figures = {**clip, "params": max(record["params"] for record in records)}
    figures |= {f"online_{name}": value for name, value in online.items()}
    if clip["mean_accuracy"] is not None and online["mean_accuracy"] is not None:
        figures["online_loss"] = clip["mean_accuracy"] - online["mean_accuracy"]
    curves = [r["accuracy_by_observed_share"] for r in records if r["mode"] == "online"]
    if curves:
        figures["online_accuracy_by_observed_share"] = {
            f"{share:.0%}": float(value) for share, value in zip(OBSERVED_SHARES, np.mean(curves, axis=0), strict=True)
        }
    if costs := [record["cost"] for record in records if record.get("cost")]:
        figures["cost"] = costs[0]
    ordered = sorted(records, key=lambda r: (r["mode"], r["seed"], r["split"]))
    return figures | {"runs": [_select_figures(record) for record in ordered]}


def _select_figures(record: Record) -> dict:
    """What a result file holds of a run; its hits as a 1 or a 0 for each test clip, in the order of their ids."""
    measured = {"behaviour": record["behaviour"]} if "behaviour" in record else {}
    hits = "".join(str(int(hit)) for _, hit in sorted(record["hits"].items()))
    # A control has a test part of its own in every run.
    clips = {"clips": sorted(record["hits"])} if record["kind"] == "control" else {}
    return {name: record[name] for name in KEPT if name in record} | measured | {"hits": hits} | clips


def _summarise_mode(records: Sequence[Record], mode: str) -> dict:
    own = [record for record in records if record["mode"] == mode]
    names = ("mean_accuracy", "std_accuracy", "interval95", "mean_class_accuracy", "seeds")
    if not own:
        return dict.fromkeys(names)
    seeds = sorted({record["seed"] for record in own})
    by_seed = [np.mean([r["accuracy"] for r in own if r["seed"] == seed]) for seed in seeds]
    values = (
        float(np.mean(by_seed)),
        float(np.std(by_seed, ddof=1)) if len(seeds) > 1 else None,
        list(mean_interval(list(hits_by_split(own).values()))),
        float(np.mean([r["mean_class_accuracy"] for r in own])),
        len(seeds),
    )
    return dict(zip(names, values, strict=True))


def _average_reactions(records: Sequence[Record]) -> dict:
    """Share of predictions that each change of the clips changes, mean over splits of the runs that measured it."""
    found = [record["behaviour"] for record in records if "behaviour" in record]
    names = ("changed", "moved", "gained")
    return {
        change: {name: float(np.mean([own[change][name] for own in found])) for name in names}
        for change in (found[0] if found else ())
    }


def hits_by_split(records: Iterable[Record]) -> dict[int, dict[str, float]]:
    """Share of the runs in which each test clip was recognised, by split and clip id."""
    found: dict[int, dict[str, list[bool]]] = {}
    for record in records:
        for clip_id, hit in record["hits"].items():
            found.setdefault(record["split"], {}).setdefault(clip_id, []).append(hit)
    return {
        split: {clip_id: float(np.mean(hits)) for clip_id, hits in own.items()} for split, own in sorted(found.items())
    }


def build_results(head: Mapping[str, object], records: Sequence[Record]) -> dict:
    """The whole result file.

    Args:
        head: What stands before the figures: dataset, title, hashes, settings.
        records: Runs of every variant; those of the recognizer itself are among them.
    """
    own = [record for record in records if record["kind"] == "model"]
    result = dict(head) | summarise(own)
    result["test_clips"] = {str(record["split"]): sorted(record["hits"]) for record in own}
    result["behaviour"] = {mode: _average_reactions([r for r in records if r["mode"] == mode]) for mode in MODES}
    for kind, section in SECTIONS.items():
        methods = dict.fromkeys(record["method"] for record in records if record["kind"] == kind)
        result[section] = [
            {"method": method, **summarise([r for r in records if (r["kind"], r["method"]) == (kind, method)])}
            for method in methods
        ]
    return result


def stored_runs(path: Path) -> list[Record]:
    """Every run of a result file, with its kind, its method and its hits by clip id.

    Raises:
        DataError: If the file is missing or is not a result.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: no such result; `pan benchmark NAME` writes docs/results/NAME.json", code="result.missing"
        )
    try:
        result = json.loads(path.read_text())
        named = [("model", "pan", result)]
        named += [(kind, own["method"], own) for kind, section in SECTIONS.items() for own in result[section]]
        return [
            run
            | {"kind": kind, "method": method}
            | {"hits": dict(zip(_list_tested(run, result), map(int, run["hits"]), strict=True))}
            for kind, method, own in named
            for run in own["runs"]
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path}: not a result file of `pan benchmark` ({type(error).__name__}: {error})", code="result.damaged"
        ) from error


def _list_tested(run: Record, result: Mapping) -> list[str]:
    """Test clips of a stored run, in the order of its hits."""
    return run["clips"] if "clips" in run else result["test_clips"][str(run["split"])]


def compare_results(first: Path, second: Path, *, mode: str = "clip") -> PairedComparison:
    """Paired test between the recognizers of two result files, on the runs that both have.

    Raises:
        ConfigError: If the mode is unknown.
        DataError: If a file is not a result, or the files are of different data or have no run in common.
    """
    if mode not in MODES:
        raise ConfigError("pan benchmark compare", [f"--mode: unknown {mode!r}; known: {', '.join(MODES)}"])
    one, other = (
        {(r["split"], r["seed"]): r for r in stored_runs(path) if (r["kind"], r["mode"]) == ("model", mode)}
        for path in (first, second)
    )
    common = sorted(one.keys() & other.keys())
    if not common:
        raise DataError(
            f"{first} and {second}: no split and seed of {mode} mode that both have been run on",
            code="result.no-common-run",
        )
    if {one[key]["data_hash"] for key in common} != {other[key]["data_hash"] for key in common}:
        raise DataError(
            f"{first} and {second}: were measured on different data, so their clips cannot be paired",
            code="result.other-data",
        )
    hits = [hits_by_split([runs[key] for key in common]) for runs in (one, other)]
    return compare(*(list(own.values()) for own in hits))
