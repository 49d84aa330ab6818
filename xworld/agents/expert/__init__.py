"""The expert: it knows the hidden rules, and plans. Start with `expert.py`."""
