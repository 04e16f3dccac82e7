"""Training of the recogniser: samples, augmentation, schedule, checkpoints, and the loop."""
