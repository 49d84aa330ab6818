"""Which tasks are trained on, as it depends on how it goes. Start with `curriculum.py`."""
