"""Further losses beside a learner's own. Start with `term.py`."""
