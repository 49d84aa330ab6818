"""What an agent remembers with. Start with `memory.py`."""
