"""Stage promote: the trained recognizer becomes the challenger, and takes the champion's place if it may; the summary."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pan_core.errors import PanError
from pan_core.evaluation.clip_scores import hits
from pan_core.files import cache_folder, scratch_folder, sha256_of, write_json
from pan_core.model.store import load_model
from pan_core.params.load import Params
from pan_core.pose.pose_set import PoseSet
from pan_core.quality.profiles import profile
from pan_core.recognition.event_rules import RULES_FILE
from pan_core.registry.lineage import LINEAGE, Lineage
from pan_core.registry.models import (
    BEGAN_WITH,
    CHAMPION,
    DATA,
    DECISION,
    PROFILE,
    RECIPE,
    ROLLED_BACK,
    RULES,
    SHA256,
    Registry,
    Version,
    registry_of,
)
from pan_core.registry.page import write_page
from pan_core.registry.promotion import Check, DecidingClips, Decision, Judged, Margins, decide
from pan_core.tables import write_table
from pan_core.tracking.tracker import Run, Tracker, git_commit
from pan_core.workspace import paths
from pan_core.workspace.paths import result_of
from pan_core.workspace.result_keys import EvaluationKeys, exported_key, latency_key
from pan_core.workspace.training_data import read_training_data, unscored_clips


def run(params: Params, tracked: Run) -> dict:
    """Register the online recognizer of the first split, decide on its test part, and write the summary.

    A refusal is a result, not an error: the champion stays.
    """
    candidate, registry = Candidate.of(params), registry_of(params.dataset)
    version = _register(params, candidate, registry, tracked)
    champion = registry.champion()
    already = champion is not None and champion.number == version.number
    decided = bool(version.tags.get(DECISION))
    decision = _decide(params, candidate, registry, version, None if already else champion)
    reason = f"the champion already; its own conditions: {decision.reason}" if already else decision.reason
    if not already and decision.promoted:
        registry.promote(version.number)
    # Last: a run that is killed before leaves no decision, so that the next run knows that there is something left to do.
    if not (already and decided):
        registry.tag(version.number, DECISION, reason)
    others = _judge_other_start(candidate)
    _write_decision(decision, reason, others, tracked)
    outcome = decision.as_dict() | {
        "version": version.number, "reason": reason, "others": others, "already": already and decided,
    }  # fmt: skip
    print(f"{registry.name} version {version.number}: {reason}", flush=True)
    _write_summary(params, registry, outcome)
    return outcome


def _write_decision(decision: Decision, reason: str, others: dict[str, float], tracked: Run) -> None:
    notes = [f"{name}: {100 * accuracy:.1f} % on the same clips" for name, accuracy in others.items()]
    write_page(paths.PROMOTION, decision, notes=notes)
    tracked.artifact(paths.PROMOTION)
    tracked.tag(DECISION, reason)


@dataclass(frozen=True)
class Candidate:
    """The trained recognizer of the workspace and the clips of its split.

    Attributes:
        model: Its folder.
        learnt: Clips that it was trained or validated on.
        test: Clips that decide and have people.
        unscored: Clips that decide in which nobody was found, or that cannot be used: no model recognises them.
        poses: Poses of all clips.
        grouping: What clips of one group have in common.
    """

    model: Path
    learnt: pd.DataFrame
    test: pd.DataFrame
    unscored: pd.DataFrame
    poses: PoseSet
    grouping: str

    @classmethod
    def of(cls, params: Params) -> "Candidate":
        """What the stages before have left; the split is the first in use."""
        split, data = params.split.splits[0], read_training_data()
        parts = data.clips[f"split{split}"]
        learnt = data.clips[parts.isin(["train", "val"])]
        grouping = result_of("split")["grouping"]
        test, unscored = data.clips[parts == "test"], unscored_clips(data.clips, split)
        return cls(paths.model_folder("online", split), learnt, test, unscored, data.poses, grouping)

    def lineage(self, clips: pd.DataFrame) -> Lineage:
        """Where clips come from."""
        return Lineage.of(clips, self.poses.index, self.grouping)

    @property
    def holdout(self) -> DecidingClips:
        """All listed test clips."""
        listed = pd.concat([self.test, self.unscored])
        labels = dict(zip(listed["clip_id"], listed["label"], strict=True))
        return DecidingClips(labels, self.lineage(self.test), frozenset(self.unscored["clip_id"]))

    def judged(self, name: str, folder: Path, learnt: Lineage | None) -> Judged:
        """What a model makes of the test clips."""
        loaded = load_model(folder)
        found = hits(loaded, self.test, self.poses) | dict.fromkeys(self.unscored["clip_id"], False)
        return Judged(name, found, frozenset(loaded.labels), learnt)


def _register(params: Params, candidate: Candidate, registry: Registry, tracked: Run) -> Version:
    """The version of exactly these weights and rules of events; registered now if there is none."""
    digest, rules = sha256_of(candidate.model / "model.safetensors"), candidate.model / RULES_FILE
    of_rules = sha256_of(rules) if rules.is_file() else ""
    for version in registry.versions():
        if (version.tags.get(SHA256), version.tags.get(RULES, "")) == (digest, of_rules):
            # Other data or parameters may have led to the same weights.
            for name, value in ((DATA, _data_version(params)), (RECIPE, params.recipe())):
                registry.tag(version.number, name, value)
            return version
    # A folder for these files alone: a run that goes on after a kill may have logged others before.
    folder = f"model-{digest[:12]}{of_rules and f'-events-{of_rules[:12]}'}"
    tracked.artifact(candidate.model, folder)
    tracked.text(json.dumps(_lineage(params, candidate).as_dict(), indent=0), f"{folder}/{LINEAGE}")
    with scratch_folder(cache_folder(), PROFILE) as scratch:
        write_table(profile(candidate.learnt, candidate.poses), "profile", scratch / PROFILE)
        tracked.artifact(scratch / PROFILE, folder)
    tracked.require_delivered()  # a version whose files are missing could not be loaded
    tags = _version_tags(params, digest) | ({RULES: of_rules} if of_rules else {})
    return registry.register(tracked.artifact_uri(folder), tracked.run_id, tags)


def _version_tags(params: Params, digest: str) -> dict[str, str]:
    evaluate, latency = result_of("evaluate"), result_of("latency")
    return {
        SHA256: digest,
        "dataset": params.dataset,
        "test_accuracy_online": f"{evaluate[EvaluationKeys('online').accuracy]:.4f}",
        "test_accuracy_counts": evaluate["test_accuracy_counts"],
        "test_share_without_people": f"{evaluate['test_share_without_people']:.4f}",
        "step_p90_ms": f"{latency[latency_key('step', 'p90_ms')]:.3f}",
        DATA: _data_version(params),
        RECIPE: params.recipe(),
        BEGAN_WITH: str(params.retrain.champion),
        "git_commit": git_commit(),
    }


def _data_version(params: Params) -> str:
    """DVC's hash of the footage if the flow gave it, else a hash of the valid clips."""
    return params.retrain.data_version or sha256_of(paths.VALID / "clips.parquet")[:16]


def _decide(
    params: Params, candidate: Candidate, registry: Registry, version: Version, champion: Version | None
) -> Decision:
    challenger = candidate.judged(f"version {version.number}", candidate.model, _lineage(params, candidate))
    present, others = None, _own_conditions(params)
    by_hand = f"`pan registry promote {version.number}` decides by hand"
    if version.tags.get(ROLLED_BACK):
        others.append(Check("not rolled back before", False, "a person has taken it back", by_hand))
    if champion:
        name = f"version {champion.number} (champion)"
        try:
            folder = registry.fetch(champion)
            present = candidate.judged(name, folder, Lineage.read(folder))
        except PanError as error:
            others.append(Check(f"{name} can be judged", False, str(error), by_hand))
    asked = params.promote
    margins = Margins(asked.accuracy_margin, asked.class_margin, asked.min_clips, asked.min_class_clips)
    return decide(challenger, present, candidate.holdout, margins, others)


def _judge_other_start(candidate: Candidate) -> dict[str, float]:
    """Accuracy on the test clips of the network that began otherwise; validation clips had chosen, so this is for information."""
    folder = paths.other_folder(candidate.model)
    if not folder.is_dir():
        return {}
    start = load_model(folder).preprocessing["start"]
    name = "trained from the champion's weights" if start == CHAMPION else "trained from nothing"
    return {f"{name}, not chosen": candidate.judged(name, folder, None).accuracy}


def _lineage(params: Params, candidate: Candidate) -> Lineage:
    """What the recognizer learnt from, itself and by the weights that it began with."""
    own = candidate.lineage(candidate.learnt)
    if load_model(candidate.model).preprocessing.get("start") != CHAMPION:
        return own
    registry = registry_of(params.dataset)
    version = registry.version(params.retrain.champion)
    before = Lineage.read(registry.fetch(version))
    return own | before if before else own


def _own_conditions(params: Params) -> list[Check]:
    """What the stages before have measured of the challenger itself."""
    latency, export, validate = (result_of(stage) for stage in ("latency", "export", "validate"))
    limits = (("step", params.latency.budget_step_ms), ("frame", params.latency.budget_frame_ms))
    failed = validate["expectations_failed"]
    return [
        *(
            Check(
                f"latency of a {part}, this host", latency[latency_key(part, "p90_ms")] <= budget,
                f"p90 {latency[latency_key(part, 'p90_ms')]:.2f} ms", f"{budget:g} ms",
            )
            for part, budget in limits
        ),
        *(
            Check(f"latency of {name}", verdict["keeps"], verdict["reason"], "its budget in edge/targets.yaml")
            for name, verdict in latency["devices"].items() if name in params.latency.required
        ),
        Check(
            "exported model against torch", export[exported_key("online", "difference")] <= params.export.tolerance,
            f"largest difference {export[exported_key('online', 'difference')]:.1e}", f"{params.export.tolerance:g}",
        ),
        Check("expectations on the data", not failed, "; ".join(failed) or "all met", "none failed"),
    ]  # fmt: skip


def _write_summary(params: Params, registry: Registry, outcome: dict) -> None:
    """The figures of the closing table, which are also the pipeline's one row in MLflow."""
    split, pose, evaluate, export, latency = (
        result_of(stage) for stage in ("split", "pose", "evaluate", "export", "latency")
    )
    summary = {
        "dataset": params.dataset,
        "clips": split["clips"],
        "classes": split["classes"],
        "pose_pck": pose["pck"],
        **_test_figures(evaluate),
        "latency_p90_ms": latency[latency_key("frame", "p90_ms")],
        "latency_p50_ms": latency[latency_key("frame", "p50_ms")],
        "latency_p99_ms": latency[latency_key("frame", "p99_ms")],
        "latency_step_p90_ms": latency[latency_key("step", "p90_ms")],
        "latency_kind": latency["kind"],
        "params": export[exported_key("online", "params")],
        "model_bytes": export[exported_key("online", "bytes")],
        "model_sha256": export[exported_key("online", "sha256")],
        "data": _data_version(params),
        "pose_model": result_of("pose_model")["sha256"][:16],
        "registered_model": registry.name,
        "registered_version": outcome["version"],
        "decision": outcome["reason"],
    }
    row = {key: value for key, value in summary.items() if isinstance(value, int | float)}
    row |= {f"latency_{key}": value for key, value in latency.items() if key.endswith(("_fps", "_step_p90_ms"))}
    names = (
        "test_accuracy_counts",
        "data",
        "pose_model",
        "model_sha256",
        "registered_model",
        "registered_version",
        "decision",
        "latency_kind",
    )
    tags = {name: summary[name] for name in names} | {"report": paths.REPORT}
    run_id = Tracker(params.dataset).close_pipeline(params.fingerprint(), row, tags)
    write_json(paths.SUMMARY, summary | {"mlflow_run_id": run_id})


def _test_figures(evaluate: dict) -> dict:
    """Test accuracy of both modes, and what it counts."""
    return {
        "test_accuracy": evaluate["test_accuracy"],
        "test_accuracy_clip": evaluate.get(EvaluationKeys("clip").accuracy),
        "test_accuracy_online": evaluate[EvaluationKeys("online").accuracy],
        "test_accuracy_mode": evaluate["test_accuracy_mode"],
        "test_clips": evaluate["test_clips"],
        "test_clips_listed": evaluate["test_clips_listed"],
        "test_share_without_people": evaluate["test_share_without_people"],
        "test_accuracy_counts": evaluate["test_accuracy_counts"],
    }
