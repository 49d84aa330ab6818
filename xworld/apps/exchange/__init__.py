"""The commands `xworld export` and `xworld import`, and Minari's form of a data set. Start with `commands.py`."""
