"""Training of the recognizer: samples, augmentation, schedule, checkpoints, and the loop."""
