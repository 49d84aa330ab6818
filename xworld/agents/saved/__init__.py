"""Agents in folders. Start with `saved.py`."""
