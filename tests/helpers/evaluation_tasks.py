"""Tasks for the tests of evaluation: one room, a hidden rule `hold(agent, X) -> G`, and the goal `hold(agent, G)`."""

import jax
import jax.numpy as jnp
import numpy as np

from xworld import Env, EnvConfig, Task
from xworld.tasks import parse

CONFIG = EnvConfig(height=7, width=7, max_objects=4, max_rules=2, max_doors=1, push=False, relations=("hold",))
ENV = Env(CONFIG)
KEY = jax.random.key(5)
TRIAL_LENGTH, NUM_TRIALS = 12, 4
BATCH_SIZE = 32  # of all evaluations, so that each policy is compiled once
GOAL, RULE = "hold(agent, black cube)", "hold(agent, red ball) -> black cube"

# Maps of the 5 x 5 cells of a room in which the agent faces east; x is what becomes the cube of the goal, y and z not.
# With each the fewest actions to have it in hand.
KNOWN = (
    ("0..x.|.....|.....|.....|.....", 3),  # forward, forward, pick up
    ("0....|.....|x....|.....|.....", 3),  # turn right, forward, pick up
    ("0....|.x...|.....|.....|.....", 3),  # forward, turn right, pick up
    ("x..0.|.....|.....|.....|.....", 5),  # turn, turn, forward, forward, pick up
    (".....|.....|0yx..|.....|.....", 6),  # carry the obstacle aside: pick up, turn, put down, turn, forward, pick up
    ("0yx..|z....|.....|.....|.....", 6),  # the same, turning away from the corner: only the first is in the way
    (".y...|.0yx.|.y...|.....|.....", 6),
)


def make_room(cells: str, facing: str | None = "east", config: EnvConfig = CONFIG, **fields: object) -> Task:
    """A room from its inner rows, joined by '|'. `fields` replace entries of the task file."""
    rows = ["#######", *(f"#{row}#" for row in cells.split("|")), "#######"]
    entries = {
        "goal": f'"{GOAL}"',
        "rules": f'["{RULE}"]',
        "hidden": '"all"',
        "trial_length": TRIAL_LENGTH,
        "num_trials": NUM_TRIALS,
        "map": '"""\n' + "\n".join(rows) + '\n"""',
    } | fields
    if facing is not None:
        entries["facing"] = f'"{facing}"'
    names = {"x": "red ball", "y": "green star", "z": "blue hex", "g": "black cube", "F": "frozen red ball"}
    legend = [f'{letter} = "{name}"' for letter, name in names.items() if letter in cells]
    text = "\n".join([*(f"{name} = {value}" for name, value in entries.items()), "[legend]", *legend])
    return parse(text, config)


def random_room(generator: np.random.Generator) -> Task:
    """An agent and three objects anywhere, of which any may be the right one."""
    cells = np.full(25, ".")
    cells[generator.choice(25, 4, replace=False)] = list("0xyz")
    return make_room("|".join("".join(row) for row in cells.reshape(5, 5)), facing=None)


def stack(tasks: list[Task]) -> Task:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *tasks)


def join(*stacks: Task) -> Task:
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *stacks)


def take(tasks: Task, index: int) -> Task:
    return jax.tree.map(lambda leaf: leaf[index], tasks)


def make_tasks(num_tasks: int) -> Task:
    """The known rooms and then random ones, stacked."""
    generator = np.random.default_rng(3)
    known = [make_room(cells) for cells, _ in KNOWN]
    return stack(known + [random_room(generator) for _ in range(num_tasks - len(known))])
