"""Every step of the environment agrees with a simulator in plain Python that was written from the design."""

from collections import Counter

import pytest
from comparison import CONFIGS, Comparison, features
from hypothesis import given, settings
from machine_code import output_as_compiled_for_users
from strategies import Example, examples

from xworld import EnvConfig

NUM_EXAMPLES = 400
SLOW = ("four agents, transparent", "two agents, occluded", "few relations, no push")  # quicker: the other two
# In what share of the examples, in percent, each of these happens at least; without them the test would prove little.
EVERYWHERE = {
    "trial boundary": 50,
    "past the end": 50,
    "goal": 30,
    "rule": 35,
    "a later rule": 30,
    "several rules": 7,
    "several pairs": 10,
    "chain": 9,
    "object gone": 12,
    "product laid beside": 10,
    "rule on a frozen object": 6,
    "rule on a held object": 1,
    "pick up": 25,
    "put down": 8,
    "door unlocked": 2,
    "door opened": 3,
    "door closed": 1,
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in CONFIGS])
def test_step_matches_the_oracle(name: str) -> None:
    config = CONFIGS[name]
    seen = compare(config, NUM_EXAMPLES)
    wanted = dict(EVERYWHERE)
    if config.push:
        wanted["push"] = 6
    else:
        assert not seen["push"]
    if config.num_agents > 1:
        wanted["agent in view"] = 50
    if config.max_goals > 1:
        wanted["another goal"] = 25
    shares = {feature: 100 * seen[feature] / NUM_EXAMPLES for feature in wanted}
    assert not {feature: share for feature, share in shares.items() if share < wanted[feature]}


@pytest.mark.slow
def test_so_does_the_machine_code_that_users_have() -> None:
    script = "import test_env_oracle as t; print(t.compare(t.CONFIGS['two agents, occluded'], 100).total())"
    assert int(output_as_compiled_for_users(script)) > 500


def compare(config: EnvConfig, num_examples: int) -> Counter[str]:
    """In how many examples each of the features happened; in all of them environment and oracle agreed."""
    comparison = Comparison(config)
    seen: Counter[str] = Counter()

    @settings(max_examples=num_examples, deadline=None, derandomize=True, database=None)
    @given(examples(config))
    def check(example: Example) -> None:
        seen.update(features(comparison.check(example)))

    check()
    return seen
