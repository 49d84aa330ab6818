"""Devices and processes that share the training."""
