"""Worlds: what a game is played in. Start with `world.py`."""
