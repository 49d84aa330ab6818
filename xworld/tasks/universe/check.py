"""Whether a universe as configured can be made at all: said before it is, and with what to change."""

import math

from xworld.base.errors import ConfigError
from xworld.core.config import EnvConfig
from xworld.tasks.universe.chains import cards_per_condition, pad_kinds
from xworld.tasks.universe.config import UniverseConfig, between_things, goal_relations, rule_relations, split_range
from xworld.tasks.universe.dead_ends import max_false_rules
from xworld.tasks.worlds.rooms import all_layouts, max_keys, num_locked
from xworld.tasks.worlds.sizes import WORKSPACE_CELLS, check_worlds, num_before_doors, num_usable, num_worlds

_ODDS = 1e-5  # chance that one part of a split has nothing in it, above which a universe is refused


def check(env_config: EnvConfig, config: UniverseConfig) -> None:
    """Checks a configuration of the universe against that of the environment.

    Raises:
      ConfigError: rules, objects or rooms do not fit; a relation is left out; there are too few kinds, conditions,
        games or worlds.
    """
    check_worlds(env_config, config.world)
    _check_relations(env_config, config)
    _check_players(env_config, config)
    _check_goals(env_config, config)
    longest, num_false = config.chain_length[1], max_false_rules(config)
    num_rules = config.num_chains[1] * longest + num_false
    if num_rules > env_config.max_rules:
        raise ConfigError(
            f"{_chains_text(config)} and {num_false} dead ends and decoys do not fit: EnvConfig.max_rules is "
            f"{env_config.max_rules}. Raise it to {num_rules}, or lower {_chain_knobs(config)}, num_dead_ends or "
            "num_decoys."
        )
    _check_kinds(env_config, config)
    most = max_objects(env_config, config)
    if most > env_config.max_objects:
        raise ConfigError(
            f"Up to {most} objects (chain, distractors and keys) do not fit: EnvConfig.max_objects is "
            f"{env_config.max_objects}. Raise it, or lower {_chain_knobs(config)}, num_distractors or max_locked_doors."
        )
    _check_false_rules(env_config, config)
    _check_room(env_config, config)
    _check_keys(env_config, config)
    _check_pads(env_config, config)
    num_games = len(goal_relations(env_config, config)) * math.perm(_num_kinds(config), longest + 1)
    _check_split(config, "games", num_games, "Add shapes, colours or rules")
    for kind in config.world.kinds:
        number = num_worlds(env_config, config.world, kind)
        _check_split(config, f"worlds of the kind {kind!r}", number, "Add floor_colours, door_colours or cells")


def max_objects(env_config: EnvConfig, config: UniverseConfig) -> int:
    """Objects in a task at most, at the start."""
    goals, rules = goal_relations(env_config, config), rule_relations(env_config, config)
    is_undone = config.negated_goal_percent > 0 and goals != ("hold",)
    num_partners = 0
    if between_things(rules):  # the last rule that undoes a goal always has a partner
        num_partners += config.chain_length[1] if config.pair_percent else min(config.chain_length[1], is_undone)
    if between_things(goals):
        num_partners += config.pair_percent > 0 or is_undone
    of_chains = config.num_chains[1] * (1 + num_partners)
    return of_chains + config.num_distractors[1] + max_keys(env_config, config.world)


def _chains_text(config: UniverseConfig) -> str:
    """The largest chains, at the beginning of a sentence."""
    number, longest = config.num_chains[1], config.chain_length[1]
    return f"A chain of {longest} rules" if number == 1 else f"{number} chains of {longest} rules each"


def _chain_knobs(config: UniverseConfig) -> str:
    """What makes chains smaller."""
    return "chain_length" if config.num_chains[1] == 1 else "num_chains, chain_length"


def _check_goals(env_config: EnvConfig, config: UniverseConfig) -> None:
    if config.goal_per_trial and config.num_chains[1] > env_config.max_goals:
        raise ConfigError(
            f"Up to {config.num_chains[1]} goals, one for each chain, do not fit: EnvConfig.max_goals is "
            f"{env_config.max_goals}. Raise it to {config.num_chains[1]}, or lower num_chains."
        )


def _check_players(env_config: EnvConfig, config: UniverseConfig) -> None:
    if config.two_player_percent and env_config.num_agents < 2:
        raise ConfigError(
            f"two_player_percent is {config.two_player_percent}, but EnvConfig.num_agents is 1. Raise it to 2, or "
            "write two_player_percent=0."
        )
    if not config.together_percent:
        return
    if not config.two_player_percent:
        raise ConfigError(
            f"together_percent is {config.together_percent}, but two_player_percent is 0. Raise it, or write "
            "together_percent=0."
        )
    if config.chain_length[1] == 0:
        raise ConfigError(
            "together_percent asks for games with a part for each agent, which have at least one rule, but "
            "chain_length is (0, 0). Raise it, or write together_percent=0."
        )
    for name, relations in (
        ("goal_relations", goal_relations(env_config, config)),
        ("rule_relations", rule_relations(env_config, config)),
    ):
        if relations == ("on",):
            raise ConfigError(
                f"{name} is ('on',), which is never about an agent. Add one, or write together_percent=0."
            )


def _check_relations(env_config: EnvConfig, config: UniverseConfig) -> None:
    for name, relations in (
        ("goal_relations", goal_relations(env_config, config)),
        ("rule_relations", rule_relations(env_config, config)),
    ):
        if not relations:
            raise ConfigError("EnvConfig.relations has none that a task could use. Add one, such as 'touch'.")
        for relation in relations:
            if relation not in env_config.relations:
                raise ConfigError(
                    f"{name} has {relation!r}, which is left out of EnvConfig.relations. Add it there, or leave it out "
                    "here."
                )
        if "see" in relations and env_config.view_size == 1:
            raise ConfigError(
                f"{name} has 'see', but with EnvConfig.view_size 1 an agent sees no object. Write 3 or more there."
            )


def _num_kinds(config: UniverseConfig) -> int:
    return len(config.shapes) * len(config.colours)


def _check_kinds(env_config: EnvConfig, config: UniverseConfig) -> None:
    num_keys = max_keys(env_config, config.world)
    if "key" in config.shapes and num_keys:
        raise ConfigError(
            "shapes has 'key', but there are locked doors whose keys must not be in rules. Leave 'key' out of shapes, "
            "or write max_locked_doors=0."
        )
    num_chain = config.num_chains[1] * cards_per_condition(env_config, config) * (config.chain_length[1] + 1)
    has_bait = max_false_rules(config) > 0
    num_more = max(bool(config.num_distractors[1]), has_bait or config.max_products > 1) + has_bait
    if num_chain + num_more > _num_kinds(config):
        raise ConfigError(
            f"{len(config.shapes)} shapes in {len(config.colours)} colours are {_num_kinds(config)} kinds, but "
            f"{_chains_text(config).replace('A chain', 'a chain')} and what distracts from it need "
            f"{num_chain + num_more}. Add shapes or colours, or lower {_chain_knobs(config)}."
        )


def _check_room(env_config: EnvConfig, config: UniverseConfig) -> None:
    """There has to be room for the smallest games: half of the cells that things may be on are theirs."""
    goals, rules = goal_relations(env_config, config), rule_relations(env_config, config)
    num_distractors = max(config.num_distractors[0], config.num_dead_ends[0] + config.num_decoys[0] > 0)
    num_needed = 1
    if config.pair_percent == 100:  # every condition has a partner
        num_needed += config.chain_length[0] * (rules == between_things(rules)) + (goals == between_things(goals))
    num_things = 1 + config.num_chains[0] * num_needed + num_distractors + (config.two_player_percent == 100)
    needs_workspace = between_things(goals + rules) or config.two_player_percent or config.max_products > 1
    for kind in config.world.kinds:
        num_cells = num_usable(env_config, config.world, kind)
        if kind == "rooms" and not needs_workspace:
            num_cells += WORKSPACE_CELLS
        num_all = num_things + (max_keys(env_config, config.world) if kind == "rooms" else 0)
        if num_all > num_cells // 2:
            raise ConfigError(
                f"Worlds of the kind {kind!r} in a grid of {env_config.height} x {env_config.width} cells may have "
                f"room for only {max(num_cells // 2, 0)} things, but there are at least {num_all}: the agent, what "
                "the goal needs, distractors and keys. Raise EnvConfig.height and width, or lower num_distractors"
                f"{', num_chains' if config.num_chains[0] > 1 else ''} or max_locked_doors."
            )


def _check_keys(env_config: EnvConfig, config: UniverseConfig) -> None:
    """All keys lie where the agent can go without one: half of the cells there are theirs."""
    for rows, columns in all_layouts(env_config, config.world) if "rooms" in config.world.kinds else ():
        num_keys = num_locked(config.world, rows, columns)
        room = num_before_doors(env_config, config.world, rows, columns) // 2
        if num_keys > room:
            raise ConfigError(
                f"Worlds of {rows * columns} rooms in a grid of {env_config.height} x {env_config.width} cells may "
                f"have {num_keys} locked doors, but where the agent starts there may be room for only {room} keys. "
                "Lower max_locked_doors, or raise EnvConfig.height and width."
            )


def _check_pads(env_config: EnvConfig, config: UniverseConfig) -> None:
    """Every condition of a chain has a floor colour of its own, and decoys have one more."""
    num_pads, needed = len(pad_kinds(config)), config.num_chains[1] * (config.chain_length[1] + 1) + 1
    if "on" in goal_relations(env_config, config) + rule_relations(env_config, config) and num_pads < needed:
        raise ConfigError(
            f"floor_colours leaves {num_pads} colours of floor for goals and rules to ask for, but "
            f"{_chains_text(config).replace('A chain', 'a chain')} and decoys need {needed}. Take colours out of "
            f"floor_colours, lower {_chain_knobs(config)}, or leave 'on' out of goal_relations and rule_relations."
        )


def _check_false_rules(env_config: EnvConfig, config: UniverseConfig) -> None:
    """No two dead ends or decoys have the same condition, so there have to be enough of them."""
    num_chain = config.num_chains[1] * cards_per_condition(env_config, config) * (config.chain_length[1] + 1)
    num_bait = max(min((max(config.num_distractors[0], 1) + 1) // 2, _num_kinds(config) - num_chain - 1), 0)
    relations = rule_relations(env_config, config)
    spoiling = between_things(relations)
    if config.num_dead_ends[0] and not spoiling:
        raise ConfigError(
            f"num_dead_ends asks for dead ends, but none can be made of the relations {', '.join(relations)}: they "
            "relate what the goal needs to another object. Add touch, near or see to rule_relations, or write "
            "num_decoys instead."
        )
    for what, number, possible in (
        ("dead ends", config.num_dead_ends[1], num_bait * len(spoiling or relations)),
        ("dead ends and decoys", max_false_rules(config), num_bait * len(relations)),
    ):
        if number > possible:
            raise ConfigError(
                f"{number} {what} need as many different conditions, but with {config.num_distractors[0]} distractors "
                f"and the relations {', '.join(relations)} there may be only {possible}. Ask for fewer, or raise the "
                "lowest of num_distractors."
            )


def _check_split(config: UniverseConfig, what: str, number: int, cure: str) -> None:
    first, end = split_range(config)
    share = (end - first) / 100
    if (1 - share) ** number > _ODDS:
        raise ConfigError(
            f"There are perhaps only {number} different {what}, too few to be sure that any are in the {config.split} "
            f"split, which has {share:.0%} of them. {cure}, change test_percent or validation_percent, or write "
            "split='all'."
        )
