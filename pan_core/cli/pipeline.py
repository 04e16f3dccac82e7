"""The whole pipeline as a user starts it: `dvc repro` with a clear answer where it cannot start, and the summary."""

import difflib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pan_core.datasets import check_name, dataset_by_name
from pan_core.errors import DataError, PanError
from pan_core.files import atomic_path, read_json
from pan_core.params.load import PARAMS_FILE, Params, load_params, set_dataset
from pan_core.workers.pool import die_with_parent
from pan_core.workspace import paths
from pan_core.workspace.lock import one_run

if TYPE_CHECKING:
    from pan_core.live.picture import SceneStyle
    from pan_core.pose.extraction import PoseExtractor
    from pan_core.recognition.recognizer import Recognizer
    from pan_core.recognition.step_network import StepNetwork


def repro(dataset: str | None = None, *, target: str | None = None) -> None:
    """Run every stage that is out of date.

    Args:
        dataset: Written into params.yaml first, as `dvc exp run --set-param` would.
        target: Only this stage and what it rests on.

    Raises:
        PanError: Where parameters are wrong, another run is going on, or a stage failed.
    """
    params = load_params()
    dataset_by_name(dataset or params.dataset)
    with one_run(Path.cwd()):
        if dataset and set_dataset(dataset):
            print(f"{PARAMS_FILE}: dataset is now {dataset}", flush=True)
            params = load_params()
        # The stages are called by name, also where the environment was not activated.
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        done = subprocess.run(
            [sys.executable, "-m", "dvc", "repro", *([target] if target else [])],
            check=False,
            env=environment,
            preexec_fn=die_with_parent,
        )
        from pan_core.tracking.tracker import deliver_waiting

        deliver_waiting()
        if done.returncode:
            raise PanError(
                "the run stopped, see the message above; finished work is kept, run again to go on from there"
            )
        if params.removes_videos and (now := load_params()).removes_videos and not target:
            print(remove_videos(now), flush=True)


def remove_videos(params: Params) -> str:
    """Remove footage whose skeletons are stored, as `pose.keep_video: false` asks; returns what became of it, in lines.

    Raises:
        PanError: Where the parameters do not ask for it, the footage serves retraining, or its stages have not run.
    """
    from pan_core.workspace.footage_removal import remove_videos as remove

    found = remove(params)
    lines = list(found.kept)
    if found.videos:
        lines.append(
            f"removed {len(found.videos)} videos ({len(found.files)} files) whose skeletons are stored; {paths.REMOVED} has each. "
            "What looked at them looks at the skeletons in the next run"
        )
    return "\n".join(lines or ["no video is left in the footage"])


def tune_here(*, worker: bool, show: bool) -> str:
    """Search hyperparameters, help with a search, or show how it stands.

    Args:
        worker: Work on the study of this workspace beside other processes, instead of leading it.
        show: Show only.

    Returns:
        How the study stands.

    Raises:
        PanError: Where no trials are asked for, or what the study rests on is missing.
    """
    if worker and show:
        raise PanError("pan tune: --worker works and --show only shows; choose one of them")
    params = load_params()
    if params.tune.trials == 0:
        raise PanError(
            f"{PARAMS_FILE}: tune.trials is 0, so nothing is searched; set how many complete trials are wanted"
        )
    if not worker and not show:
        repro(target="tune")
    from pan_core.stages import tune
    from pan_core.tuning.study_report import describe

    return tune.join(params) if worker else describe(tune.open_study(params))


def predict(
    video: Path, *, out: Path, model: Path | None = None, dataset: str | None = None, scene: "SceneStyle | None" = None
) -> str:
    """Recognise the actions in a video; writes the annotated video and the timeline.

    Args:
        video: Video file.
        out: Folder to write to.
        model: Folder of an online recognizer. Where None the champion, or what the last run trained while there is none.
        dataset: Whose champion; that of params.yaml where None.
        scene: What the annotated video shows behind the skeletons; all of it where None.

    Returns:
        What was found, in a few lines.

    Raises:
        PanError: Where the video cannot be decoded or nothing has been trained.
    """
    from pan_core.progress import progress_bar
    from pan_core.video import probe

    probe(video)  # before the networks, which take seconds to load
    from pan_core.live.picture import SceneStyle, background
    from pan_core.recognition.predict_video import predict_video

    recognizer, name, extractor = _recognizer(model, dataset)
    with progress_bar("predict", "frame") as update:
        found = predict_video(
            video, extractor=extractor, recognizer=recognizer, out=out, model_name=name, progress=update,
            background=lambda frame: background(frame, scene or SceneStyle.FULL),
        )  # fmt: skip
    lines = [
        f"person {p.id}: {p.label} ({p.confidence:.0%}), {p.start_s:.1f} s to {p.end_s:.1f} s" for p in found.people
    ]
    return "\n".join(
        [
            f"recognizer: {name}",
            *(lines or [str(found.reason)]),
            f"written: {out / str(found.annotated)}",
            f"written: {out / (video.stem + '_timeline.json')}",
        ]
    )


def label(folder: Path, *, out: Path, model: Path | None = None, dataset: str | None = None) -> str:
    """Suggest labels for the footage that has none, as tasks for Label Studio.

    Args:
        folder: Videos; those that a manifest in it lists are left alone.
        out: JSON file to write; the labelling configuration goes beside it.
        model: As for `predict`.
        dataset: As for `predict`.

    Returns:
        What was found, in a few lines.

    Raises:
        PanError: Where there are no videos, none can be read, or nothing has been trained.
    """
    from pan_core.datasets.manifests import unlabelled_videos
    from pan_core.datasets.manifests.label_studio_tasks import ROOT_VARIABLE, local_address, write_tasks
    from pan_core.progress import progress_bar
    from pan_core.retraining.suggest_labels import label_videos

    if out.suffix.lower() != ".json":
        raise DataError(f"{out}: expected the name of a JSON file, such as {out.with_suffix('.json')}")
    videos = unlabelled_videos(folder)
    if not videos:
        return f"{folder}: every video has labels; nothing is written"
    recognizer, name, extractor = _recognizer(model, dataset)
    root = Path(os.environ.get(ROOT_VARIABLE) or folder.resolve().parent)
    with progress_bar("label", "frame") as update:
        found = label_videos(
            videos,
            extractor=extractor,
            recognizer=recognizer,
            model_name=name,
            address=lambda video: local_address(folder, video, root),
            progress=update,
        )
    config = write_tasks(found.tasks, list(dict.fromkeys([*recognizer.actions, *recognizer.labels])), out)
    lines = [f"recognizer: {name}", *(f"left out: {video}: {reason}" for video, reason in found.left_out.items())]
    if found.empty:
        lines.append(f"nobody found in {len(found.empty)} videos: {', '.join(found.empty)}")
    return "\n".join(
        [
            *lines,
            f"{found.segments} segments in {len(found.tasks)} videos, the least certain first",
            f"document root of Label Studio: {root}",
            f"written: {out}",
            f"written: {config}",
        ]
    )


def _recognizer(model: Path | None, dataset: str | None) -> tuple["StepNetwork", str, "PoseExtractor"]:
    """The recognizer of a folder, or the one that is in use; its name; and what finds people for it."""
    found = recognizer_in_use(model, dataset)
    return found.network, found.name, found.extractor


def recognizer_in_use(
    model: Path | None, dataset: str | None, *, quality: str | None = None, people: int | None = None
) -> "Recognizer":
    """The recognizer of a folder, or the one that is in use.

    Args:
        model: As for `predict`.
        dataset: As for `predict`.
        quality: As for `Recognizer.from_pretrained`.
        people: Likewise.

    Raises:
        PanError: Where nothing has been trained.
    """
    from pan_core.recognition.recognizer import Recognizer

    params = load_params()
    folder, name = (model, str(model)) if model else _in_use(params, dataset or params.dataset)
    return Recognizer.from_folder(
        folder,
        name=name,
        pose=params.pose.extraction(),
        pose_model=Path(params.pose.network),
        quality=quality,
        people=people,
    )


def version_in_use(dataset: str | None) -> tuple[str, int] | None:
    """Registered model and number of the champion, None while there is none.

    Args:
        dataset: As for `predict`.

    Raises:
        PanError: Where the registry cannot be reached.
    """
    from pan_core.registry.models import registry_of

    registry = registry_of(dataset or load_params().dataset)
    champion = registry.champion()
    return (registry.name, champion.number) if champion else None


def _in_use(params: Params, dataset: str) -> tuple[Path, str]:
    """Folder and name of the recognizer that is in use."""
    from pan_core.registry.models import registry_of

    check_name(dataset)
    registry = registry_of(dataset)
    champion = registry.champion()
    if champion is None and dataset != params.dataset:
        raise PanError(f"{registry.name} has no champion; see `pan registry list --dataset {dataset}`")
    if champion is None:
        folder = paths.model_folder("online", params.split.splits[0])
        return folder, str(folder)
    return registry.fetch(champion), f"{registry.name} version {champion.number} (champion)"


def explain(clip_id: str, *, out: Path, model: Path | None = None) -> str:
    """Draw which joints and frames decided the class of a clip of the workspace.

    Args:
        clip_id: A valid clip.
        out: Folder to write to.
        model: Folder of a recognizer; the clip-mode one that the last run trained where None, else the online one.

    Returns:
        What the picture shows, and where it was written.

    Raises:
        DataError: Where the clip is unknown or nothing has been trained.
    """
    from pan_core.evaluation.explanation import explanation_picture
    from pan_core.evaluation.relevance import explain_clip
    from pan_core.model.store import load_model
    from pan_core.workspace.training_data import read_material

    params, material = load_params(), read_material()
    known = material.clips["clip_id"].tolist()
    if clip_id not in known:
        near = difflib.get_close_matches(clip_id, known, n=3)
        raise DataError(
            f"{clip_id}: no such clip in {paths.VALID / 'clips.parquet'}; near: {', '.join(near) or known[0]}"
        )
    mode = "clip" if "clip" in params.train.modes else "online"
    recognizer = load_model(model or paths.model_folder(mode, params.split.splits[0]))
    picture = explanation_picture(explain_clip(recognizer, material.clips, material.poses, clip_id))
    with atomic_path(out / f"explained_{clip_id}.svg") as partial:
        partial.write_text(picture.svg)
    return f"{picture.alt}\nwritten: {out / f'explained_{clip_id}.svg'}"


def summary_table() -> str:
    """The closing table, from reports/summary.json."""
    figures = read_json(paths.SUMMARY)
    rows = [
        ("dataset", f"{figures['dataset']}: {figures['clips']} clips, {figures['classes']} classes"),
        ("test clips scored", f"{figures['test_clips']} of {figures['test_clips_listed']}"),
        ("joint accuracy (PCK@0.1)", _percent(figures["pose_pck"], "not known: no true joints to compare with")),
        ("test accuracy, clip mode", _percent(figures.get("test_accuracy_clip"), "not trained")),
        ("test accuracy, online mode", _percent(figures.get("test_accuracy_online"), "not trained")),
        ("latency p90, one PAN step", f"{figures['latency_step_p90_ms']:.3f} ms"),
        (
            "latency p90, frame to action",
            f"{figures['latency_p90_ms']:.1f} ms (p50 {figures['latency_p50_ms']:.1f} ms)",
        ),
        ("model size", f"{figures['params']:,} parameters, {figures['model_bytes'] / 1e6:.1f} MB ONNX"),
        ("registry", f"{figures['registered_model']} version {figures['registered_version']}: {figures['decision']}"),
        ("report", str(paths.REPORT)),
        ("data docs", str(paths.DATA_DOCS / "index.html")),
        ("figures", str(paths.SUMMARY)),
        ("MLflow UI", "make ui, then the address that it shows"),
    ]
    width = max(len(name) for name, _ in rows)
    line = "-" * (width + 44)
    return "\n".join([line, *(f"{name:<{width}}  {value}" for name, value in rows), line])


def _percent(value: float | None, absent: str) -> str:
    return absent if value is None else f"{100 * value:.1f} %"
