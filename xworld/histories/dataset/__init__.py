"""Histories by the million: recorded as bytes, and derived again on the device. Start with `header.py`."""
