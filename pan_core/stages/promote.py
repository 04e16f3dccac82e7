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
from pan_core.registry.lineage import LINEAGE, Lineage
from pan_core.registry.models import (
    BEGAN_WITH,
    CHAMPION,
    DATA,
    DECISION,
    PROFILE,
    RECIPE,
    ROLLED_BACK,
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
from pan_core.workspace.training_data import read_material


def run(params: Params, tracked: Run) -> dict:
    """Register the online recognizer of the first split, decide on its test part, and write the summary.

    A refusal is a result, not an error: the champion stays.
    """
    workspace, registry = _Workspace.of(params), registry_of(params.dataset)
    version = _registered(params, workspace, registry, tracked)
    champion = registry.champion()
    already = champion is not None and champion.number == version.number
    decided = bool(version.tags.get(DECISION))
    decision = _decision(params, workspace, registry, version, None if already else champion)
    reason = f"the champion already; its own conditions: {decision.reason}" if already else decision.reason
    if not already and decision.promoted:
        registry.promote(version.number)
    # Last: of a run that is killed before, the next one knows that there is something left to do.
    if not (already and decided):
        registry.tag(version.number, DECISION, reason)
    others = _other_start(workspace)
    write_page(
        paths.PROMOTION,
        decision,
        notes=[f"{name}: {100 * accuracy:.1f} % on the same clips" for name, accuracy in others.items()],
    )
    tracked.artifact(paths.PROMOTION)
    tracked.tag(DECISION, reason)
    outcome = decision.as_dict() | {
        "version": version.number, "reason": reason, "others": others, "already": already and decided,
    }  # fmt: skip
    print(f"{registry.name} version {version.number}: {reason}", flush=True)
    _write_summary(params, registry, outcome)
    return outcome


@dataclass(frozen=True)
class _Workspace:
    """The recognizer of the workspace and the clips of its split.

    Attributes:
        model: Its folder.
        learnt: Clips that it was trained or validated on.
        test: Clips that decide.
        poses: Poses of all clips.
        grouping: What clips of one group have in common.
    """

    model: Path
    learnt: pd.DataFrame
    test: pd.DataFrame
    poses: PoseSet
    grouping: str

    @classmethod
    def of(cls, params: Params) -> "_Workspace":
        """What the stages before have left; the split is the first in use."""
        split, material = params.split.splits[0], read_material()
        parts = material.clips[f"split{split}"]
        learnt = material.clips[parts.isin(["train", "val"])]
        grouping = result_of("split")["grouping"]
        return cls(
            paths.model_folder("online", split), learnt, material.clips[parts == "test"], material.poses, grouping
        )

    def lineage(self, clips: pd.DataFrame) -> Lineage:
        """Where clips come from."""
        return Lineage.of(clips, self.poses.index, self.grouping)

    @property
    def holdout(self) -> DecidingClips:
        """The test clips."""
        return DecidingClips(dict(zip(self.test["clip_id"], self.test["label"], strict=True)), self.lineage(self.test))

    def judged(self, name: str, folder: Path, learnt: Lineage | None) -> Judged:
        """What a model makes of the test clips."""
        loaded = load_model(folder)
        return Judged(name, hits(loaded, self.test, self.poses), frozenset(loaded.labels), learnt)


def _registered(params: Params, workspace: _Workspace, registry: Registry, tracked: Run) -> Version:
    """The version of these very weights, made where there is none."""
    digest = sha256_of(workspace.model / "model.safetensors")
    for version in registry.versions():
        if version.tags.get(SHA256) == digest:
            # Other data or parameters may have led to the same weights.
            for name, value in ((DATA, _data(params)), (RECIPE, params.recipe())):
                registry.tag(version.number, name, value)
            return version
    # A folder for these weights alone: a run that goes on after a kill may have logged others before.
    folder = f"model-{digest[:12]}"
    tracked.artifact(workspace.model, folder)
    tracked.text(json.dumps(_learnt(params, workspace).as_dict(), indent=0), f"{folder}/{LINEAGE}")
    with scratch_folder(cache_folder(), PROFILE) as scratch:
        write_table(profile(workspace.learnt, workspace.poses), "profile", scratch / PROFILE)
        tracked.artifact(scratch / PROFILE, folder)
    evaluate, latency = result_of("evaluate"), result_of("latency")
    tags = {
        SHA256: digest,
        "dataset": params.dataset,
        "test_accuracy_online": f"{evaluate['test_accuracy_online']:.4f}",
        "step_p90_ms": f"{latency['step_p90_ms']:.3f}",
        DATA: _data(params),
        RECIPE: params.recipe(),
        BEGAN_WITH: str(params.retrain.champion),
        "git_commit": git_commit(),
    }
    tracked.require_delivered()  # a version whose files are not there could be loaded by nobody
    return registry.register(tracked.artifact_uri(folder), tracked.run_id, tags)


def _data(params: Params) -> str:
    """Which data: DVC's hash of the footage where the flow gave it, else a hash of the valid clips."""
    return params.retrain.data_version or sha256_of(paths.VALID / "clips.parquet")[:16]


def _decision(
    params: Params, workspace: _Workspace, registry: Registry, version: Version, champion: Version | None
) -> Decision:
    challenger = workspace.judged(f"version {version.number}", workspace.model, _learnt(params, workspace))
    present, others = None, _own_conditions(params)
    by_hand = f"`pan registry promote {version.number}` decides by hand"
    if version.tags.get(ROLLED_BACK):
        others.append(Check("not rolled back before", False, "a person has taken it back", by_hand))
    if champion:
        name = f"version {champion.number} (champion)"
        try:
            folder = registry.fetch(champion)
            present = workspace.judged(name, folder, Lineage.read(folder))
        except PanError as error:
            others.append(Check(f"{name} can be judged", False, str(error), by_hand))
    asked = params.promote
    margins = Margins(asked.accuracy_margin, asked.class_margin, asked.min_clips, asked.min_class_clips)
    return decide(challenger, present, workspace.holdout, margins, others)


def _other_start(workspace: _Workspace) -> dict[str, float]:
    """Accuracy on the test clips of the network that began otherwise; validation clips had chosen, so this is for information."""
    folder = paths.other_folder(workspace.model)
    if not folder.is_dir():
        return {}
    start = load_model(folder).preprocessing["start"]
    name = "trained from the champion's weights" if start == CHAMPION else "trained from nothing"
    return {f"{name}, not chosen": workspace.judged(name, folder, None).accuracy}


def _learnt(params: Params, workspace: _Workspace) -> Lineage:
    """What the recognizer learnt from, itself and by the weights that it began with."""
    own = workspace.lineage(workspace.learnt)
    if load_model(workspace.model).preprocessing.get("start") != CHAMPION:
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
                f"latency of a {what}, this host", latency[f"{what}_p90_ms"] <= budget,
                f"p90 {latency[f'{what}_p90_ms']:.2f} ms", f"{budget:g} ms",
            )
            for what, budget in limits
        ),
        *(
            Check(f"latency of {name}", standing["keeps"], standing["reason"], "its budget in edge/targets.yaml")
            for name, standing in latency["devices"].items() if name in params.latency.required
        ),
        Check(
            "exported model against torch", export["online_difference"] <= params.export.tolerance,
            f"largest difference {export['online_difference']:.1e}", f"{params.export.tolerance:g}",
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
        "test_accuracy": evaluate["test_accuracy"],
        "test_accuracy_clip": evaluate.get("test_accuracy_clip"),
        "test_accuracy_online": evaluate["test_accuracy_online"],
        "test_accuracy_mode": evaluate["test_accuracy_mode"],
        "test_clips": evaluate["test_clips"],
        "test_clips_listed": evaluate["test_clips_listed"],
        "latency_p90_ms": latency["frame_p90_ms"],
        "latency_p50_ms": latency["frame_p50_ms"],
        "latency_p99_ms": latency["frame_p99_ms"],
        "latency_step_p90_ms": latency["step_p90_ms"],
        "latency_kind": latency["kind"],
        "params": export["online_params"],
        "model_bytes": export["online_bytes"],
        "model_sha256": export["online_sha256"],
        "data": _data(params),
        "pose_model": result_of("pose_model")["sha256"][:16],
        "registered_model": registry.name,
        "registered_version": outcome["version"],
        "decision": outcome["reason"],
    }
    row = {key: value for key, value in summary.items() if isinstance(value, int | float)}
    row |= {f"latency_{key}": value for key, value in latency.items() if key.endswith(("_fps", "_step_p90_ms"))}
    names = ("data", "pose_model", "model_sha256", "registered_model", "registered_version", "decision", "latency_kind")
    tags = {name: summary[name] for name in names} | {"report": paths.REPORT}
    run_id = Tracker(params.dataset).close_pipeline(params.fingerprint(), row, tags)
    write_json(paths.SUMMARY, summary | {"mlflow_run_id": run_id})
