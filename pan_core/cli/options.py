"""Options that commands of several groups share. Imports are late: start-up."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pan_core.live.picture import SceneStyle

RecognizerOption = Annotated[
    str | None,
    typer.Option(
        help="Folder of a trained online recognizer, or everyday, which comes with PAN; the champion if left out, or everyday if there is none."
    ),
]
ChampionOf = Annotated[
    str | None,
    typer.Option(help="Whose champion, such as surveillance; that of the dataset in params.yaml where left out."),
]
Quality = Annotated[
    str | None,
    typer.Option(
        help="best, balanced or fast, as pose.quality of params.yaml, for finding people; as the recognizer learnt them where left out."
    ),
]
Blur = Annotated[bool, typer.Option("--blur", help="Show the scene too blurred to tell who it is.")]
SkeletonOnly = Annotated[bool, typer.Option("--skeleton-only", help="Show skeletons alone, no pixel of the scene.")]


def scene_of(blur: bool, skeleton_only: bool) -> "SceneStyle":
    """What is shown behind the skeletons, by two options of a command."""
    from pan_core.live.picture import SceneStyle

    if skeleton_only:
        return SceneStyle.NONE
    return SceneStyle.BLUR if blur else SceneStyle.FULL
