"""Train the pose network: a loss after every stage, against marked joints or against a teacher's maps."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pan_core.errors import DataError
from pan_core.files import atomic_path
from pan_core.pose.maps import CONFIDENCE_MAPS, MAP_CHANNELS
from pan_core.pose.network import LAST_CHANNELS, PoseNetwork
from pan_core.pose_training.head_start import start_strict_head
from pan_core.pose_training.pictures import TrainingPicture, fingerprint
from pan_core.pose_training.training_crops import draw_sample

Losses = dict[str, float]

# Crops whose cells the strict head starts from, several of a picture if there are fewer pictures.
START_CROPS, MOST_OF_A_PICTURE = 512, 8
# Share of the steps in which the learning rate rises: Adam's first steps are as large as it is, and would undo the start.
RISE = 0.1


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training of the pose network.

    Attributes:
        strict: Whether the stages read the last 384 channels alone, as in the paper, or all 864.
        stages: Stages of the network, 1..6.
        epochs: Passes over the pictures; none leaves the strict head as it starts.
        batch: Pictures in a step.
        size: Side of a crop in pixels, a multiple of 8.
        learning_rate: Of AdamW at its height, after a tenth of the steps; it falls to nothing with a cosine.
        frozen: Whether the backbone stays as it is.
        by_stage: Whether a stage learns from the teacher's stage of the same number, or each one from its last.
        seed: Of what is drawn.
    """

    strict: bool = True
    stages: int = 6
    epochs: int = 8
    batch: int = 8
    size: int = 160
    learning_rate: float = 2e-5
    frozen: bool = True
    by_stage: bool = True
    seed: int = 0


def student_of(teacher: PoseNetwork, settings: TrainingSettings) -> PoseNetwork:
    """A network of the settings' form that starts from the teacher's weights, as far as they fit.

    The strict head reads the last 384 of the teacher's 864 channels; the first layers take their part of its weights.
    """
    student = PoseNetwork(stages=settings.stages, strict=settings.strict)
    own, given = student.state_dict(), teacher.state_dict()
    for name, value in own.items():
        source = given[name]
        if source.shape != value.shape:
            source = _drop_early_features(source, value.shape, axis=0 if "depthwise" in name else 1)
        value.copy_(source)
    student.backbone.requires_grad_(not settings.frozen)
    return student


def _drop_early_features(weight: Tensor, shape: torch.Size, *, axis: int) -> Tensor:
    """The maps' channels in front stay, then the last ones of the features."""
    dropped = weight.shape[axis] - shape[axis]
    maps = shape[axis] - LAST_CHANNELS
    kept = [*range(maps), *range(maps + dropped, weight.shape[axis])]
    return weight.index_select(axis, torch.tensor(kept))


def stage_losses(
    outputs: Sequence[tuple[Tensor, Tensor]], targets: Sequence[Tensor], learnt: Tensor
) -> dict[str, Tensor]:
    """Mean squared error of the confidence maps and of the affinity fields of every stage, on what is to be learnt.

    Args:
        outputs: Of the network, S (B, 19, h, w) and L (B, 38, h, w) a stage.
        targets: (B, 57, h, w) a stage.
        learnt: (B, h, w) of 0 and 1.
    """
    weight = learnt[:, None] / learnt.mean().clamp(min=1e-6)
    losses = {}
    for number, ((found, along), target) in enumerate(zip(outputs, targets, strict=True), start=1):
        confidence, affinity = target[:, :CONFIDENCE_MAPS], target[:, CONFIDENCE_MAPS:]
        losses[f"confidence_{number}"] = (weight * (found - confidence) ** 2).mean()
        losses[f"affinity_{number}"] = (weight * (along - affinity) ** 2).mean()
    return losses


def fit(
    student: PoseNetwork,
    pictures: Sequence[TrainingPicture],
    held_out: Sequence[TrainingPicture],
    teacher: PoseNetwork,
    *,
    settings: TrainingSettings,
    checkpoint: Path,
    after_epoch: Callable[[int, Losses], None] = lambda epoch, losses: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Losses]:
    """Train the student; an interrupted training resumes after its last whole epoch.

    Args:
        student: Network to train; changed in place.
        pictures: To learn from; the teacher annotates those without marked joints.
        held_out: To measure the losses on, after each epoch.
        teacher: Trained network.
        settings: How.
        checkpoint: File that is written after each epoch.
        after_epoch: Called with the epoch, from 1, and its mean losses, `train_...` and `held_out_...`.
        progress: Called with the steps done and all steps.

    Returns:
        Losses of each epoch.

    Raises:
        DataError: If there is nothing to learn from, or the checkpoint is of another training.
    """
    if not pictures:
        raise DataError("there is no picture with a person to learn from", code="pose-training.no-pictures")
    steps = -(-len(pictures) // settings.batch)
    trained = [weight for weight in student.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, max(1, settings.epochs) * steps, pct_start=RISE, cycle_momentum=False
    )
    identity = training_identity(pictures, held_out, teacher, settings)
    history = _resume(checkpoint, identity, student, optimiser, schedule)
    teacher.eval().requires_grad_(False)
    # Depthwise convolutions are twice as fast when the channels are last in memory.
    for network in (student, teacher):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # absent from the stubs
    if settings.strict and not history:
        start_strict_head(student, teacher, _draw_features(teacher, pictures, settings))
        _save(checkpoint, identity, history, student, optimiser, schedule)
    for epoch in range(len(history) + 1, settings.epochs + 1):
        rng = np.random.default_rng([settings.seed, epoch])
        order, sums = rng.permutation(len(pictures)), []
        student.train()
        for step in range(steps):
            chosen = [pictures[i] for i in order[step * settings.batch : (step + 1) * settings.batch]]
            losses = stage_losses(*_compute_maps(student, teacher, chosen, rng, settings))
            optimiser.zero_grad()
            torch.stack(list(losses.values())).sum().backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            schedule.step()
            sums.append({name: float(value.detach()) for name, value in losses.items()})
            progress((epoch - 1) * steps + step + 1, settings.epochs * steps)
        history.append(_average_losses("train", sums) | _measure_held_out(student, teacher, held_out, settings))
        _save(checkpoint, identity, history, student, optimiser, schedule)
        after_epoch(epoch, history[-1])
    student.eval()
    return history


def _draw_features(
    teacher: PoseNetwork, pictures: Sequence[TrainingPicture], settings: TrainingSettings
) -> Iterator[Tensor]:
    """Features of crops of some pictures, in batches (B, 864, h, w)."""
    rng = np.random.default_rng([settings.seed, 0])
    crops = min(START_CROPS, MOST_OF_A_PICTURE * len(pictures))
    chosen = [pictures[i] for i in np.resize(rng.permutation(len(pictures)), crops).tolist()]
    for batch in _split_batches(chosen, settings.batch):
        with torch.no_grad():
            yield teacher.backbone(_stack_planes([draw_sample(one, rng, size=settings.size)[0] for one in batch]))


def _stack_planes(images: Sequence[np.ndarray]) -> Tensor:
    """(B, 3, H, W) float32 with the channels last in memory."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()


def _compute_maps(
    student: PoseNetwork,
    teacher: PoseNetwork,
    pictures: Sequence[TrainingPicture],
    rng: np.random.Generator | None,
    settings: TrainingSettings,
) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor], Tensor]:
    """Maps of the student and target maps at every stage, and the mask of the cells that count."""
    images, maps, learnt = zip(*(draw_sample(one, rng, size=settings.size) for one in pictures), strict=True)
    planes = _stack_planes(images)
    unmarked = [number for number, one in enumerate(maps) if one is None]
    marked = torch.stack(
        [torch.zeros(MAP_CHANNELS, *learnt[0].shape) if m is None else torch.from_numpy(m) for m in maps]
    )
    targets = [marked.clone() for _ in range(settings.stages)]
    with torch.no_grad():
        # A frozen backbone is the teacher's own, so that its features serve both.
        features = teacher.backbone(planes) if settings.frozen or unmarked else None
        if features is not None and unmarked:
            told = [torch.cat(pair, dim=1) for pair in teacher.refine(features[unmarked])]
            for number, target in enumerate(targets):
                target[unmarked] = told[min(number, len(told) - 1) if settings.by_stage else -1]
    if settings.frozen and features is not None:
        answers = student.refine(features[:, -LAST_CHANNELS:] if settings.strict else features)
    else:
        answers = student(planes)
    return answers, targets, torch.from_numpy(np.stack(learnt))


def _measure_held_out(
    student: PoseNetwork, teacher: PoseNetwork, held_out: Sequence[TrainingPicture], settings: TrainingSettings
) -> Losses:
    student.eval()
    parts = []
    with torch.inference_mode():
        for chosen in _split_batches(held_out, settings.batch):
            losses = stage_losses(*_compute_maps(student, teacher, chosen, None, settings))
            parts.append({name: float(value) for name, value in losses.items()})
    return _average_losses("held_out", parts)


def _split_batches(pictures: Sequence[TrainingPicture], size: int) -> Iterator[Sequence[TrainingPicture]]:
    for start in range(0, len(pictures), size):
        yield pictures[start : start + size]


def _average_losses(part: str, sums: list[Losses]) -> Losses:
    return {f"{part}_{name}": float(np.mean([one[name] for one in sums])) for name in sums[0]} if sums else {}


def training_identity(
    pictures: Sequence[TrainingPicture],
    held_out: Sequence[TrainingPicture],
    teacher: PoseNetwork,
    settings: TrainingSettings,
) -> dict[str, object]:
    """Everything that a training's result depends on: settings, hashes of what is learnt from and held out, and the teacher's."""
    weights = hashlib.sha256()
    for name, value in teacher.state_dict().items():
        weights.update(name.encode() + value.cpu().numpy().tobytes())
    return asdict(settings) | {
        "pictures": len(pictures), "learnt": fingerprint(pictures), "held_out": fingerprint(held_out),
        "teacher": weights.hexdigest(),
    }  # fmt: skip


def _save(
    path: Path,
    identity: dict[str, object],
    history: list[Losses],
    student: PoseNetwork,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    state = {"training": identity, "history": history, "student": student.state_dict(),
             "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}  # fmt: skip
    with atomic_path(path) as partial:
        torch.save(state, partial)


def _resume(
    path: Path,
    identity: dict[str, object],
    student: PoseNetwork,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> list[Losses]:
    if not path.is_file():
        return []
    state = torch.load(path, weights_only=True)
    if (other := state["training"]) != identity:
        differences = ", ".join(
            f"{name} {other.get(name)} instead of {value}"
            for name, value in identity.items()
            if other.get(name) != value
        )
        raise DataError(
            f"{path}: of another training, with {differences}; give another --out, or remove it",
            code="pose-training.other-checkpoint",
        )
    student.load_state_dict(state["student"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    return list(state["history"])
