"""Experience. Start with `rollout.py`."""
