"""Data sets for Minari, read by Minari."""

import jax
import minari
import numpy as np
import pytest
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer
from tiny_rooms import TinyRooms, env_config

from xworld import ConfigError, Env
from xworld.adapters.gymnasium import GymnasiumEnv
from xworld.apps.exchange.minari import export_minari, import_minari
from xworld.histories import Dataset, DatasetHeader, DatasetWriter, Recorded
from xworld.tasks import TaskSet

ENV = Env(env_config(5))
ROOMS = TinyRooms(side=5, trial_length=6, num_trials=3)
LENGTHS = np.array([18, 18, 12, 18])  # of these the third is not over


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("minari") / "data"
    tasks = TaskSet(jax.vmap(ROOMS.sample)(jax.random.split(jax.random.key(1), 4)))
    chance, total = np.random.default_rng(0), int(LENGTHS.sum())
    labels = {"log_probability": chance.random((total, 1), np.float32), "update": np.arange(total)}
    labels["stream"] = np.arange(4)
    with DatasetWriter(folder, DatasetHeader(ENV.config, labels=tuple(labels)), tasks) as writer:
        actions = chance.choice([0, 0, 1, 2, 3, 3, 4], size=(total, 1))
        writer.append(Recorded(np.arange(4)[:, None], np.arange(4) + 7, LENGTHS, actions, labels))
    return Dataset(folder)


def test_minari_reads_it(data, tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    export_minari(data, tmp_path / "xworld" / "lives-v0")
    found = minari.load_dataset("xworld/lives-v0")
    assert (found.total_episodes, found.total_steps) == (4, int(LENGTHS.sum()))
    space = GymnasiumEnv(ROOMS, ENV, observation="structured").observation_space
    assert found.observation_space == space
    timesteps = jax.device_get(data.episodes(np.arange(4)).derive(ENV))
    for number, episode in enumerate(found.iterate_episodes()):
        steps = slice(0, LENGTHS[number] + 1)
        np.testing.assert_array_equal(episode.observations["view"], timesteps.observation.view[steps, number, 0])
        np.testing.assert_array_equal(episode.rewards, timesteps.reward[1:, number, 0][: LENGTHS[number]])
        np.testing.assert_array_equal(episode.infos["is_trial_first"], timesteps.is_trial_first[steps, number])
        assert space.contains({name: values[3] for name, values in episode.observations.items()})
        assert (episode.terminations[-1], episode.truncations[-1]) == (number != 2, number == 2)
        assert not (episode.terminations | episode.truncations)[:-1].any()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_export_that_is_stopped_leaves_nothing(data, tmp_path, error):
    def stop(steps):
        raise error

    with pytest.raises(ConfigError if isinstance(error, OSError) else error):
        export_minari(data, tmp_path / "lives-v0", stop)
    assert not list(tmp_path.iterdir())


def write_theirs(folder, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(folder))
    seen, done = np.zeros((2, 1), np.float32), np.zeros(1, int)
    buffer = EpisodeBuffer(observations=seen, actions=done, rewards=[0.0], terminations=[True], truncations=[False])
    options = {"observation_space": spaces.Box(0, 1, (1,)), "action_space": spaces.Discrete(2)}
    minari.create_dataset_from_buffers("theirs-v0", [buffer], **options)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Minari, which wants an author
def test_what_is_exported_comes_back(data, tmp_path, monkeypatch):
    export_minari(data, tmp_path / "lives-v0")
    assert import_minari(tmp_path / "lives-v0", tmp_path / "back").content_hash == data.content_hash
    for folder, words in ((tmp_path / "lives", "is no name for Minari"), (tmp_path / "lives-v0", "is there already")):
        with pytest.raises(ConfigError, match=words):
            export_minari(data, folder)
    with pytest.raises(ConfigError, match="is no data set of Minari's"):
        import_minari(tmp_path, tmp_path / "other")
    write_theirs(tmp_path, monkeypatch)
    with pytest.raises(ConfigError, match="was not exported by xworld"):
        import_minari(tmp_path / "theirs-v0", tmp_path / "other")
