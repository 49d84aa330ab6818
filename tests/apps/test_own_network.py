"""A run with a network of one's own: every command takes it by --network, and says so where it is not given."""

import dataclasses

import jax
import numpy as np
import pytest
from tiny_rooms import SANITY_TASKS, sanity_config

from xworld import ConfigError, Env
from xworld.agents.players import load_agent, own_network
from xworld.apps.commands.main import main
from xworld.apps.play import Bindings, Controller, Settings, find_source
from xworld.tasks import TaskSet, save, tasks_by_name
from xworld.training import train

NAME = "habit_network:make"
NETWORK = ("--network", NAME)
CONFIG = dataclasses.replace(sanity_config(), total_steps=10 * 64 * 16)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The folder of such a run, in the working folder, where `rooms.npz` is too."""
    monkeypatch.chdir(tmp_path)
    rooms = TaskSet.from_source(SANITY_TASKS, jax.random.key(3), 2)
    save("rooms.npz", rooms, CONFIG.env)
    agent = own_network(NAME, Env(CONFIG.env))
    assert train(CONFIG, tmp_path / "run", tasks=rooms, agent=agent, show_progress=False)
    return tmp_path / "run"


@pytest.mark.slow  # quicker: `test_a_network_of_ones_own_is_not_taken_for_another`
def test_every_command_takes_the_network(run, capsys, monkeypatch):
    monkeypatch.setattr("xworld.evaluation.scoreboard.playing.benchmark_tasks", tasks_by_name("rooms.npz").collect)
    commands = {
        "Wrote scores.json": ["evaluate", "--agent=run", "--task-set=rooms.npz", "--num-trials=1", "--repetitions=2"],
        "Wrote film.gif": ["render", "rooms.npz", "--agent=run", "--output=film.gif"],
        "Finished": ["finetune", "run", "--task-set=rooms.npz"],
        "Wrote docs/scoreboard.md": ["scoreboard", "--add=mine", "--agents=run", "--repetitions=2"],
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

    check = ["scoreboard", "--check=mine"]
    assert main(check) == 2 and main([*check, *NETWORK]) == 0
    assert main(["scoreboard", *NETWORK]) == 2
    assert "--network goes with --add or --check" in capsys.readouterr().err

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
