"""Commands that ask more of agents than a score: what one remembers, and who plays well with whom."""
