"""What an experiment leaves: numbers, figures, a page."""
