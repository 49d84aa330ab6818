"""Experiments with memories: which adapts best, how far gradients reach, how fast to learn, what can be represented."""

from xworld.apps.laboratory.experiments.remembering import cloning, gradient_reach, learning_rate, memories

EXPERIMENTS = (cloning.EXPERIMENT, gradient_reach.EXPERIMENT, learning_rate.EXPERIMENT, memories.EXPERIMENT)
