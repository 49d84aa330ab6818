"""A run with a network of one's own: every command takes it by --network, and says so where it is not given."""

import dataclasses
import sys

import jax
import numpy as np
import pytest
from tiny_rooms import SANITY_TASKS, sanity_config

from xworld import ConfigError, Env
from xworld.agents.players import load_agent, own_network
from xworld.apps.commands.main import main
from xworld.apps.play import Bindings, Controller, Settings, find_source
from xworld.tasks import TaskSet, save
from xworld.training import train

MODULE = '''
from dataclasses import dataclass

import jax.numpy as jnp

from xworld.agents import Output


@dataclass(frozen=True)
class Habit:
    """Does the same whatever it sees; learns how likely each action is."""

    def init(self, key):
        return {"logits": jnp.zeros(7), "value": jnp.zeros(())}

    def start_memory(self, *batch):
        return jnp.zeros((*batch, 1, 1))

    def is_reset(self, timestep):
        return timestep.is_first

    def encode_briefing(self, params, briefing):
        return jnp.zeros((*briefing.agent_id.shape, 1))

    def step(self, params, observation, told, memory, is_reset):
        shape = observation.held.shape
        logits, value = jnp.broadcast_to(params["logits"], (*shape, 7)), jnp.broadcast_to(params["value"], shape)
        return Output(logits, value, jnp.zeros((*shape, 1)), memory)

    unroll = step


def make(env):
    return Habit()
'''
NAME = "habit_network:make"
NETWORK = ("--network", NAME)
CONFIG = dataclasses.replace(sanity_config(), total_steps=10 * 64 * 16)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The folder of such a run, in the working folder, where the module and `rooms.npz` are too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "habit_network.py").write_text(MODULE)
    save("rooms.npz", TaskSet.from_source(SANITY_TASKS, jax.random.key(3), 2), CONFIG.env)
    agent = own_network(NAME, Env(CONFIG.env))
    assert train(CONFIG, tmp_path / "run", tasks=SANITY_TASKS, agent=agent, show_progress=False)
    return tmp_path / "run"


def test_every_command_takes_the_network(run, capsys):
    commands = {
        "Wrote scores.json": ["evaluate", "--agent=run", "--task-set=rooms.npz", "--num-trials=1", "--repetitions=2"],
        "Wrote film.gif": ["render", "rooms.npz", "--agent=run", "--output=film.gif"],
        "Finished": ["finetune", "run", "--task-set=rooms.npz"],
    }
    for said, command in commands.items():
        assert main(command) == 2
        assert "habit_network.Habit. Give it by --network module:function" in capsys.readouterr().err
        assert main([*command, *NETWORK]) == 0
        assert said in capsys.readouterr().out
    tuned = run.parent / "run-tuned-on-rooms.npz"
    before, after = (load_agent(folder, network=NAME).params["logits"] for folder in (run, tuned))
    assert np.abs(before - after).max() > 0
    assert main([*commands["Finished"], *NETWORK]) == 0  # it goes on, and is finished
    assert f"evaluate --agent {tuned} --task-set rooms.npz --network {NAME}" in capsys.readouterr().out

    source = find_source("rooms.npz")
    with pytest.raises(ConfigError, match="Give it by --network"):
        Controller(source, Settings(watch="run"), Bindings())
    controller = Controller(source, Settings(watch="run", network=NAME), Bindings())
    controller.session.go()
    thought = controller.session.turn.thought
    assert thought is not None and thought.probabilities is not None
    np.testing.assert_allclose(thought.probabilities, [jax.nn.softmax(before)], rtol=1e-5)
    controller.close()

    with pytest.raises(ConfigError, match="Commands take a network of one's own by --network"):
        train(CONFIG, run, resume=True, tasks=SANITY_TASKS, show_progress=False)
