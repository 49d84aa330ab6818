"""The network: pure functions, with the memory passed in and out. Start with `agent.py`."""
