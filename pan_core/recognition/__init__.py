"""Online recognition of people: a stream of poses in, actions out. No torch is needed but by `torch_network`."""
