"""Networks that a benchmark trains beside the Pose-Attention Network."""
