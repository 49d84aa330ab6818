"""How parameters change with experience. Start with `ppo.py`."""
