"""The command line: a file for each command. Start with `main.py`."""
