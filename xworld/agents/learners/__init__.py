"""Learners that learn one task from their own stream alone, as policies. Start with `tabular.py`."""
