"""Experiments in which agents learn from others: generations of teachers, and demonstrations."""

from xworld.apps.laboratory.experiments.teaching import generations, prompting

EXPERIMENTS = (generations.EXPERIMENT, prompting.EXPERIMENT)
