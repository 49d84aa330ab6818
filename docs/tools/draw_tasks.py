"""A page of pictures of sampled tasks for `docs/tasks.md`: the start, the goal and the rules, hidden ones in italics.

python docs/tools/draw_tasks.py
"""

import argparse
import textwrap
from pathlib import Path

import jax
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from xworld import Env, Task
from xworld.rendering import render
from xworld.tasks import goal_text, preset, rule_text
from xworld.tasks.universe.hiding import is_rule_hidden

IMAGES = Path(__file__).resolve().parents[1] / "images"
ROWS, COLUMNS = ("small", "medium", "ada", "ada-two-player"), 3
TILE_SIZE = 24


def main() -> None:
    """Draws the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--first-id", type=int, default=10, help="of worlds and games")
    parser.add_argument("--output", type=Path, default=IMAGES / "tasks.png")
    arguments = parser.parse_args()
    figure = Figure(figsize=(4 * COLUMNS, 6 * len(ROWS)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(ROWS), COLUMNS)
    for place, (name, row) in enumerate(zip(ROWS, panels, strict=True)):
        universe = preset(name)
        env = Env(universe.env_config)
        ids = arguments.first_id + np.arange(place * COLUMNS, (place + 1) * COLUMNS, dtype=np.int32)
        tasks = jax.jit(jax.vmap(universe.task))(ids, ids)
        for index, panel in enumerate(row):
            task = jax.tree.map(lambda leaf, index=index: leaf[index], tasks)
            state = jax.jit(env.reset)(jax.random.key(0), task)[0]
            panel.imshow(render(env, state, tile_size=TILE_SIZE, show_view=False))
            panel.set_axis_off()
            panel.set_title(f"{name}, task ({ids[index]}, {ids[index]})", fontsize=10)
            lines = describe(task)
            for number, (line, is_hidden) in enumerate(lines):
                style = "italic" if is_hidden else "normal"
                panel.text(
                    0, -0.035 - 0.045 * number, line, transform=panel.transAxes, fontsize=7.5, va="top", style=style
                )
            panel.set_anchor("N")
    figure.savefig(arguments.output, dpi=70)


def describe(task: Task) -> list[tuple[str, bool]]:
    """Lines about a task, and whether each is of a rule of which something is hidden from agent 0."""
    goals, rules = jax.tree.map(np.asarray, (task.goals, task.rules))
    fields = (goals.relation, goals.directions, goals.first, goals.second, goals.negated)
    lines = [(f"goal: {goal_text(np.stack(fields, axis=-1)[0])}", False)]
    rows = np.column_stack([rules.relation, rules.directions, rules.first, rules.second, rules.products])
    is_hidden = np.asarray(is_rule_hidden(task.rules, task.hidden))[0]
    for index in np.flatnonzero(rules.relation):
        text = rule_text(rows[index]) + (" (hidden)" if is_hidden[index] else "")
        lines += [(line, bool(is_hidden[index])) for line in textwrap.wrap(text, 62, subsequent_indent="    ")]
    return lines


if __name__ == "__main__":
    main()
