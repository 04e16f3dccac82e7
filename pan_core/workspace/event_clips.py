"""Clips for streams in which somebody does one thing after another."""

from pan_core.live.clip_streams import PersonClip, clips_of
from pan_core.training.samples import Samples
from pan_core.workspace.training_data import background_samples

HELD_OUT_SEED = 10_000
"""Added to the seed of background that no network learns from."""


def stream_clips(samples: Samples, *, seed: int) -> list[PersonClip]:
    """Clips of samples, and drawn people who do nothing in particular.

    These are drawn anew by each seed, so they are not those that a network has learnt. If they cannot be drawn, the person of a
    stream stands still between two clips (`pan_core.live.clip_streams`).

    Args:
        samples: Clips of online mode, of validation or test groups.
        seed: Of what is drawn.
    """
    background = background_samples(samples, seed=HELD_OUT_SEED + seed)
    return clips_of(samples) + (clips_of(background) if background else [])
