"""Named runs: each preset is a typed function that returns a `RunConfig`; every field can be overridden."""

import dataclasses
from collections.abc import Callable

from xworld.agents import AgentConfig, agent_preset
from xworld.core.config import EnvConfig
from xworld.tasks import UniverseConfig, WorldConfig, preset
from xworld.training.learners.ppo import PPOConfig
from xworld.training.run.config import RunConfig

_SLOWER = PPOConfig(rollout_length=96, learning_rate=1e-3, final_learning_rate=1e-4)  # for tens of millions of steps


def demo() -> RunConfig:
    """One room, a hidden rule that differs from task to task, four short trials: adapts after minutes on two cores."""
    return RunConfig(
        env=EnvConfig(height=7, width=7, max_objects=4, max_rules=1, max_doors=1, push=False, relations=("hold",)),
        universe=UniverseConfig(
            world=WorldConfig(rooms=(1,), floor_colours=("black", "grey")),  # a rug tells rooms apart
            negated_goal_percent=0,
            chain_length=(1, 1),
            num_distractors=(3, 3),
            num_dead_ends=(0, 0),
            frozen_percent=0,
            hide_percent=100,
            hidden_ways=("rule",),
            hide="all",
            trial_length=(12, 12),
            num_trials=(4, 4),
        ),
        agent=AgentConfig(embedding_size=8, encoder_size=64),
        learner=PPOConfig(final_entropy_weight=0.01),
        total_steps=7_864_320,  # 32 chunks
        chunks_per_evaluation=5,
    )


def memory() -> RunConfig:
    """One room, chains of one or two hidden rules, dead ends, four to six trials: what is found out has to last."""
    return dataclasses.replace(_named("memory"), total_steps=100_000_000)


def memory_long() -> RunConfig:
    """`memory` in trials of 75 to 100 steps, with more that leads nowhere: what is found out has to last for longer."""
    config = memory()
    return dataclasses.replace(
        config,
        env=dataclasses.replace(config.env, height=9, width=9, max_objects=9, max_rules=4),
        universe=dataclasses.replace(
            config.universe, num_distractors=(3, 4), num_dead_ends=(1, 2), trial_length=(75, 100)
        ),
        learner=dataclasses.replace(_SLOWER, rollout_length=80, discount=0.995),
        total_steps=50_000_000,
    )


def memory_search() -> RunConfig:
    """One of twelve objects makes the goal, and a trial lasts for two or three tries: what was tried must be known."""
    config = memory()
    return dataclasses.replace(
        config,
        env=EnvConfig(height=9, width=9, max_objects=12, max_rules=1, max_doors=1, push=False, relations=("hold",)),
        universe=dataclasses.replace(
            config.universe,
            chain_length=(1, 1),
            num_distractors=(11, 11),
            num_dead_ends=(0, 0),
            trial_length=(15, 15),
            num_trials=(8, 8),
        ),
        learner=dataclasses.replace(_SLOWER, rollout_length=120),
        total_steps=50_000_000,
    )


def memory_recall() -> RunConfig:
    """Two to eight hidden rules, and a goal for each, drawn anew in every trial: all that is found out is needed."""
    config = memory()
    return dataclasses.replace(
        config,
        env=EnvConfig(
            height=9, width=9, max_objects=8, max_rules=8, max_doors=1, max_goals=8, push=False, relations=("hold",)
        ),
        universe=dataclasses.replace(
            config.universe,
            chain_length=(1, 1),
            num_chains=(2, 8),
            goal_per_trial=True,
            num_distractors=(0, 0),
            num_dead_ends=(0, 0),
            trial_length=(20, 20),
            num_trials=(13, 13),
        ),
        learner=dataclasses.replace(_SLOWER, rollout_length=130),
        total_steps=50_000_000,
    )


def s() -> RunConfig:
    """The benchmark `xworld-s`: its universe, its budget, and the default agent and learner to compare with."""
    return _named("s")


def duo() -> RunConfig:
    """One small room; most tasks are for two players, and most of these ask something of both. The learner plays all.

    `partners` has other players in the second seat. Two that act at random are paid in about one of a hundred trials of
    tasks that ask something of both: a chain of one rule, none about a pair of objects, nothing that leads nowhere.
    """
    return dataclasses.replace(
        _named("duo"),
        learner=dataclasses.replace(_SLOWER, rollout_length=120, final_entropy_weight=0.01),
        total_steps=25_000_000,
    )


def smoke() -> RunConfig:
    """The demo in miniature, for tests: over in seconds, and hardly anything is learned."""
    config = demo()
    return dataclasses.replace(
        config,
        agent=AgentConfig(embedding_size=4, encoder_size=16, briefing_size=16, memory_size=16, head_size=16),
        learner=PPOConfig(),
        num_envs=32,
        num_groups=4,
        num_evaluation_tasks=32,
        total_steps=6 * 2 * 32 * config.learner.rollout_length,
        updates_per_chunk=2,
        chunks_per_checkpoint=2,
    )


PRESETS: dict[str, Callable[[], RunConfig]] = {
    "demo": demo,
    "memory": memory,
    "memory-long": memory_long,
    "memory-search": memory_search,
    "memory-recall": memory_recall,
    "s": s,
    "duo": duo,
    "smoke": smoke,
}


def _named(name: str) -> RunConfig:
    """50 million steps in the universe of this name, by the default agent and learner for such runs."""
    universe = preset(name)
    return RunConfig(
        env=universe.env_config,
        universe=universe.config,
        agent=agent_preset("mini", "gru"),
        learner=_SLOWER,
        total_steps=50_000_000,
    )
