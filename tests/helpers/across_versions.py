"""Loads two runs of one configuration, made with other versions of jax, and exits with 1 unless parameters agree."""

import sys

import jax
import numpy as np

from xworld import agents

TOLERANCE = 1e-4  # after the six updates of the smoke preset, in which rounding differs

first, second = (agents.load(folder).params for folder in sys.argv[1:3])
differences = jax.tree.leaves(jax.tree.map(lambda a, b: float(np.abs(a - b).max()), first, second))
print(f"jax {jax.__version__}: {len(differences)} arrays of parameters differ by at most {max(differences):.2g}")
sys.exit(max(differences) > TOLERANCE)
