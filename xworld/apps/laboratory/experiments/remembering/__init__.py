"""Experiments with memories: which adapts best, how far gradients have to reach, and what a memory can represent."""

from xworld.apps.laboratory.experiments.remembering import cloning, gradient_reach, memories

EXPERIMENTS = (cloning.EXPERIMENT, gradient_reach.EXPERIMENT, memories.EXPERIMENT)
