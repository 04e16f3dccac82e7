"""How the classes of a dataset are made of atomic actions (section III of the paper).

A class is atomic, a sequence of actions (LongJump: Running, then Jumping), or several actions at once
(WalkingWithDog: Walking and Dog).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

TAXONOMIES = Path(__file__).parent / "taxonomies"


@dataclass(frozen=True)
class Composition:
    """How a class is made of atomic actions.

    Attributes:
        kind: "sequence" for one after the other, "together" for several at once.
        parts: Atomic actions, in order for a sequence.
    """

    kind: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Taxonomy:
    """Composition of every class that is not atomic.

    Attributes:
        compositions: Class -> composition; a class that is not named is atomic.
    """

    compositions: Mapping[str, Composition] = field(default_factory=dict)

    def parts(self, label: str) -> Composition:
        """Composition of a class; an atomic class is a sequence of itself."""
        return self.compositions.get(label, whole(label))


def whole(label: str) -> Composition:
    """A class taken as one action, as without relabelling."""
    return Composition("sequence", (label,))


def packaged_taxonomy(name: str) -> Taxonomy:
    """The taxonomy that comes with the package for a dataset, or one in which every class is atomic."""
    return Taxonomy()
