"""Players that follow a script and know no hidden rule. Start with `searcher.py`."""
