"""The universe of games. Start with `universe.py`."""
