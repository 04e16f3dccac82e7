"""Devices: bundles, measurements, budgets and predictions."""
