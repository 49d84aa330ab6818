"""Draws the probe tasks: a picture for each group, the list in probes.md, and films of those for two.

python docs/tools/probes/draw.py
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

DOCS = Path(__file__).parents[2]
LIST_STARTS = "## The list\n"  # what follows in probes.md is written by this script
FILMS_START, FILMS_END = "## Films\n", "## The table\n"  # likewise in two-player-probes.md
FILMS_IN_A_ROW = 4
TILE_SIZES = {"one_player": 22, "navigation": 14, "two_player": 22}  # pixels
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
    for one in probes(num_agents=2):
        print(film(one, _film_of(one)) or f"The expert finds no way through {one.name}.")
    page = DOCS / "probes.md"
    page.write_text(with_list(page.read_text()))
    page = DOCS / "two-player-probes.md"
    page.write_text(with_films(page.read_text()))


def film(one: Probe, path: Path) -> Path | None:
    """The expert in both seats, until all who can be paid have been for a few steps; none if nobody ever is."""
    env, task = Env(one.config), one.task()
    policy = plan_policy(env, jax.tree.map(lambda leaf: leaf[None], task), show_progress=False)
    states, timesteps = jax.device_get(record(env, task, policy, jax.random.key(0), num_trials=1))
    (height, width), tile_size = _map_size(one), TILE_SIZES["two_player"]
    is_paid = timesteps.reward > 0  # [T, A]
    if not is_paid.any():
        return None
    end = int(is_paid.argmax(0)[is_paid.any(0)].max()) + HELD
    pictures = (
        render(env, jax.tree.map(lambda leaf, step=step: leaf[step], states), tile_size=tile_size, show_view=False)
        for step in range(end)
    )
    return save_animation((one[: height * tile_size, : width * tile_size] for one in pictures), path, fps=4)


def with_list(page: str) -> str:
    """The text of probes.md with its list renewed."""
    return page.partition(LIST_STARTS)[0] + LIST_STARTS + "".join(map(_section, GROUPS))


def with_films(page: str) -> str:
    """The text of two-player-probes.md with its films renewed."""
    start, _, rest = page.partition(FILMS_START)
    _, _, end = rest.partition(FILMS_END)
    lines = []
    for group in GROUPS:
        filmed = [one for one in probes(group) if one.config.num_agents == 2]
        lines += [f"\n### {group}"] if filmed else []
        for row in (filmed[n : n + FILMS_IN_A_ROW] for n in range(0, len(filmed), FILMS_IN_A_ROW)):
            titles = " | ".join(one.title for one in row)
            films = " | ".join(
                f"![{one.title}](images/films/{one.name}.gif)" if _film_of(one).exists() else "(no plan found)"
                for one in row
            )
            lines += ["", f"| {titles} |", f"|{'---|' * len(row)}", f"| {films} |"]
    return start + FILMS_START + "\n".join(lines) + "\n\n" + FILMS_END + end


def _film_of(one: Probe) -> Path:
    return DOCS / "images" / "films" / f"{one.name}.gif"


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
