"""Who sits in the other seats. Start with `configs.py`, which has the choice by name."""
