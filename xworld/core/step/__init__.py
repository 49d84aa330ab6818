"""The parts of a step of the simulator, in the order of `env.py`."""
