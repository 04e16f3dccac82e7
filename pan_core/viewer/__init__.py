"""Skeletons and captions drawn into video."""
