"""Scenes that can be filmed: one clip of the dataset, or several people before a still camera."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pan_core.datasets.actors.appearance import Look, Part, body_parts, draw_look, stool_parts
from pan_core.datasets.actors.backdrop import Backdrop, draw_backdrop, draw_occluder
from pan_core.datasets.actors.choreography import CLASSES, COMPOSITION, ActionSegment, choreograph
from pan_core.datasets.actors.kinematics import POINTS, Body, Motion, draw_body, pose_body
from pan_core.datasets.actors.motion_style import MotionStyle, draw_motion_style, varied
from pan_core.datasets.actors.rendering import DrawnPerson, film, true_joints
from pan_core.datasets.actors.viewpoint import Viewpoint, draw_handheld_viewpoint, draw_viewpoint, look_at
from pan_core.errors import DataError

PELVIS = POINTS.index("pelvis")
ANKLES = [POINTS.index("right_ankle"), POINTS.index("left_ankle")]


@dataclass(frozen=True)
class ActorScene:
    """Everything that a film of `film` and its true joints follow from."""

    people: list[DrawnPerson]
    things: list[Part]
    camera: Viewpoint
    backdrop: Backdrop
    middle: np.ndarray
    noise: np.random.Generator

    def frames(self) -> np.ndarray:
        """The pictures, shape (T, H, W, 3) uint8 BGR; to be called once, since the noise is drawn anew."""
        return film(
            people=self.people,
            things=self.things,
            camera=self.camera,
            backdrop=self.backdrop,
            middle=self.middle,
            rng=self.noise,
        )

    def joints(self) -> np.ndarray:
        """True joints, shape (M, T, 18, 3); see `true_joints`."""
        return true_joints(people=self.people, things=self.things, camera=self.camera)


@dataclass(frozen=True)
class Actor:
    """What stays the same in all clips of one person."""

    body: Body
    style: MotionStyle
    seed: np.random.SeedSequence

    def look(self, clip: np.random.Generator) -> Look:
        """The person's face and hair in the clothes of one clip."""
        return draw_look(np.random.default_rng(self.seed), clip)


def actor(seed: int, group: int) -> Actor:
    """The person of one group."""
    sequence = np.random.SeedSequence([seed, group])
    lasting, looks = sequence.spawn(2)
    rng = np.random.default_rng(lasting)
    return Actor(body=draw_body(rng), style=draw_motion_style(rng), seed=looks)


def clip_scene(
    *, seed: int, label: str, group: int, clip: int, frames: tuple[int, int], fps: float, width: int, height: int
) -> tuple[ActorScene, list[ActionSegment]]:
    """One clip of the dataset, from a seed sequence of its own.

    Args:
        seed: The dataset's seed.
        label: One of `CLASSES`.
        group: The person.
        clip: Number of the clip within class and group.
        frames: Least and greatest length; sequences of two actions take the upper two thirds of the range, other
            classes the lower two thirds.
        fps: Frames a second.
        width: Picture width in pixels.
        height: Picture height in pixels.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, CLASSES.index(label), group, clip]))
    who = actor(seed, group)
    take = stage(label, who, rng, frames=frames, fps=fps, width=width, height=height)
    person = _dress(take.points, who.body, who.look(rng), owner=0)
    middle = take.points[:, PELVIS].mean(0)
    things = draw_occluder(rng, camera=take.camera, middle=middle, stature=who.body.height, chance=0.15)
    if take.motion.seat is not None:
        things += stool_parts(take.motion.seat, len(take.points), tuple(rng.uniform(40, 190, 3)))
    return ActorScene([person], things, take.camera, draw_backdrop(rng), middle, rng), take.segments


@dataclass(frozen=True)
class Take:
    """One clip before anything is drawn.

    Attributes:
        motion: What the person does.
        segments: True segments.
        points: Shape (T, P, 3), places of `POINTS`.
        camera: The camera.
    """

    motion: Motion
    segments: list[ActionSegment]
    points: np.ndarray
    camera: Viewpoint


def stage(
    label: str,
    who: Actor,
    rng: np.random.Generator,
    *,
    frames: tuple[int, int],
    fps: float,
    width: int,
    height: int,
    handheld: bool = False,
) -> Take:
    """What a person does in one clip, and where the camera is; arguments as of `clip_scene`.

    With `handheld` it is filmed as people film each other: from anywhere, with parts cut off, begun and ended in the midst
    of the action. A few hundred clips are too few to learn from that, so rendered clips are filmed with care.
    """
    third = (frames[1] - frames[0]) // 3
    sequence = COMPOSITION.get(label, ("atomic",))[0] == "sequence"
    length = int(rng.integers(frames[0], frames[1] - third + 1)) + (third if sequence else 0)
    motion, segments = choreograph(
        label,
        body=who.body,
        style=varied(who.style, rng, free=handheld),
        frames=length,
        fps=fps,
        rng=rng,
        excerpt=handheld,
    )
    points = pose_body(who.body, motion)
    draw = partial(draw_handheld_viewpoint, feet=points[:, ANKLES]) if handheld else draw_viewpoint
    camera = draw(rng, pelvis=points[:, PELVIS], stature=who.body.height, width=width, height=height)
    return Take(motion, segments, points, camera)


def _dress(points: np.ndarray, body: Body, look: Look, *, owner: int) -> DrawnPerson:
    return DrawnPerson(points, body_parts(points, body=body, look=look, owner=owner), look, body.height)


@dataclass(frozen=True)
class Performer:
    """One person of a scene of several.

    Attributes:
        action: One of `CLASSES`.
        group: Which person.
        start: Place (x, y) in metres at the first frame; x runs to the right in the picture, y away from the camera.
        heading: Direction faced, in degrees: 0 to the right, 180 to the left, -90 to the camera.
    """

    action: str
    group: int = 1
    start: tuple[float, float] = (0.0, 0.0)
    heading: float = 0.0


def render_scene(
    performers: Sequence[Performer],
    *,
    seed: int = 0,
    frames: int = 40,
    fps: float = 15.0,
    width: int = 320,
    height: int = 240,
    view_width: float = 4.0,
    camera_height: float = 1.4,
) -> tuple[np.ndarray, np.ndarray]:
    """Film several people, who may cross, with a still camera.

    Args:
        performers: Who is seen.
        seed: The same seed gives the same people, movements and pictures.
        frames: Length T.
        fps: Frames a second.
        width: Picture width in pixels.
        height: Picture height in pixels.
        view_width: Metres between the picture's left and right edge at y = 0.
        camera_height: Height of the camera in metres.

    Returns:
        Frames (T, H, W, 3) uint8 BGR, and true joints (M, T, 18, 3) as of `true_joints`, in the performers' order.

    Raises:
        DataError: Where nobody performs, or an action is unknown.
    """
    if not performers:
        raise DataError("render_scene: Expected at least one performer, but got none", code="actors.nobody")
    rng = np.random.default_rng(np.random.SeedSequence([seed, len(performers), 1 << 16]))
    people = [_perform(performer, seed, owner, frames, fps, rng) for owner, performer in enumerate(performers)]
    distance = 7.0
    position = np.tile([0.0, -distance, camera_height], (frames, 1))
    target = np.tile([0.0, 0.0, 0.95], (frames, 1))
    camera = look_at(position, target, focal=width * distance / view_width, width=width, height=height)
    scene = ActorScene(people, [], camera, draw_backdrop(rng), np.zeros(2), rng)
    return scene.frames(), scene.joints()


def _perform(
    performer: Performer, seed: int, owner: int, frames: int, fps: float, rng: np.random.Generator
) -> DrawnPerson:
    who = actor(seed, performer.group)
    motion, _ = choreograph(
        performer.action, body=who.body, style=varied(who.style, rng), frames=frames, fps=fps, rng=rng
    )
    turned = motion.placed(origin=(0.0, 0.0), heading=float(np.deg2rad(performer.heading)))
    x, y = np.array(performer.start) - turned.pelvis[0, :2]
    points = pose_body(who.body, turned.placed(origin=(float(x), float(y)), heading=0.0))
    return _dress(points, who.body, who.look(rng), owner=owner)
