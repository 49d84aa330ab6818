"""Policies that differ only in their classes are not played by one another's code."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluation_tasks import ENV, KEY, make_tasks, take

from xworld.agents import NoopPolicy, RandomPolicy
from xworld.apps.play.minds import Mind
from xworld.base.xla.jit_key import jit_key
from xworld.evaluation import episode_key, evaluate, record
from xworld.evaluation import episodes as playing

NUM_CLASSES = 64  # where only the tree decides, several of these run another's code in nearly every process


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Around:
    """A policy that is all another's."""

    policy: RandomPolicy | NoopPolicy

    def start(self, *args):
        return self.policy.start(*args)

    def act(self, *args):
        return self.policy.act(*args)


class Numbered:
    """Remembers its class's number, and does it."""

    number: int

    def start(self, key, state, briefing):
        return jnp.int32(self.number)

    def act(self, memory, key, state, timestep):
        return memory, jnp.full(state.last_action.shape, self.number)


@pytest.fixture(scope="module")
def numbered():
    classes = [type(f"Numbered{number}", (Numbered,), {"number": number}) for number in range(NUM_CLASSES)]
    return [jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True)(one))() for one in classes]


@partial(jax.jit, static_argnums=0)
def number_of(key, tree):
    return tree.number


def test_trees_that_differ_in_their_classes_only_run_their_own_code(numbered):
    assert [int(number_of(jit_key(tree), tree)) for tree in numbered] == list(range(NUM_CLASSES))


def test_classes_within_a_tree_count_and_leaves_do_not():
    assert jit_key(Around(RandomPolicy())) != jit_key(Around(NoopPolicy()))
    assert jit_key([np.zeros(2)]) == jit_key([np.ones(3)])


def test_minds_think_their_own_thoughts(numbered):
    state, timestep = jax.jit(ENV.reset)(KEY, take(make_tasks(1), 0))
    for number, policy in enumerate(numbered[:32]):
        mind = Mind("mind", policy)
        memory = mind.start(ENV, state)
        memory, thought = mind.think(memory, 0, state, timestep)
        assert int(memory) == number and (thought.actions == number).all()


def test_evaluation_compiles_by_policy(monkeypatch):
    asked = []

    def spy(name):
        compiled = getattr(playing, name)

        def call(*args):
            asked.append((name, jit_key(policy) in args[:4]))
            return compiled(*args)

        monkeypatch.setattr(playing, name, call)

    tasks, policy = make_tasks(2), Around(NoopPolicy())
    spy("_play")
    spy("_record")
    evaluate(ENV, tasks, policy, KEY, batch_size=2)
    record(ENV, take(tasks, 0), policy, episode_key(KEY, 0))
    assert set(asked) == {("_play", True), ("_record", True)}
