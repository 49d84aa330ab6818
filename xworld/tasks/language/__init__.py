"""The task language: rows, phrases, task files read and written. Start with `reading.py`."""
