"""The recognizer as a library: people found in pictures, and what they do. Only `torch_network` and loading need torch."""
