"""A gallery: what the archives of an experiment's curricula held early and late, as pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from xworld.apps.laboratory.experiment import Job
from xworld.core.env import Env
from xworld.evaluation.report.look import FAINT, INK, blank_figure
from xworld.rendering import render_frame
from xworld.tasks import config_for, parse
from xworld.training.logs.kept_tasks import read_kept_tasks

_SHOWN = 2  # tasks of each time
_WIDTH, _HEIGHT, _HEAD = 4.6, 2.45, 0.5  # of a picture in inches, and of the lines above each row


def kept_early_and_late(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Of the first run of each arm and family whose curriculum keeps tasks, the task files that came first and last."""
    found: dict[str, list[dict[str, Any]]] = {}
    has_families = len({job.family for job in jobs}) > 1
    for job in jobs:
        kept = read_kept_tasks(job.folder)
        name = f"{job.family}, {job.arm}" if has_families else job.arm
        if kept and name not in found:
            times = [{"steps": steps, "tasks": list(kept[steps])} for steps in (min(kept), max(kept))]
            found[name] = times
    return [{"arm": arm, "times": times} for arm, times in found.items()]


def draw_gallery(kept: Sequence[Mapping[str, Any]]) -> Figure:
    """A row for each arm: tasks of its archive early in the run, and late. What is hidden is shown, underlined."""
    width, height = 2 * _SHOWN * _WIDTH, len(kept) * (_HEIGHT + _HEAD)
    figure = blank_figure(width, height)
    for row, of_arm in enumerate(kept):
        top = height - row * (_HEIGHT + _HEAD)
        for time, of_time in enumerate(of_arm["times"]):
            left = time * _SHOWN * _WIDTH
            at = (left + 0.1) / width
            about = f"{'late' if time else 'early'}, after {of_time['steps']:,} steps"
            figure.text(at, (top - 0.2) / height, of_arm["arm"], color=INK, fontsize=14, weight="bold")
            figure.text(at, (top - 0.42) / height, about, color=FAINT, fontsize=10)
            for place, text in enumerate(of_time["tasks"][:_SHOWN]):
                corner = (left + place * _WIDTH) / width, (top - _HEAD - _HEIGHT) / height
                axes = figure.add_axes((*corner, 0.97 * _WIDTH / width, 0.97 * _HEIGHT / height))
                axes.imshow(_picture(text))
                axes.set_axis_off()
                axes.set_anchor("NW")
    return figure


def _picture(text: str) -> np.ndarray:
    """[h, w, 3] uint8, the start of the task in a task file."""
    config = config_for(text)
    env = Env(config)
    state, timestep = jax.jit(env.reset)(jax.random.key(0), parse(text, config))
    return render_frame(env, state, timestep, reveal=True)
