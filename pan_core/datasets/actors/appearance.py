"""What a person looks like: colours and clothes, and the rounded parts that the body is drawn from."""

from dataclasses import dataclass

import numpy as np

from pan_core.datasets.actors.kinematics import POINTS, SIDES, Body
from pan_core.skeletons import OPENPOSE18

Colour = tuple[float, float, float]

SKINS: tuple[Colour, ...] = (
    (170, 196, 236), (150, 182, 226), (128, 164, 212), (108, 142, 192), (84, 116, 164), (62, 86, 128), (48, 66, 100),
)  # fmt: skip
HAIRS: tuple[Colour, ...] = ((22, 22, 26), (26, 36, 52), (36, 54, 82), (24, 30, 40), (92, 94, 98), (30, 44, 84))


@dataclass(frozen=True)
class Look:
    """Colours (blue, green, red; 0..255) and clothes of one person.

    Attributes:
        skin: Colour of the skin.
        hair: Colour of the hair.
        shirt: Colour of the shirt.
        trousers: Colour of the trousers.
        shoes: Colour of the shoes.
        print: Colour of a mark on the chest, where there is one.
        sleeve: Share of the arm that the shirt covers, 0..1.
        trouser: Share of the leg that the trousers cover, 0..1.
        long_hair: Whether the hair reaches the shoulders.
    """

    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    shoes: Colour
    print: Colour | None
    sleeve: float
    trouser: float
    long_hair: bool


def draw_look(person: np.random.Generator, clip: np.random.Generator) -> Look:
    """Skin and hair from the person's source, clothes from the clip's."""
    cloth = [_cloth(clip, tone) for tone in (1.0, clip.uniform(0.35, 0.95), 0.6)]
    return Look(
        skin=SKINS[person.integers(len(SKINS))],
        hair=HAIRS[person.integers(len(HAIRS))],
        shirt=cloth[0],
        trousers=cloth[1],
        shoes=cloth[2],
        print=_cloth(clip, 1.0) if clip.random() < 0.5 else None,
        sleeve=float(clip.choice([0.28, 0.34, 1.0])),
        trouser=float(clip.choice([0.4, 1.0, 1.0])),
        long_hair=bool(person.random() < 0.35),
    )


def _cloth(rng: np.random.Generator, tone: float) -> Colour:
    """A dyed colour, more often dull than bright."""
    grey = rng.uniform(35, 215)
    blue, green, red = ((grey + rng.uniform(0.2, 0.8) * (rng.uniform(20, 225, 3) - grey)) * tone).tolist()
    return blue, green, red


@dataclass(frozen=True)
class Part:
    """A rounded part: the convex hull of spheres.

    Attributes:
        places: Shape (T, S, 3), centres in world axes, in metres.
        radii: Shape (S,), in metres.
        colour: Blue, green, red.
        joints: Joints of the owner that the part does not hide, since they lie within it.
        owner: Index of the person, -1 for things.
        margin: A joint is hidden where the part's middle is nearer than it by more than this, in metres.
        detail: What is drawn on it: "face", "print" or nothing.
    """

    places: np.ndarray
    radii: np.ndarray
    colour: Colour
    joints: tuple[int, ...] = ()
    owner: int = -1
    margin: float = 0.03
    detail: str = ""


# (point, point, share of the way from the first to the second, radius as a share of the standing height)
Sphere = tuple[str, str, float, float]


def _limb(begin: str, end: str, radii: tuple[float, float], *, start: float = 0.0, stop: float = 1.0) -> list[Sphere]:
    """A tapering capsule over a stretch of a bone."""
    slope = radii[1] - radii[0]
    return [(begin, end, start, radii[0] + slope * start), (begin, end, stop, radii[0] + slope * stop)]


def _clothe(
    begin: str, end: str, radii: tuple[float, float], *, cloth: Colour, skin: Colour, cover: float
) -> list[tuple[list[Sphere], Colour, tuple[str, ...]]]:
    """A limb whose first `cover` of length is cloth; the two pieces hardly overlap, so they keep their order."""
    cover = min(max(cover, 0.0), 1.0)
    wide = radii[0] * 1.16, radii[1] * 1.2
    pieces: list[tuple[list[Sphere], Colour, tuple[str, ...]]] = []
    if cover < 0.98:
        pieces.append((_limb(begin, end, radii, start=max(0.0, cover - 0.08)), skin, (begin, end)))
    if cover > 0.02:
        pieces.append((_limb(begin, end, wide, stop=min(cover, 0.96)), cloth, (begin, end)))
    return pieces


def _side_parts(side: str, look: Look) -> list[tuple[list[Sphere], Colour, tuple[str, ...]]]:
    shoulder, elbow, wrist, hand = (f"{side}_{name}" for name in ("shoulder", "elbow", "wrist", "hand"))
    hip, knee, ankle, heel, toe = (f"{side}_{name}" for name in ("hip", "knee", "ankle", "heel", "toe"))
    shirt = {"cloth": look.shirt, "skin": look.skin}
    trousers = {"cloth": look.trousers, "skin": look.skin}
    return [
        *_clothe(shoulder, elbow, (0.031, 0.025), cover=2 * look.sleeve, **shirt),
        *_clothe(elbow, wrist, (0.025, 0.017), cover=2 * look.sleeve - 1, **shirt),
        (_limb(wrist, hand, (0.016, 0.022)), look.skin, (wrist,)),
        *_clothe(hip, knee, (0.047, 0.034), cover=2 * look.trouser, **trousers),
        *_clothe(knee, ankle, (0.033, 0.022), cover=2 * look.trouser - 1, **trousers),
        ([*_limb(heel, toe, (0.021, 0.017)), (ankle, heel, 0.3, 0.022)], look.shoes, (ankle,)),
    ]


def _trunk_parts(look: Look) -> list[tuple[list[Sphere], Colour, tuple[str, ...], float, str]]:
    shirt: list[Sphere] = [
        ("right_shoulder", "neck", 0.12, 0.040), ("left_shoulder", "neck", 0.12, 0.040),
        ("chest", "right_shoulder", 0.35, 0.062), ("chest", "left_shoulder", 0.35, 0.062),
        ("waist", "right_hip", 0.45, 0.058), ("waist", "left_hip", 0.45, 0.058),
    ]  # fmt: skip
    seat: list[Sphere] = [
        ("right_hip", "pelvis", 0.1, 0.056), ("left_hip", "pelvis", 0.1, 0.056),
        ("waist", "right_hip", 0.55, 0.055), ("waist", "left_hip", 0.55, 0.055),
    ]  # fmt: skip
    head: list[Sphere] = [("brow", "brow", 0, 0.047), ("nape", "nape", 0, 0.048), ("chin", "chin", 0, 0.031)]
    hair: list[Sphere] = [
        ("crown", "crown", 0, 0.048), ("nape", "crown", 0.35, 0.057), ("hair_end", "hair_end", 0, 0.036)
    ]  # fmt: skip
    if look.long_hair:
        hair.append(("hair_end", "neck", 0.5, 0.026))
    return [
        (seat, look.trousers, ("neck",), 0.08, ""),
        (shirt, look.shirt, ("neck",), 0.08, "print"),
        ([("neck", "neck", 0.0, 0.030), ("neck", "head", 0.6, 0.029)], look.skin, ("neck", "nose"), 0.05, ""),
        (hair, look.hair, ("neck",), 0.03, ""),
        (head, look.skin, ("neck", "nose"), 0.02, "face"),
    ]


def body_parts(points: np.ndarray, *, body: Body, look: Look, owner: int) -> list[Part]:
    """The parts of one person.

    Args:
        points: Shape (T, P, 3), places of `POINTS`.
        body: Measures.
        look: Colours and clothes.
        owner: Index of the person.
    """
    rows = _trunk_parts(look)
    for side in SIDES:
        rows += [(spheres, colour, joints, 0.03, "") for spheres, colour, joints in _side_parts(side, look)]
    parts = []
    for spheres, colour, joints, margin, detail in rows:
        first = points[:, [POINTS.index(a) for a, _, _, _ in spheres]]
        second = points[:, [POINTS.index(b) for _, b, _, _ in spheres]]
        share = np.array([s for _, _, s, _ in spheres])[:, None]
        scale = body.height * (1.0 if detail == "face" or colour == look.hair else body.girth)
        parts.append(
            Part(
                places=first * (1 - share) + second * share,
                radii=np.array([radius for *_, radius in spheres]) * scale,
                colour=colour,
                joints=tuple(OPENPOSE18.index(joint) for joint in joints),
                owner=owner,
                margin=margin,
                detail=detail,
            )
        )
    return parts


def _box(corners: list[tuple[float, float, float]], radius: float, colour: Colour, frames: int) -> Part:
    places = np.repeat(np.array(corners)[None], frames, axis=0)
    return Part(places=places, radii=np.full(len(corners), radius), colour=colour)


def stool_parts(top: tuple[float, float, float], frames: int, colour: Colour) -> list[Part]:
    """A stool whose seat is at `top`."""
    x, y, z = top
    corners = [(x + i * 0.16, y + j * 0.16, z - 0.02) for i, j in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
    seat = _box(corners, 0.025, colour, frames)
    shade = colour[0] * 0.7, colour[1] * 0.7, colour[2] * 0.7
    return [seat] + [_box([(a, b, z - 0.03), (a, b, 0.02)], 0.018, shade, frames) for a, b, _ in corners]
