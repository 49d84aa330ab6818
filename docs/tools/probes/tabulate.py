"""Plays the probes for two and writes their table: python docs/tools/probes/tabulate.py [PLAYER ...].

Players go by their names, as for `xworld evaluate --agent`; folders of runs too.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from xworld.agents import Expert, PairedPolicy, Policy
from xworld.agents.players import EXPERT, RANDOM, SEARCHER, player_by_name
from xworld.apps.commands.evaluate import BEST_RETURNS_FOLDER
from xworld.base.xla.devices import num_cores, use_devices
from xworld.evaluation import SweepConfig, expert_reference, run_sweep
from xworld.evaluation.scores.sweep import mean_returns
from xworld.tasks import TaskCollection, tasks_by_name

PAGE = Path(__file__).parents[2] / "two-player-probes.md"
TABLE_STARTS = "## The table\n"  # what follows in the page is written by this script
NUM_TRIALS = 5  # of which the last counts
SEATS = (0, 1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Plays, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("players", nargs="*", default=[RANDOM, SEARCHER, EXPERT])
    parser.add_argument("--partners", nargs="+", default=[RANDOM, EXPERT], help="who else sits in the other seat")
    parser.add_argument("--num-tasks", type=int, help="the first so many probes")
    parser.add_argument("--repetitions", type=int, default=10, help="episodes of each probe for each pair")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--best-returns", type=Path, default=BEST_RETURNS_FOLDER)
    options = parser.parse_args(arguments)
    use_devices(num_cores())
    collection = tasks_by_name("probes:two_player").collect(options.num_tasks)
    best = expert_reference(collection.tasks, Expert(collection.env), options.best_returns).best
    names = dict.fromkeys([*options.players, *options.partners])
    players = {name: player_by_name(name, collection.env, collection.tasks).policy for name in names}
    returns = {
        f"{name} with {'itself' if other == name else other}": play(
            collection, players[name], None if other == name else players[other], options.repetitions
        )
        for name in options.players
        for other in dict.fromkeys([name, *options.partners])
    }
    page = options.page.read_text()
    options.page.write_text(page.partition(TABLE_STARTS)[0] + TABLE_STARTS + table(collection, best, returns))


def play(collection: TaskCollection, player: Policy, partner: Policy | None, num_repetitions: int) -> np.ndarray:
    """[num_tasks] mean returns of the last trial, both ways to sit; without a partner it has all seats."""
    seats = [player] if partner is None else [PairedPolicy(player, partner, jnp.int32(seat)) for seat in SEATS]
    config, found = SweepConfig((NUM_TRIALS,), num_repetitions), []
    for policy in seats:
        played = run_sweep(collection.env, collection.tasks, policy, config, show_progress=False)
        found.append(mean_returns(played[NUM_TRIALS])[0, :, -1])
    return np.mean(found, axis=0)


def table(collection: TaskCollection, best: np.ndarray, returns: dict[str, np.ndarray]) -> str:
    """Markdown: a row for each probe, shares of the expert's best return; and how many probes reach half of it."""
    lines = ["", f"| probe | expert's return | {' | '.join(returns)} |", f"|---|---|{'---|' * len(returns)}"]
    for place, name in enumerate(collection.task_names or ()):
        cells = [f"{one[place] / best[place]:.2f}" if best[place] > 0 else "" for one in returns.values()]
        known = f"{best[place]:.1f}" if best[place] > 0 else "none found"
        lines.append(f"| `{name}` | {known} | {' | '.join(cells)} |")
    is_known = best > 0
    shares = [one[is_known] / best[is_known] for one in returns.values()]
    lines.append(f"| **mean** | | {' | '.join(f'**{share.mean():.2f}**' for share in shares)} |")
    lines.append(f"| **at half or above** | | {' | '.join(str(int((share >= 0.5).sum())) for share in shares)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
