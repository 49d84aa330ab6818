"""The scoreboard of the benchmark `xworld-s`: entries in files, playing them, and the page. Start with `entry.py`."""
