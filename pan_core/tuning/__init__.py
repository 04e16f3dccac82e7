"""Search of hyperparameters: accuracy on validation groups against the time of one frame, with Optuna."""
