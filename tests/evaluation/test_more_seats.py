"""Three and four seats: everybody's partners train, agents are evaluated with a partner, and cross-play."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from devices_worker import pool_config
from pair_tasks import always

from xworld import Env, EnvConfig
from xworld.agents import PairedPolicy
from xworld.agents import load as load_agent
from xworld.agents.policy import AgentPolicy
from xworld.core.step.actions import NOOP, PICK_UP
from xworld.evaluation import cross_play, evaluate, measure_cooperation
from xworld.tasks import TaskSet, parse
from xworld.training import FixedConfig, NoisySelfConfig, SelfConfig, train

KEY, LENGTH = jax.random.key(6), 9
MAP = {3: "#0b1#\n#2..#", 4: "#0b1#\n#2.3#"}


def tasks_for(num_agents):
    """A task for all, in which agents 0 and 1 can pick up the ball at once, and one for agent 0 alone."""
    config = EnvConfig(
        height=4,
        width=5,
        num_agents=num_agents,
        max_objects=1,
        max_rules=1,
        max_doors=1,
        push=False,
        relations=("hold",),
    )
    text = (
        f'goal = "hold(agent0, red ball)"\ntrial_length = {LENGTH}\nnum_trials = 2\nfacing = "east"\n'
        f'map = """\n#####\n{MAP[num_agents]}\n#####\n"""\nlegend.b = "red ball"\n'
    )
    task = parse(text, config)
    alone = dataclasses.replace(task, agent_position=task.agent_position.at[1:].set(192))
    return config, jax.tree.map(lambda *leaves: jnp.stack(leaves), task, alone)


@pytest.mark.parametrize("num_agents", [pytest.param(3, marks=pytest.mark.slow), 4])
def test_one_player_has_a_seat_and_its_partner_all_others(num_agents):
    config, tasks = tasks_for(num_agents)
    env = Env(config)
    picks, idles = always(PICK_UP), always(NOOP)

    def returns(player, partner, seat):
        return evaluate(env, tasks, PairedPolicy(player, partner, jnp.int32(seat)), KEY).returns[:, -1]

    np.testing.assert_allclose(returns(picks, idles, 0), [LENGTH, LENGTH])
    np.testing.assert_allclose(returns(picks, idles, num_agents - 1), [0, LENGTH])  # alone it has the only seat
    np.testing.assert_allclose(returns(idles, picks, num_agents - 1), [LENGTH, 0])
    for_all = jax.tree.map(lambda leaf: leaf[jnp.zeros(2, int)], tasks)  # as many as above, compiled once
    found = cross_play(env, for_all, {"picks": picks, "idles": idles}, KEY)
    np.testing.assert_allclose(found.returns[..., 0], [[LENGTH, LENGTH], [0, 0]])
    done = measure_cooperation(env, tasks, picks, idles, KEY)
    assert done["num_tasks"] == 1 and done["partner"]["waiting"] == 1 and done["player"]["handled"] == 0.5


@pytest.mark.slow  # quicker: the test above, and `test_partners_have_all_other_seats_of_more_agents`
@pytest.mark.parametrize("num_agents", [3, 4])
def test_each_kind_of_partner_trains(num_agents, tmp_path):
    config, tasks = tasks_for(num_agents)
    base = dataclasses.replace(pool_config(), env=config)
    players = {}
    for name, partners in {
        "self": SelfConfig(),
        "noisy-self": NoisySelfConfig(),
        "fixed": FixedConfig("random"),
        "pool": base.partners,
        "saved": FixedConfig(str(tmp_path / "pool")),
    }.items():
        run = dataclasses.replace(base, partners=partners)
        assert train(run, tmp_path / name, tasks=TaskSet(tasks), show_progress=False)
        loaded = load_agent(tmp_path / name)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(loaded.params))
        players[name] = AgentPolicy(loaded.params, loaded.agent)
    for_all = jax.tree.map(lambda leaf: leaf[:1], tasks)
    found = cross_play(Env(config), for_all, players, KEY, num_repetitions=2)
    assert found.returns.shape == (5, 5, 1) and np.isfinite(found.returns).all()
    done = measure_cooperation(Env(config), tasks, players["pool"], always(NOOP), KEY)
    assert done["partner"]["waiting"] == 1 and done["player"]["waiting"] < 1
