"""Draws the probe tasks: a picture for each group, the list in probes.md, and films of the expert with itself.

python docs/tools/draw_probes.py
"""

import tomllib
from pathlib import Path

import jax
import numpy as np

from xworld import Env
from xworld.agents.players import plan_policy
from xworld.evaluation import record
from xworld.rendering import render, save_animation, save_picture
from xworld.rendering.drawing.canvas import new_surface, stamp, to_array, write
from xworld.rendering.drawing.palette import PAGE, TEXT
from xworld.tasks import Probe, probes
from xworld.tasks.sets.probes import GROUPS, SHAPES

DOCS = Path(__file__).parents[1]
LIST_STARTS = "## The list\n"  # what follows in probes.md is written by this script
TILE_SIZES = {"one_player": 22, "navigation": 14, "two_player": 22}  # pixels
FILMED = ("pass_over_the_wall_once", "coordinated_exchange", "two_machines")
HELD = 8  # steps of a film in which the goal holds
LETTERS, MARGIN, MAX_WIDTH = 15, 14, 1100  # pixels: height of the titles, space around pictures, width of a page


def main() -> None:
    """Draws all groups and writes the list."""
    pictures = {}
    for shape, config in SHAPES.items():
        env = Env(config)
        reset = jax.jit(env.reset)
        for one in probes():
            if one.config == config:
                state, _ = reset(jax.random.key(0), one.task())
                height, width = _map_size(one)
                tile_size = TILE_SIZES[shape]
                picture = render(env, state, tile_size=tile_size, show_view=False)
                pictures[one.name] = picture[: height * tile_size, : width * tile_size]
    for group in GROUPS:
        drawn = [(one.title, pictures[one.name]) for one in probes(group)]
        print(save_picture(_sheet(drawn), DOCS / "images" / "probes" / f"{group}.png"))
    for name in FILMED:
        print(film(name, DOCS / "images" / "films" / f"{name}.gif"))
    page = DOCS / "probes.md"
    page.write_text(with_list(page.read_text()))


def film(name: str, path: Path) -> Path:
    """The expert in both seats, until both have been paid for a few steps."""
    (one,) = (one for one in probes() if one.name == name)
    env, task = Env(one.config), one.task()
    policy = plan_policy(env, jax.tree.map(lambda leaf: leaf[None], task), show_progress=False)
    states, timesteps = jax.device_get(record(env, task, policy, jax.random.key(0), num_trials=1))
    (height, width), tile_size = _map_size(one), TILE_SIZES["two_player"]
    end = int(np.flatnonzero(timesteps.reward.all(1))[0]) + HELD
    pictures = (
        render(env, jax.tree.map(lambda leaf, step=step: leaf[step], states), tile_size=tile_size, show_view=False)
        for step in range(end)
    )
    return save_animation((one[: height * tile_size, : width * tile_size] for one in pictures), path, fps=4)


def with_list(page: str) -> str:
    """The text of probes.md with its list renewed."""
    return page.partition(LIST_STARTS)[0] + LIST_STARTS + "".join(map(_section, GROUPS))


def _section(group: str) -> str:
    about = GROUPS[group]
    lines = [f"\n### {group}\n", f"{about[0].upper()}{about[1:]}.\n", f"![{group}](images/probes/{group}.png)\n"]
    for one in probes(group):
        (shape,) = (shape for shape, config in SHAPES.items() if config == one.config)
        file = f"../xworld/tasks/sets/probe_tasks/{shape}/{one.name}.toml"
        lines.append(f"- **{one.title}** ([`{one.name}`]({file})). {one.idea}")
        lines.append(f"  *Tests:* {one.tests} *Here:* {one.differs}")
    return "\n".join(lines) + "\n"


def _map_size(one: Probe) -> tuple[int, int]:
    rows = tomllib.loads(one.text)["map"].splitlines()
    return len(rows), len(rows[0])


def _sheet(drawn: list[tuple[str, np.ndarray]]) -> np.ndarray:
    """Pictures with their titles, side by side in rows that fit the page."""
    rows: list[list[tuple[int, str, np.ndarray]]] = [[]]
    left = MARGIN
    for title, picture in drawn:
        width = max(picture.shape[1], write(title, LETTERS, TEXT).get_width())
        if left + width + MARGIN > MAX_WIDTH and rows[-1]:
            rows.append([])
            left = MARGIN
        rows[-1].append((left, title, picture))
        left += width + 2 * MARGIN
    heights = [max(picture.shape[0] for _, _, picture in row) + 2 * LETTERS + MARGIN for row in rows]
    right = max(left + max(p.shape[1], write(t, LETTERS, TEXT).get_width()) for row in rows for left, t, p in row)
    sheet = new_surface(right + MARGIN, sum(heights) + MARGIN, PAGE)
    titles = [(left, sum(heights[:n]) + MARGIN, title) for n, row in enumerate(rows) for left, title, _ in row]
    for left, top, title in titles:
        stamp(sheet, write(title, LETTERS, TEXT), left, top)
    pixels = to_array(sheet).copy()
    for number, row in enumerate(rows):
        top = sum(heights[:number]) + MARGIN + 2 * LETTERS - LETTERS // 2
        for left, _, picture in row:
            pixels[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return pixels


if __name__ == "__main__":
    main()
