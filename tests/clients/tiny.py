"""The tiny universe that foreign trainers learn: pick up the only object of a room, in three trials of eight steps."""

import sys

from tiny_rooms import SANITY_TASKS, env_config

from xworld import Env

TASKS, ENV = SANITY_TASKS, Env(env_config(side=5))
EPISODE = SANITY_TASKS.trial_length * SANITY_TASKS.num_trials  # steps
MIN_GAIN = 2.0  # how many times what it earned before training a trainer has to earn after it


def conclude(name: str, before: float, after: float, episode: int = EPISODE) -> None:
    """Prints returns of an episode, of so many steps, before and after training; exits with 1 unless clearly apart."""
    print(f"{name}: {before:.2f} an episode before training, {after:.2f} after, of at most {episode}", flush=True)
    if not after > MIN_GAIN * before:
        sys.exit(f"{name} has not learned: it should earn {MIN_GAIN:g} times as much as before.")
