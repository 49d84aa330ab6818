"""Tasks that come with the package: the first minutes need no generator, which takes half a minute to compile."""
