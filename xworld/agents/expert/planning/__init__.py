"""How the expert plans, on the host. Start with `search.py`; `../world` is the world as it sees it."""
