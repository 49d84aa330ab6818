"""The simulator: jax and numpy only. Start with `env.py`."""
