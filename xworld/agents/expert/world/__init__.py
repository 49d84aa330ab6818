"""The world as the expert sees it, in plain Python. Start with `model.py`."""
