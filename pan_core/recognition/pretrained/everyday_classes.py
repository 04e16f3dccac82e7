"""What the stock recognizer of everyday actions knows: classes of JHMDB and of the drawn actors, one name for one action.

JHMDB's sports (golf, pull-ups, baseball, basketball, bow and gun) are left out: they are no everyday actions, and a name
that never applies can only be a false alarm. Falling, punching and squatting are learnt from drawn actors alone.
"""

from pan_core.datasets.actors import ACTIONS, COMPOSITION
from pan_core.datasets.actors import CLASSES as ACTORS

OF_JHMDB = {
    "brush_hair": "BrushingHair",
    "catch": "Catching",
    "clap": "Clapping",
    "climb_stairs": "ClimbingStairs",
    "jump": "Jumping",
    "kick_ball": "Kicking",
    "pick": "PickingUp",
    "pour": "Pouring",
    "push": "Pushing",
    "run": "Running",
    "sit": "SittingDown",
    "stand": "StandingUp",
    "throw": "Throwing",
    "walk": "Walking",
    "wave": "Waving",
}
"""Class here, by class of JHMDB."""

OF_ACTORS = {label: COMPOSITION[label][1][-1] if label in COMPOSITION else label for label in ACTORS}
"""Class here, by class of the actors. A composed one counts for its last part: JHMDB calls a walk to a chair and the
sitting down `sit`, a run and a throw `throw`."""

CLASSES = tuple(sorted({*OF_JHMDB.values(), *ACTIONS}))
"""Clip classes, which are the atomic actions too."""

DRAWN_ONLY = tuple(sorted(set(CLASSES) - set(OF_JHMDB.values())))
"""Classes of which no real person was seen."""
