"""A run of training, from its configuration to its checkpoints. Start with `loop.py`."""
