"""What knows of no world: errors, checks, files, hashes."""
