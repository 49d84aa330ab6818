"""What an agent remembers: its score with less memory, what can be read from it, where it looks. See `inspect.py`."""
