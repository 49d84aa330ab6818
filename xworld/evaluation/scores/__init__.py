"""Scores: returns of players, and statistics of them."""
