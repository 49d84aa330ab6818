"""Tables, figures, pages and files of scores. Start with `files.py`."""
