"""Datasets; every adapter yields the same clip table."""
