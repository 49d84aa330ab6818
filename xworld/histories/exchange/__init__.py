"""Data sets in the files of other projects, and theirs read here. Start with `xland_100b.py`."""
