"""What one runs: the commands, the window, studies."""
