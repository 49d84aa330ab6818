"""Where tasks come from: task files, the universe, and sets of tasks."""
