"""Draws the page of worlds, a row for each kind: python docs/tools/draw_worlds.py."""

from pathlib import Path

import jax
import numpy as np

from xworld import Env, EnvConfig
from xworld.rendering import render, save_picture
from xworld.rendering.drawing.canvas import new_surface, stamp, to_array, write
from xworld.rendering.drawing.palette import PAGE, TEXT
from xworld.tasks import Universe, UniverseConfig, WorldConfig
from xworld.tasks.worlds.config import KINDS

ENV = Env(EnvConfig(height=13, width=13, max_objects=6, max_rules=1, relations=("hold",)))
NUM_WORLDS = 6  # of each kind
TILE_SIZE, LETTERS, MARGIN = 13, 15, 14  # pixels: of a cell, height of the titles, space around pictures


def main() -> None:
    """Draws all kinds."""
    print(
        save_picture(_sheet({kind: _draw(kind) for kind in KINDS}), Path(__file__).parents[1] / "images" / "worlds.png")
    )


def _draw(kind: str) -> list[np.ndarray]:
    """Tasks in worlds of a kind, half of them with black floor."""
    pictures = []
    for first, colours in ((0, ("black",)), (NUM_WORLDS // 2, ("black", "brown", "grey"))):
        config = UniverseConfig(
            split="all",
            world=WorldConfig(kinds=(kind,), floor_colours=colours),
            chain_length=(0, 0),
            num_distractors=(3, 3),
            num_dead_ends=(0, 0),
            num_decoys=(0, 0),
        )
        ids = first + jax.numpy.arange(NUM_WORLDS // 2)
        tasks = jax.jit(jax.vmap(Universe(ENV.config, config).task))(ids, ids)
        for index in range(NUM_WORLDS // 2):
            state, _ = ENV.reset(jax.random.key(0), jax.tree.map(lambda leaf, index=index: leaf[index], tasks))
            pictures.append(render(ENV, state, tile_size=TILE_SIZE, show_view=False))
    return pictures


def _sheet(drawn: dict[str, list[np.ndarray]]) -> np.ndarray:
    """A row of pictures for each title."""
    height, width = (size + MARGIN for size in drawn[KINDS[0]][0].shape[:2])
    row_height = height + 2 * LETTERS
    sheet = new_surface(MARGIN + NUM_WORLDS * width, MARGIN + len(drawn) * row_height, PAGE)
    for row, title in enumerate(drawn):
        stamp(sheet, write(title, LETTERS, TEXT), MARGIN, MARGIN + row * row_height)
    pixels = to_array(sheet).copy()
    for row, pictures in enumerate(drawn.values()):
        for column, picture in enumerate(pictures):
            top, left = MARGIN + row * row_height + 2 * LETTERS, MARGIN + column * width
            pixels[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return pixels


if __name__ == "__main__":
    main()
