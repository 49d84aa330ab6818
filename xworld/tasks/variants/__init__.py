"""What a task is made of, and small changes that leave it a task."""
