"""Commands that recognize actions once: `pan explain`, `pan predict`. Imports are late: start-up."""

from pathlib import Path
from typing import Annotated

import typer

from pan_core.cli.options import Blur, ChampionOf, Quality, RecognizerOption, SkeletonOnly, scene_of


def explain(
    clip: Annotated[str, typer.Argument(help="Id of a clip of the dataset in use, such as one in the report.")],
    model: Annotated[Path | None, typer.Option(help="Folder of a trained recognizer, of either mode.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the picture.")] = Path("predictions"),
) -> None:
    """Draw which joints and frames decided what was recognised in a clip."""
    from pan_core.files import require_output_folder
    from pan_core.workspace.clip_explanation import write_explanation

    require_output_folder(out)
    shown, path = write_explanation(clip, out, model)
    typer.echo(f"{shown}\nwritten: {path}")


def predict(
    video: Annotated[Path, typer.Argument(help="Video file.")],
    out: Annotated[Path, typer.Option(help="Folder for the annotated video and the timeline.")] = Path("predictions"),
    model: RecognizerOption = None,
    dataset: ChampionOf = None,
    blur: Blur = False,
    skeleton_only: SkeletonOnly = False,
    quality: Quality = None,
) -> None:
    """Recognise the actions in a video: writes an annotated video and a JSON timeline."""
    from pan_core.files import require_output_folder
    from pan_core.progress import progress_bar
    from pan_core.video import probe

    require_output_folder(out)
    probe(video)  # before the networks, which take seconds to load
    from pan_core.live.picture import background
    from pan_core.recognition.predict_video import predict_video
    from pan_core.recognition.result_files import timeline_file
    from pan_core.viewer.captions import NOTHING
    from pan_core.workspace.recognizers import get_recognizer

    by, scene = get_recognizer(model, dataset, quality=quality), scene_of(blur, skeleton_only)
    with progress_bar("predict", "frame") as update:
        found = predict_video(
            video, extractor=by.extractor, recognizer=by.network, out=out, model_name=by.name, progress=update,
            background=lambda frame: background(frame, scene),
        )  # fmt: skip
    typer.echo(f"recognizer: {by}")
    for person in found.people:
        span = f"{person.start_s:.1f} s to {person.end_s:.1f} s"
        typer.echo(f"person {person.id}: {person.label or NOTHING} ({person.confidence:.0%}), {span}")
    if not found.people:
        typer.echo(str(found.reason))
    annotated = out / str(found.annotated)
    typer.echo(f"written: {annotated}\nwritten: {timeline_file(annotated)}")
