"""Experiments in which agents learn from others: one teacher, generations of teachers, and demonstrations."""

from xworld.apps.laboratory.experiments.teaching import generations, kickstart, prompting

EXPERIMENTS = (generations.EXPERIMENT, kickstart.EXPERIMENT, prompting.EXPERIMENT)
