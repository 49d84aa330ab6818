"""Drawing: surfaces, colours, tiles, sprites."""
