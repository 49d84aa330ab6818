"""Sets of tasks: by name, fixed, pools, probes, files."""
