"""How the expert plans, on the host. Start with `search.py`; `ground.py` and `model.py` are the world as it sees it."""
