"""The recognizer as a library: people found in pictures, and what they do. Only `torch_network`, loading and `pretrained`'s training need torch."""
