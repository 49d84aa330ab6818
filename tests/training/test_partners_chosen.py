"""How partners are chosen: on the command line, in a configuration, given; and how a run keeps them."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from test_partners import AGENT, CONFIG, ENV, TASKS, assert_same, params_of

from xworld import ConfigError, EnvConfig
from xworld.agents import AgentConfig, make_agent
from xworld.agents import save as save_agent
from xworld.apps.commands.main import main
from xworld.base.configs import from_json, to_json
from xworld.tasks import Universe
from xworld.tasks.sets.task_set import sample_stacked
from xworld.training import (
    PARTNERS,
    PRESETS,
    FixedConfig,
    NoisySelfConfig,
    PLRConfig,
    PoolConfig,
    RunConfig,
    SelfConfig,
    Sizes,
    train,
)
from xworld.training.curriculum.sizes import search_of
from xworld.training.partners.kept import save_partner
from xworld.training.run.given import make_partners


def test_the_preset_for_two_has_room_for_its_tasks():
    config = PRESETS["duo"]()
    assert config.env.num_agents == 2 and config.partners == SelfConfig()
    for name, kind in PARTNERS.items():
        if name != "self":
            kind().make(make_agent(config.agent, config.env), config.env, config.sizes)
    Universe(config.env, config.universe).with_split("validation")  # is not refused


@pytest.mark.slow
def test_the_preset_for_two_mixes_tasks_for_one_and_for_two():
    config = PRESETS["duo"]()
    tasks = sample_stacked(Universe(config.env, config.universe), jax.random.split(jax.random.key(0), 256))
    wanted = config.universe.two_player_percent / 100
    assert 0.5 < wanted < 1  # most, not all
    assert abs((np.asarray(tasks.is_present).sum(-1) == 2).mean() - wanted) < 0.1  # four standard deviations


@pytest.mark.parametrize(
    ("arguments", "partners"),
    [
        ([], SelfConfig()),
        (["--partners", "noisy-self", "--partners.least", "0.2"], NoisySelfConfig(least=0.2)),
        (["--partners=fixed", "--partners.player", "runs/demo"], FixedConfig("runs/demo")),
        (["--partners.capacity", "4", "--partners", "pool"], PoolConfig(capacity=4)),
    ],
)
def test_partners_on_the_command_line_and_in_json(runs, tmp_path, arguments, partners):
    assert main(["train", "--preset", "smoke", "--run", str(tmp_path / "run"), *arguments]) == 0
    config = dataclasses.replace(PRESETS["smoke"](), partners=partners)
    assert runs == [config] and from_json(RunConfig, to_json(config)) == config
    older = {name: value for name, value in json.loads(to_json(config)).items() if name != "partners"}
    assert from_json(RunConfig, json.dumps(older)).partners == SelfConfig()  # of before there were partners


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--partners", "pol"], "--partners: 'pol' is unknown. Did you mean 'pool'?"),
        (["--partners", "pool", "--partners.capacity", "0"], "PoolConfig.capacity is 0; write a whole number of at le"),
        (["--partners", "noisy-self", "--partners.most", "2"], "NoisySelfConfig.most is 2.0; write a number from 0 to"),
        (["--env.num-agents", "5"], "num_agents is 5; write a whole number from 1 to 4"),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_line(runs, tmp_path, capsys, arguments, message):
    assert main(["train", "--preset", "smoke", "--run", str(tmp_path / "run"), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not runs


def config_for(num_agents, partners):
    return RunConfig(env=EnvConfig(num_agents=num_agents), partners=partners)


@pytest.mark.parametrize(
    ("num_agents", "partners", "message"),
    [
        (1, PoolConfig(), "EnvConfig.num_agents is 1: there is no seat for a partner. Raise num_agents to 2"),
        (2, FixedConfig("pretrained"), "FixedConfig.player: The agent was trained in another environment"),
        (2, FixedConfig("nowhere/at/all"), "'nowhere/at/all': there is no such folder, and no player of that name"),
        (
            2,
            FixedConfig("mine:make"),
            r"'mine:make', but by name only .* your own in Python: train\(partners=...\), wi",
        ),
        (2, FixedConfig("q-learner"), "'q-learner', but by name only trained agents, random and noop are partners"),
        (2, FixedConfig("expert"), "'expert', which plans for tasks that are known before. Write random, noop, or"),
        (2, FixedConfig("searcher"), "'searcher', which moves the first agent only. Write random, noop, or the folder"),
    ],
)
def test_partners_that_cannot_be_are_refused(num_agents, partners, message):
    config = config_for(num_agents, partners)
    with pytest.raises(ConfigError, match=message):
        make_partners(config, make_agent(AgentConfig(), config.env), None)


def test_a_run_keeps_its_partner_whatever_becomes_of_the_partners_own_run(tmp_path):
    partner, run = tmp_path / "partner's own", tmp_path / "run"
    config = RunConfig(env=ENV, partners=FixedConfig(str(partner)))
    save_agent(partner, AGENT, params_of(1), env_config=ENV)
    first = make_partners(config, AGENT, None)
    assert make_partners(config, AGENT, None, run).about == first.about  # of a run that keeps none
    save_partner(run, first)
    save_agent(partner, AGENT, params_of(2), env_config=ENV)
    assert make_partners(config, AGENT, None).about != first.about
    kept = make_partners(config, AGENT, None, run)
    assert kept.about == first.about and kept.agent == first.agent
    shutil.rmtree(partner)
    assert_same(make_partners(config, AGENT, None, run).params, first.params)
    save_partner(tmp_path / "other", FixedConfig().make(AGENT, ENV, CONFIG.sizes))
    assert not (tmp_path / "other").exists()  # who acts at random is made again


@pytest.mark.slow  # quicker: the test above
def test_a_run_goes_on_with_the_partner_that_it_began_with(tmp_path):
    partner, run = tmp_path / "partner", tmp_path / "run"
    save_agent(partner, AGENT, params_of(1), env_config=ENV)
    config = dataclasses.replace(CONFIG, partners=FixedConfig(str(partner)))

    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, run, tasks=TASKS, show_progress=False, on_row=stop)
    save_agent(partner, AGENT, params_of(2), env_config=ENV)
    assert train(config, run, tasks=TASKS, resume=True, show_progress=False)


def test_partners_are_given_once_and_a_pool_draws_after_an_episode():
    config, mine = config_for(2, NoisySelfConfig()), FixedConfig().make(AGENT, ENV, CONFIG.sizes)
    with pytest.raises(ConfigError, match=r"partners are given as well \(Idler\). Give one of the two"):
        make_partners(config, AGENT, mine)
    sizes = Sizes(num_envs=8, num_groups=1, rollout_length=10, trial_length=(5, 20), num_trials=(1, 2))
    with pytest.raises(ConfigError, match="updates_per_draw is 3: an episode of 40 steps lasts longer than .* least 4"):
        PoolConfig(updates_per_draw=3).make(AGENT, ENV, sizes)
    with pytest.raises(ConfigError, match="40 steps lasts .* rollouts of 5 in which tasks are tried out. .* least 8"):
        PoolConfig(updates_per_draw=7).make(AGENT, ENV, sizes, search_of(0.5, sizes))
    cut = search_of(0.5, sizes, is_one_trial=True)
    assert PoolConfig(updates_per_draw=4).make(AGENT, ENV, sizes, cut).draw == 0
    with pytest.raises(ConfigError, match="20 steps lasts longer than that many rollouts of 4 in which"):
        PoolConfig(updates_per_draw=4).make(AGENT, ENV, sizes, dataclasses.replace(cut, length=4))
    with pytest.raises(ConfigError, match=r"NoisySelfConfig.least is 0.5, above most, which is 0.1"):
        NoisySelfConfig(0.5, 0.1)


def test_a_pool_of_a_run_knows_how_long_its_curriculum_tries_tasks_out():
    duo = dataclasses.replace(PRESETS["duo"](), partners=PoolConfig(updates_per_draw=2))
    assert make_partners(duo, AGENT, None).config == duo.partners  # episodes of 240 steps, rollouts of 120
    searching = dataclasses.replace(duo, curriculum=PLRConfig())
    with pytest.raises(ConfigError, match="240 steps lasts .* rollouts of 40 in which tasks are tried out. .* least 6"):
        make_partners(searching, AGENT, None)
