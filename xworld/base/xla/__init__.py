"""What makes XLA compile well, and keeps what it compiled."""
