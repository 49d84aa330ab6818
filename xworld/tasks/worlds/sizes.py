"""How large worlds are, and how many there are: what can be said of a configuration before any world is drawn."""

import math

from xworld.base.errors import ConfigError
from xworld.core.config import EnvConfig
from xworld.tasks.worlds.config import WorldConfig
from xworld.tasks.worlds.rooms import MIN_ROOM_SIDE, all_layouts, num_doors, num_locked, room_numbers

WORKSPACE_CELLS = 9  # a block of 3 x 3 cells that every world has

# Of all kinds but rooms: the shortest side, and in how many cells outside a workspace things can lie at least, of 100
# inside, up to a number that is enough for any game.
_MIN_SIDE = {"maze": 9, "cave": 9, "islands": 9, "kitchen": 5, "field": 6}
_USABLE_PERCENT = {"maze": 12, "cave": 15, "islands": 15, "kitchen": 60, "field": 30}
_ENOUGH_USABLE = 24


def check_worlds(env_config: EnvConfig, config: WorldConfig) -> None:
    """Checks that worlds of all kinds that are asked for fit the grid.

    Raises:
      ConfigError: one does not.
    """
    for kind in config.kinds:
        if kind == "rooms":
            room_numbers(env_config, config)
        elif min(env_config.height, env_config.width) < _MIN_SIDE[kind]:
            raise ConfigError(
                f"kinds has {kind!r}, which needs a grid of at least {_MIN_SIDE[kind]} x {_MIN_SIDE[kind]} cells, but "
                f"EnvConfig has {env_config.height} x {env_config.width}. Leave {kind!r} out of kinds, or raise "
                "EnvConfig.height and width."
            )


def num_usable(env_config: EnvConfig, config: WorldConfig, kind: str) -> int:
    """In how many cells of a world of some kind, outside a workspace, things can lie at least, one at a time."""
    height, width = env_config.height, env_config.width
    if kind != "rooms":
        return min((height - 2) * (width - 2) * _USABLE_PERCENT[kind] // 100, _ENOUGH_USABLE)
    return min(_num_quiet(env_config, *layout) for layout in all_layouts(env_config, config)) - WORKSPACE_CELLS


def num_before_doors(env_config: EnvConfig, config: WorldConfig, rows: int, columns: int) -> int:
    """In how many cells of rows x columns rooms things can lie on this side of locked doors, if many are locked.

    These are the cells of a part of mean size, of as many parts as locked doors can cut the rooms into.
    """
    num_passable = num_doors(rows, columns) - num_locked(config, rows, columns)
    # There are most parts when the other doors are within few rooms: n rooms have at most 2n - 2 sqrt(n) between them.
    together = next(n for n in range(1, rows * columns + 1) if 2 * n - math.ceil(2 * math.sqrt(n)) >= num_passable)
    return _num_quiet(env_config, rows, columns) // (rows * columns - together + 1)


def _num_quiet(env_config: EnvConfig, rows: int, columns: int) -> int:
    """Floor cells of rows x columns rooms that are not beside a door."""
    return (env_config.height - 1 - rows) * (env_config.width - 1 - columns) - 2 * num_doors(rows, columns)


def num_worlds(env_config: EnvConfig, config: WorldConfig, kind: str) -> int:
    """At least how many different worlds of some kind there are; more than 10^9 count as that."""
    num_colours = len(config.floor_colours)
    num_pairs = math.comb(num_colours, 2)
    if kind != "rooms":
        # What lies outside the workspace can be this or that, in one cell out of two at least.
        num_cells = (env_config.height - 2) * (env_config.width - 2) - WORKSPACE_CELLS
        return min(2 ** (num_cells // 2) * (num_colours + num_pairs), 10**9)
    number = 0
    for rows, columns in all_layouts(env_config, config):
        # A rug reaches from a row and column to another or the same; each of several rooms has one of two colours.
        rugs = math.comb(env_config.height - 1, 2) * math.comb(env_config.width - 1, 2)
        patterns = rugs if rows * columns == 1 else 2 ** (rows * columns) - 2
        doors, colours = num_doors(rows, columns), len(config.door_colours)
        number += MIN_ROOM_SIDE**doors * math.perm(colours, min(doors, colours)) * (num_colours + num_pairs * patterns)
    return min(number, 10**9)
