"""What is played with which keys and settings: names, files and settings that go together, without a window."""

import dataclasses

import pytest
from window_fixtures import ROOM

from xworld import ConfigError, Env
from xworld.apps.commands.main import main
from xworld.apps.play import Bindings, Controller, Settings, find_source, read_bindings
from xworld.tasks import TaskCollection, TaskSet, config_for, parse
from xworld.tasks.sets.by_name import Stacked


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"watch": "random", "partner": "noop"}, "exclude each other"),
        ({"pace": 100.0}, "0 to 30 steps"),
        ({"seed": -1}, "--seed is -1"),
        ({"play_as": (0, 0)}, r"--play-as 0 0: name agents of \[0\], each once"),
        ({"play_as": (0, 7)}, r"--play-as 0 7: name agents of \[0\], each once"),
        ({"play_as": (-1,)}, r"--play-as -1: name agents of \[0\], each once"),
        ({"is_greedy": True}, "--partner or --watch"),
        ({"watch": "randum"}, "Did you mean 'random'"),
        ({"watch": "noop", "is_greedy": True}, "for trained agents"),
        ({"watch": "noop", "play_as": (0,)}, "that people play"),
    ],
)
def test_settings_that_do_not_go_together(room, settings, words):
    with pytest.raises(ConfigError, match=words):
        Controller(find_source(str(room)), Settings(**settings), Bindings())


def test_more_agents_than_a_keyboard_has_keys_for():
    text = ROOM.replace("#0b.#", "#0b1#").replace("#...#", "#2..#")
    config = config_for(text)
    source = Stacked(TaskCollection("three", Env(config), TaskSet.from_tasks([parse(text, config)]).tasks))
    with pytest.raises(ConfigError, match="3 agents, and a keyboard has keys for 2 people"):
        Controller(source, Settings(), Bindings())
    with pytest.raises(ConfigError, match="leaves agents to nobody"):
        Controller(source, Settings(play_as=(0, 1)), Bindings())


def test_agents_that_are_not_in_the_task():
    config = dataclasses.replace(config_for(ROOM), num_agents=2)
    source = Stacked(TaskCollection("one", Env(config), TaskSet.from_tasks([parse(ROOM, config)]).tasks))
    with pytest.raises(ConfigError, match=r"--play-as 1: the task has the agents \[0\] only"):
        Controller(source, Settings(play_as=(1,)), Bindings())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("two_dors", "Did you mean 'two_doors'"),
        ("xxxxxxxx", "No tasks are called 'xxxxxxxx'. Write an environment, such as"),
        ("ada:1", "Write ada, ada:train, or ada:WORLD:GAME"),
        ("nowhere.toml", "cannot be read"),
        ("nowhere.jsonl", "cannot be read"),
        ("probes:nothing", "No probe tasks are called"),
    ],
)
def test_names_of_nothing(capsys, name, words):
    assert main(["play", name]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[third]", "'third' is no table of keys"),
        ('[first]\npick = "a"', "Did you mean 'pick_up'"),
        ('[first]\npick_up = "spcae"', "Did you mean 'space'"),
        ('[first]\npick_up = "h"', "The key 'h' is for 'pick_up' and for 'help'"),
        ("[first", "This is not TOML"),
    ],
)
def test_keys_that_cannot_be_meant(tmp_path, text, words):
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_bindings(path)
