"""The embedded dataset: animated people filmed by a drawn camera, made on the spot from a seed."""

from pan_core.datasets.actors.choreography import ACTIONS, CLASSES, COMPOSITION, ActionSegment
from pan_core.datasets.actors.generate import generate
from pan_core.datasets.actors.listing import ActorsSettings
from pan_core.datasets.actors.scenes import Performer, render_scene

__all__ = [
    "ACTIONS",
    "CLASSES",
    "COMPOSITION",
    "ActionSegment",
    "ActorsSettings",
    "Performer",
    "generate",
    "render_scene",
]
