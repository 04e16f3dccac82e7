"""Running on devices: latency and its budgets."""
