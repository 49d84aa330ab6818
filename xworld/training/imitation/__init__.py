"""Imitation of recorded histories. Start with `imitate.py`."""
