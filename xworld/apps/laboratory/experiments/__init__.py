"""The experiments: a file for each, with an `EXPERIMENT`. Whoever adds one adds a file."""
