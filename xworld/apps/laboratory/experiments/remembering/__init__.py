"""Experiments with memories: which adapts best, and how they should be built and learn."""

from xworld.apps.laboratory.experiments.remembering import cloning, gradient_reach, learning_rate, memories

EXPERIMENTS = tuple(module.EXPERIMENT for module in (cloning, gradient_reach, learning_rate, memories))
