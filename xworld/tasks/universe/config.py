"""`UniverseConfig`: every knob of the task generator."""

from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

from xworld.base.checks import Range, check_bool, check_fields, check_range, check_set, check_whole, check_word
from xworld.base.errors import ConfigError
from xworld.core import kinds
from xworld.core.config import RELATIONS, EnvConfig
from xworld.tasks.language.rows import MAX_PRODUCTS
from xworld.tasks.worlds.config import WorldConfig

Split = Literal["train", "validation", "test", "all"]
SPLITS: tuple[Split, ...] = get_args(Split)
HIDDEN_WAYS = ("rule", "kind", "relation")
HIDE = ("some", "all")
MAX_CHAIN_LENGTH = 8
MAX_CHAINS = 32
BETWEEN_THINGS = ("touch", "near", "see")  # relations that two objects can have

# Field: the lowest and the highest value it may have.
_WHOLE = {
    "test_percent": (1, 98),
    "validation_percent": (1, 98),
    "negated_goal_percent": (0, 100),
    "pair_percent": (0, 100),
    "direction_percent": (0, 100),
    "no_chain_percent": (0, 100),
    "max_products": (1, MAX_PRODUCTS),
    "frozen_task_percent": (0, 100),
    "frozen_percent": (0, 100),
    "two_player_percent": (0, 100),
    "together_percent": (0, 100),
    "hide_percent": (0, 100),
}
_RANGES = {
    "chain_length": (0, MAX_CHAIN_LENGTH),
    "num_chains": (1, MAX_CHAINS),
    "num_distractors": (0, 100),
    "num_dead_ends": (0, 100),
    "num_decoys": (0, 100),
    "trial_length": (1, 2**16 - 1),
    "num_trials": (1, 2**16 - 1),
}
_CHOICES = {"split": SPLITS, "hide": HIDE}
_SETS = {
    "goal_relations": RELATIONS,
    "rule_relations": RELATIONS,
    "shapes": kinds.SHAPES,
    "colours": kinds.COLOURS,
    "hidden_ways": HIDDEN_WAYS,
}


@dataclass(frozen=True)
class UniverseConfig:
    """What tasks there are, and how often. Hashable and static; a `Universe` checks it against its `EnvConfig`.

    A range is (lowest, highest), both included, drawn uniformly. A percent is a whole number from 0 to 100.

    Raises:
      ConfigError: a value out of range, an unknown word, or an empty or doubled choice.
    """

    # Which tasks
    split: Split = "train"  # games and worlds of one part only
    test_percent: int = 10  # share of games, and of worlds, that are kept for tests
    validation_percent: int = 5  # share of both that is kept for choices made during and after training

    world: WorldConfig = WorldConfig()

    # The goals and the chains of rules that lead to them
    goal_relations: tuple[str, ...] | None = None  # None for all that the EnvConfig compiles in
    rule_relations: tuple[str, ...] | None = None  # likewise
    negated_goal_percent: int = 10  # share of the games in which something has to be undone
    goal_false_at_start: bool = True
    pair_percent: int = 50  # how often touch, near and see are about two objects, and not the agent and one
    direction_percent: int = 20  # how often a touch asks for some directions only
    chain_length: Range = (0, 4)  # rules that have to fire in sequence
    no_chain_percent: int = 0  # share of the games that have no chain whatever chain_length says
    num_chains: Range = (1, 1)  # that lie beside each other, all as long, each to a goal of its own
    goal_per_trial: bool = False  # each trial has the goal of one of the chains, drawn anew; else all have the first's
    max_products: int = 1  # rules about no agent make 1 to so many things; all but the first are of no use

    # What distracts from it
    num_distractors: Range = (0, 5)  # objects that nothing needs; at least 1 where there are dead ends or decoys
    num_dead_ends: Range = (0, 2)  # rules that spoil what the goal needs
    num_decoys: Range = (0, 0)  # rules that do no harm, and no good
    frozen_task_percent: int = 50  # share of the games in which objects may be frozen
    frozen_percent: int = 20  # of the objects there that nobody has to move
    shapes: tuple[str, ...] = tuple(shape for shape in kinds.SHAPES if shape != "key")
    colours: tuple[str, ...] = kinds.COLOURS

    # Players
    two_player_percent: int = 0  # share of the games for two agents; one of the rest has agent 0 only
    together_percent: int = 0  # share of the games for two made so that something is asked of both

    # What the agent is not told
    hide_percent: int = 75  # share of the games in which anything is hidden
    hidden_ways: tuple[str, ...] = HIDDEN_WAYS  # whole rules, kinds, or relations; one way a game
    hide: Literal["some", "all"] = "some"  # of what can be hidden that way

    # Time
    trial_length: Range = (75, 300)  # steps
    num_trials: Range = (1, 6)

    def __post_init__(self) -> None:
        for name, (low, high) in _WHOLE.items():
            check_fields(self, [name], partial(check_whole, low=low, high=high))
        for name, (low, high) in _RANGES.items():
            check_fields(self, [name], partial(check_range, low=low, high=high))
        for name, words in _CHOICES.items():
            check_fields(self, [name], partial(check_word, known=words))
        for name, words in _SETS.items():
            if getattr(self, name) is not None:
                check_fields(self, [name], partial(check_set, known=words))
        if self.test_percent + self.validation_percent > 99:
            raise ConfigError(
                f"test_percent is {self.test_percent} and validation_percent {self.validation_percent}, together more "
                "than 99: nothing is left to train on. Lower one."
            )
        if not isinstance(self.world, WorldConfig):
            raise ConfigError(f"world is {self.world!r}; write a WorldConfig, such as WorldConfig(rooms=(4,)).")
        check_fields(self, ["goal_false_at_start", "goal_per_trial"], check_bool)
        self._check_chains()
        for name in ("num_dead_ends", "num_decoys"):
            if getattr(self, name)[1] and not self.num_distractors[1]:
                raise ConfigError(
                    f"{name} asks for rules about distractors, but num_distractors is (0, 0). "
                    f"Allow at least one distractor, or write {name}=(0, 0)."
                )

    def _check_chains(self) -> None:
        if self.goal_per_trial and self.num_chains[1] == 1:
            raise ConfigError(
                "goal_per_trial asks for several goals, but num_chains is (1, 1), and each has one. Raise it, as in "
                "num_chains=(8, 8), or write goal_per_trial=False."
            )
        if self.num_chains[1] > 1 and self.negated_goal_percent:
            raise ConfigError(
                f"negated_goal_percent is {self.negated_goal_percent}, but num_chains is {self.num_chains}: only one "
                "goal of a game can be about what lies together at the start. Write negated_goal_percent=0, or "
                "num_chains=(1, 1)."
            )


def split_range(config: UniverseConfig) -> tuple[int, int]:
    """The percents that are in the split, (first, end), of the hundred into which a hash puts games and worlds.

    The test split comes first, so that it is within the test split of every universe with a larger `test_percent`.
    """
    test, held_out = config.test_percent, config.test_percent + config.validation_percent
    return {"test": (0, test), "validation": (test, held_out), "train": (held_out, 100), "all": (0, 100)}[config.split]


def goal_relations(env_config: EnvConfig, config: UniverseConfig) -> tuple[str, ...]:
    """The relations of goals."""
    return config.goal_relations or _all_relations(env_config)


def rule_relations(env_config: EnvConfig, config: UniverseConfig) -> tuple[str, ...]:
    """The relations of rules."""
    return config.rule_relations or _all_relations(env_config)


def between_things(relations: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the relations that two objects can have."""
    return tuple(name for name in relations if name in BETWEEN_THINGS)


def have_pairs(env_config: EnvConfig, config: UniverseConfig) -> bool:
    """Whether conditions of chains may be about two objects; a last rule that undoes a goal always is."""
    relations = goal_relations(env_config, config) + rule_relations(env_config, config)
    return bool(between_things(relations)) and config.pair_percent + config.negated_goal_percent > 0


def _all_relations(env_config: EnvConfig) -> tuple[str, ...]:
    """What is compiled in; an agent whose view is the cell it stands in sees no object."""
    return tuple(name for name in env_config.relations if name != "see" or env_config.view_size > 1)
