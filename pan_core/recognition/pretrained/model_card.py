"""Model card of the stock recognizer of everyday actions: what it knows, how good it is, what it learnt from, and whose that is."""

from pan_core.recognition.pretrained.everyday_classes import CLASSES, DRAWN_ONLY, OF_JHMDB
from pan_core.recognition.pretrained.everyday_training import FOLDS, Accuracy, EverydayNetwork

NINE = ("clap", "jump", "kick_ball", "run", "sit", "stand", "throw", "walk", "wave")
"""Classes of JHMDB that actors have too."""

TEXT = """\
# everyday

A Pose-Attention Network that knows {classes} actions: {names}. It is what `pan predict`, `pan watch` and `pan serve` use as long as nothing
of your own is trained, and `Recognizer.from_pretrained("everyday")`. {params:,} parameters, online mode, {rate:g} frames a second, layout {layout}; skeletons of
`{poses}`. Each person gets a class for all that was seen so far, and an action for each frame.

## How good it is

On JHMDB's test part of split 1, from video, with the poses of the default extractor; every clip of its classes counts, and one in which nobody was
found is wrong, as is one that gets no name. Nothing was chosen by these clips.

| clips | recognised | without people | mean confidence | calibration error |
| --- | --- | --- | --- | --- |
| {test.total} of {test.classes} classes | **{test.share:.1%}** | {test.nobody} | {test.confidence:.1%} | {test.error:.1%} |
| {nine.total} of the nine classes that actors have, too | {nine.share:.1%} | | | |

| class | clips | recognised |
| --- | --- | --- |
{rows}

Of {drawn_only} no real person was seen in training, and JHMDB has none to test with: on drawn actors that it did not see, {drawn.share:.0%} of
{drawn.total} clips. Take what it says of them for a hint.

The figures are not those of JHMDB as published, which has 21 classes: six sports are left out ({sports}), because they are no everyday actions. They
taught it when to name nothing: {unnamed} of {sports_clips} test clips of these sports get no name.

## What it cannot do

For somebody who does something else, or nothing, it often names an action all the same: it knows drawn people who idle, and the six sports, from training. Look at the
confidence. It sees joints only: no objects, no faces, no
floor. It was tested on short clips of films and home videos in which one person acts in full view, mostly seen from the side or the front; cameras under a ceiling, crowds
and people who are cut off were not tested. It was not made for decisions about people, and not for emergencies: train on your own footage, and test there.

## How it was made

    PAN_MIRROR=FOLDER {command}

It learnt from {trained_clips} clips: JHMDB's training part of split 1 (and its six sports, for what is none of the actions), and {actors} drawn actors (`pan_core/datasets/actors`) in every class. Composed actions of actors count for their last part.
{seeds} of the same recipe did not see a part of the films (one of {folds}, whole films): {held.share:.1%} of those {held.total} clips were recognised. Their
confidences gave the temperatures {temperature:.2f} for clips and {action_temperature:.2f} for frames, which are in the weights.

| | |
| --- | --- |
| model.safetensors | {sha256} |
| code | {commit} |
| poses | {extractor} |
| steps | {steps} |

`step.onnx` is the same network for ONNX Runtime; `sha256.json` has the hashes of all files.

## Licences

The weights are under the Apache License, Version 2.0, as the project is. They were learnt from:

- JHMDB (Jhuang, Gall, Zuffi, Schmid and Black, "Towards understanding action recognition", ICCV 2013), whose clips are clips of
  HMDB51 (Kuehne, Jhuang, Garrote, Poggio and Serre, "HMDB: a large video database for human motion recognition", ICCV 2011), licensed under
  [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/). Changed: skeletons were extracted, everyday classes chosen and renamed. No frame and no skeleton is in the files.
- Drawn actors of this project.
"""


def write_card(network: EverydayNetwork, facts: dict[str, object]) -> str:
    """Text of the card.

    Args:
        network: What was trained.
        facts: The other values of `TEXT`: rate, layout, poses, command, actors, seeds, sha256, commit, extractor, steps.
    """
    nine = {OF_JHMDB[name] for name in NINE}
    return TEXT.format(
        classes=len(CLASSES), names=", ".join(CLASSES), params=sum(each.numel() for each in network.model.parameters()),
        drawn_only=_list(DRAWN_ONLY), sports="golf, pullup, shoot_ball, shoot_bow, shoot_gun, swing_baseball",
        test=_Summary(network.test), nine=_Summary(network.test, nine), held=_Summary(network.held_out),
        drawn=_Summary(network.drawn), rows="\n".join(_rows(network.test)), folds=FOLDS, trained_clips=network.trained_clips,
        sports_clips=network.sports[0], unnamed=network.sports[1], temperature=network.temperature, action_temperature=network.action_temperature, **facts,
    )  # fmt: skip


class _Summary:
    """Figures of an accuracy, of all classes or some."""

    def __init__(self, found: Accuracy, classes: set[str] | None = None) -> None:
        names = [name for name in found.clips if classes is None or name in classes]
        self.classes, self.total = len(names), sum(found.clips[name] for name in names)
        self.share = sum(found.right[name] for name in names) / max(1, self.total)
        self.nobody, self.error, self.confidence = found.nobody, found.calibration_error, found.confidence


def _rows(found: Accuracy) -> list[str]:
    return [f"| {name} | {found.clips[name]} | {found.right[name] / found.clips[name]:.0%} |" for name in found.clips]


def _list(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
