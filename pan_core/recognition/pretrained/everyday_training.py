"""Training of the stock recognizer of everyday actions: on JHMDB's training part of split 1 and drawn actors together.

Confidences are calibrated by networks that did not see some films; the test part of split 1 is read once, at the end.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from pan_core.benchmark.protocol import Recipe
from pan_core.datasets.actors.idle import fitting_pastimes, idle_clips
from pan_core.evaluation.metrics import calibration
from pan_core.evaluation.temperature import divide_heads, fit_temperature, logits_of
from pan_core.model.pan import PAN
from pan_core.recognition.pretrained.everyday_classes import CLASSES, DRAWN_ONLY
from pan_core.recognition.pretrained.everyday_clips import EverydayClips
from pan_core.training.background import as_background, background_from
from pan_core.training.fit import fit
from pan_core.training.predict import predict
from pan_core.training.samples import Samples, join_samples
from pan_core.viewer.captions import names_nothing

SPLIT = 1
"""Official split of JHMDB."""
FOLDS = 5
"""Parts that the films are cut into; the network of a seed does not see one of them."""
DRAWN_SPLITS = 3
IDLE_CLIPS = 300

PASTIMES = tuple(fitting_pastimes(CLASSES))
"""Drawn people who do nothing in particular; picking something up is a class."""

Progress = Callable[[Iterable[int], str], Iterable[int]]


@dataclass(frozen=True)
class Accuracy:
    """Clips of each class, and how many of them were recognised.

    Attributes:
        clips: By class; clips in which nobody was found count.
        right: By class.
        nobody: Clips in which nobody was found.
        calibration_error: Expected calibration error of the answers.
        confidence: Mean confidence of the answers.
    """

    clips: dict[str, int]
    right: dict[str, int]
    nobody: int
    calibration_error: float
    confidence: float

    @property
    def share(self) -> float:
        """Share of all clips that were recognised."""
        return sum(self.right.values()) / sum(self.clips.values())


@dataclass(frozen=True)
class EverydayNetwork:
    """The trained network, calibrated, and what is known of it.

    Attributes:
        model: Its confidences are calibrated.
        trained_clips: Clips that it learnt from.
        temperature: Of the class of a clip.
        action_temperature: Of the action of a frame.
        held_out: Accuracy on films that networks of the same recipe did not see; confidences before calibration.
        drawn: Likewise on actors that they did not see, of the classes that only actors show.
        test: Its accuracy on the test part of split 1.
        sports: Clips of the test part in which people do none of the actions, and how many of them it gives no name.
    """

    model: PAN
    trained_clips: int
    temperature: float
    action_temperature: float
    held_out: Accuracy
    drawn: Accuracy
    test: Accuracy
    sports: tuple[int, int]


@dataclass
class _Answers:
    """Probabilities of clips (N, K) and of frames (F, A) with the true classes, and the clips that show nobody."""

    clips: list[np.ndarray] = field(default_factory=list)
    labels: list[np.ndarray] = field(default_factory=list)
    frames: list[np.ndarray] = field(default_factory=list)
    actions: list[np.ndarray] = field(default_factory=list)
    nobody: list[str] = field(default_factory=list)

    def add(self, model: PAN, samples: Samples) -> None:
        """Ask a network about samples."""
        said = predict(model, samples)
        inside = np.arange(said.frame_probabilities.shape[1]) < said.lengths[:, None]
        single = samples.holds.sum(axis=1) == 1
        self.clips.append(said.probabilities)
        self.labels.append(samples.labels)
        self.frames.append(said.action_probabilities[inside][single])
        self.actions.append(samples.holds[single].argmax(axis=1))

    def accuracy(self) -> Accuracy:
        """Accuracy over all of them."""
        probabilities, labels = np.concatenate(self.clips), np.concatenate(self.labels)
        # Where no action is likelier than "none", none is named.
        hit = (probabilities.argmax(axis=1) == labels) & ~names_nothing(probabilities)
        clips = {name: int((labels == number).sum()) + self.nobody.count(name) for number, name in enumerate(CLASSES)}
        right = {name: int(hit[labels == number].sum()) for number, name in enumerate(CLASSES)}
        seen = {name: count for name, count in clips.items() if count}
        return Accuracy(
            seen, {name: right[name] for name in seen}, len(self.nobody), calibration(labels, probabilities).error,
            float(probabilities.max(axis=1).mean()),
        )  # fmt: skip


def train_everyday(
    films: EverydayClips, sports: EverydayClips, drawn: EverydayClips, recipe: Recipe, *, seeds: int, folder: Path,
    progress: Progress = lambda epochs, _: epochs,
) -> EverydayNetwork:  # fmt: skip
    """Train, calibrate and test.

    Args:
        films: JHMDB's clips, with the official split 1.
        sports: Likewise, in which none of the actions is done; those of the training part and drawn pastimes are background.
        drawn: Drawn actors, with the three splits of theirs.
        recipe: How to train.
        seeds: Networks that do not see a part of the films, each another part, up to `FOLDS`.
        folder: Of the checkpoints; a training that was ended goes on from there.
        progress: Wraps the epochs of a training, with its name, for a progress bar.

    Raises:
        DataError: If there are too few clips.
    """
    learn = films.part("train", SPLIT)
    foreign = _sports_samples(sports, "train", recipe)
    recipe = replace(recipe, network=replace(recipe.network, none=True))
    unseen, unseen_drawn = _Answers(), _Answers()
    for seed, fold in zip(range(seeds), held_out_films(films, learn), strict=False):
        left_out = drawn.part("test", 1 + seed % DRAWN_SPLITS)
        train = _samples(films, learn & ~fold, drawn, ~left_out, recipe)
        model = _fit(train, foreign, recipe, folder / f"held-out-{seed}.pt", seed, progress)
        _ask(unseen, model, films, fold, recipe)
        only = drawn.table["label"].isin(DRAWN_ONLY).to_numpy()
        _ask(unseen_drawn, model, drawn, left_out & only, recipe)
    train = _samples(films, learn, drawn, np.ones(len(drawn.table), dtype=bool), recipe)
    model = _fit(train, foreign, recipe, folder / "everything.pt", 0, progress)
    temperature = _fit_temperature(unseen.clips, unseen.labels)
    action_temperature = _fit_temperature(unseen.frames, unseen.actions)
    divide_heads(model, temperature, action_temperature)
    tested = _Answers()
    _ask(tested, model, films, films.part("test", SPLIT), recipe)
    unnamed = names_nothing(predict(model, _sports_samples(sports, "test", recipe)).probabilities)
    return EverydayNetwork(
        model, len(train), temperature, action_temperature, unseen.accuracy(), unseen_drawn.accuracy(),
        tested.accuracy(), (len(unnamed), int(unnamed.sum())),
    )  # fmt: skip


def held_out_films(films: EverydayClips, learn: np.ndarray) -> Iterator[np.ndarray]:
    """Parts of the clips to learn from, bool (N,) each: no film is in two of them, classes are spread evenly."""
    rows = np.flatnonzero(learn)
    own = films.table.iloc[rows]
    cut = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for _, held in cut.split(rows, own["label"], own["group"]):
        part = np.zeros(len(learn), dtype=bool)
        part[rows[held]] = True
        yield part


def _samples(
    films: EverydayClips, of_films: np.ndarray, drawn: EverydayClips, of_drawn: np.ndarray, recipe: Recipe
) -> Samples:
    return join_samples(
        [films.samples(of_films, rate=recipe.rate), drawn.samples(of_drawn, rate=recipe.rate)],
    )


def _sports_samples(sports: EverydayClips, part: str, recipe: Recipe) -> Samples:
    names = sorted(sports.table["label"].unique())
    return sports.samples(sports.part(part, SPLIT), rate=recipe.rate, classes=names)


def _fit(train: Samples, foreign: Samples, recipe: Recipe, checkpoint: Path, seed: int, progress: Progress) -> PAN:
    """Train a network; drawn pastimes and `foreign`, clips of other classes, show it when nothing happens."""
    pastimes = background_from(idle_clips(IDLE_CLIPS, seed=seed, pastimes=PASTIMES), train, seed=seed)
    return fit(
        train, None, settings=recipe.training, model_settings=recipe.network, checkpoint=checkpoint, seed=seed,
        background=join_samples([pastimes, as_background(foreign, train)]),
        progress=lambda epochs: progress(epochs, checkpoint.stem),
    ).model  # fmt: skip


def _ask(answers: _Answers, model: PAN, clips: EverydayClips, chosen: np.ndarray, recipe: Recipe) -> None:
    """Add a network's answers to the chosen clips; those that show nobody count as wrong."""
    answers.add(model, clips.samples(chosen, rate=recipe.rate))
    answers.nobody += clips.table["label"][chosen & ~clips.found(chosen)].tolist()


def _fit_temperature(probabilities: list[np.ndarray], labels: list[np.ndarray]) -> float:
    return fit_temperature(logits_of(np.concatenate(probabilities), none=True), np.concatenate(labels))
