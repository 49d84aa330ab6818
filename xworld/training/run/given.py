"""`Given`: all that comes into a run from outside, as data."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from xworld.agents import Agent, Params
from xworld.base.errors import ConfigError
from xworld.core.env import Env
from xworld.core.types import TaskSource
from xworld.tasks import Universe, UniverseConfig
from xworld.tasks.sets.task_set import check_tasks
from xworld.training.curriculum.curriculum import Curriculum, Searching
from xworld.training.curriculum.rules.uniform import UniformConfig
from xworld.training.curriculum.sizes import Sizes
from xworld.training.learners.terms.term import Term
from xworld.training.partners.configs import SelfConfig
from xworld.training.partners.kept import with_kept_partner
from xworld.training.rollouts.partners import Changing, Partners
from xworld.training.run.config import RunConfig


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Given:
    """Tasks, further losses and partners: pytrees, whose leaves may change at any time without a recompile."""

    tasks: TaskSource  # or a Curriculum, to which flows back what became of its tasks
    terms: tuple[Term, ...] = ()
    partners: Partners | Changing | None = None

    @property
    def curriculum(self) -> Curriculum | None:
        """The tasks, if anything flows back to them."""
        return self.tasks if isinstance(self.tasks, Curriculum) else None

    def after_partners(self, key: jax.Array, params: Params, update: jax.Array) -> "Given":
        """With partners as they are from this update on: see `Changing.follow`."""
        if not isinstance(self.partners, Changing):
            return self
        return dataclasses.replace(self, partners=self.partners.follow(key, params, update))

    def describe(self) -> dict[str, Any]:
        """What everything is, by which a run that goes on is compared with the one that was started.

        "splits" is of the universe that the tasks come from, None of other tasks: see `describe_splits`.
        """
        universe = getattr(self.tasks, "universe", self.tasks)  # of a pool, or of a curriculum that has one
        source = getattr(self.tasks, "source", None)  # of new tasks, where a curriculum has one
        return {
            "tasks": _describe(self.tasks) + ("" if source is None else f" of {_describe(source)}"),
            "splits": describe_splits(universe.config) if isinstance(universe, Universe) else None,
            "terms": [describe_term(term) for term in self.terms],
            "partners": None if self.partners is None else _describe(self.partners),
        }


def describe_term(term: Term) -> str:
    """Its name and class, and what else tells it from another, if it says so."""
    return f"{term.name} ({type(term).__qualname__}{_about(term, ': {}')})"


def _describe(thing: Any) -> str:
    """Its class, and what else tells it from another, if it says so."""
    return type(thing).__qualname__ + _about(thing, " ({})")


def _about(thing: Any, pattern: str) -> str:
    """What a thing says of itself, if it does: "about" in a pattern."""
    about = getattr(thing, "about", None)
    return "" if about is None else pattern.format(about)


def make_partners(
    config: RunConfig, agent: Agent, partners: Partners | None, folder: Path | None = None
) -> Partners | Changing | None:
    """Who plays beside the learner with the network `agent`: as the configuration says, or `partners`.

    Of a run that goes on, its folder has a saved agent that plays in it.

    Raises:
      ConfigError: both say something, or the configuration's are not for the run.
    """
    is_self = isinstance(config.partners, SelfConfig)
    if partners is None:
        if config.env.num_agents < 2 and not is_self:
            raise ConfigError(
                f"RunConfig.partners is {config.partners!r}, but EnvConfig.num_agents is 1: there is no seat for a "
                "partner. Raise num_agents to 2, or choose SelfConfig() (--partners self)."
            )
        chosen = with_kept_partner(config.partners, folder)
        return chosen.make(agent, config.env, config.sizes, config.search)
    if not is_self:
        raise ConfigError(
            f"RunConfig.partners is {config.partners!r}, and partners are given as well ({type(partners).__name__}). "
            "Give one of the two."
        )
    return partners


def make_source(config: RunConfig, tasks: TaskSource | None) -> TaskSource:
    """Where a run's tasks come from: the configuration's universe or `tasks`, as its curriculum chooses among them.

    Raises:
      ConfigError: `tasks` are a curriculum, and the configuration has one as well, or they are one that has tasks tried
        out; or the configuration's is not for such tasks.
    """
    source = Universe(config.env, config.universe) if tasks is None else tasks
    if not isinstance(source, Curriculum):
        return config.curriculum.make(source, config.sizes)
    if not isinstance(config.curriculum, UniformConfig):
        raise ConfigError(
            f"RunConfig.curriculum is {config.curriculum!r}, but the tasks are a curriculum already "
            f"({type(source).__name__}). Give one of the two."
        )
    if _wants_search(source, config.sizes):
        raise ConfigError(
            f"The tasks are a curriculum that has tasks tried out ({type(source).__name__}), and only "
            "RunConfig.curriculum plans steps for that. Write its configuration there, and give the tasks that it "
            "chooses among."
        )
    return source


def _wants_search(source: Curriculum, sizes: Sizes) -> bool:
    """Whether a curriculum has tasks tried out: one that could, unless its own configuration says that it does not."""
    search = getattr(getattr(source, "config", None), "search", None)
    return isinstance(source, Searching) and (search is None or search(sizes) is not None)


def describe_splits(config: UniverseConfig) -> dict[str, Any]:
    """Which split a universe's tasks are of, and how its tasks are dealt to the splits."""
    return {name: getattr(config, name) for name in ("split", "validation_percent", "test_percent")}


def check_source(config: RunConfig, tasks: TaskSource, *, has_evaluation_tasks: bool) -> None:
    """Makes sure that `tasks` are for the run's environments, and are not those that it is evaluated on.

    Raises:
      ConfigError: their sizes are others; or the universe is not of the train split, and what is held out is not given.
    """
    universe = getattr(tasks, "universe", tasks)  # of a pool
    split = universe.config.split if isinstance(universe, Universe) else "train"
    if split != "train" and not has_evaluation_tasks:
        raise ConfigError(
            f"UniverseConfig.split is {split!r}: the run would train on the tasks that it is evaluated on. Write "
            "'train', or give evaluation_tasks of your own."
        )
    check_tasks(
        Env(config.env),
        jax.eval_shape(jax.vmap(tasks.sample), jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 1))),
    )
