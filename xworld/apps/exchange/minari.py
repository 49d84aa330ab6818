"""Data sets for Minari, and back. Needs `pip install 'xworld[minari]'`.

Observations are those of `xworld.adapters.gymnasium.GymnasiumEnv(observation="structured")`: what is learned from them
can be played there.
"""

import base64
import re
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xworld.adapters.flat import Observer
from xworld.base.errors import ConfigError
from xworld.base.files import as_path, reason_of, write_atomically
from xworld.histories import Dataset, DatasetHeader, DatasetWriter, Episodes, Recorded
from xworld.histories.dataset.derive import derive
from xworld.histories.dataset.header import HEADER, TASKS, read_header
from xworld.histories.exchange.placing import placed
from xworld.tasks import TaskSet, load

_NAME = re.compile(r"[-_\w]*\w-v\d+")
_OURS = "xworld"  # what Minari's metadata have of us: the header, and the stored tasks in base64
_BATCH = 64  # episodes that are derived and written at a time
_TASK = "task"

Advance = Callable[[int], None]


def export_minari(data: Dataset, folder: str | Path, advance: Advance = lambda steps: None) -> None:
    """Writes a data set of one agent as one that `minari.load_dataset` takes where `folder` is in its own place.

    An episode is one of ours, with all its trials; `terminations` says where it ends. `infos` have `is_trial_first`,
    whether what is seen after the step begins a trial, and the labels.

    Args:
      data: of one agent.
      folder: new, there when all is written; its name ends with a version, as in "lives-v0".
      advance: told how many steps were written.

    Raises:
      ConfigError: several agents, no episodes, a name without a version, or the folder is there or cannot be written.
    """
    import minari
    from gymnasium import spaces
    from minari.dataset.minari_storage import MinariStorage

    from xworld.adapters.gymnasium import space_of
    from xworld.core.step.actions import NUM_ACTIONS

    folder = as_path(folder)
    if data.header.env.num_agents != 1 or not data.num_episodes:
        raise ConfigError(f"{data.folder} has no episodes of one agent, which is all that Minari knows.")
    if not _NAME.fullmatch(folder.name):
        raise ConfigError(
            f"{folder.name} is no name for Minari: write letters and digits, and a version, as in lives-v0."
        )
    observer = Observer(data.header.env, "structured")
    about = {"dataset_id": folder.name, "description": "Histories of xworld.", "requirements": ["xworld"]}
    about |= {f"{_OURS}_header": data.header.to_json()}
    if data.header.universe is None:
        about[f"{_OURS}_tasks"] = base64.b64encode((data.folder / TASKS).read_bytes()).decode()
    with placed(folder) as place:
        (place / "data").mkdir(parents=True)
        spaces_of = {"observation_space": space_of(observer), "action_space": spaces.Discrete(NUM_ACTIONS)}
        storage = MinariStorage.new(place / "data", data_format="hdf5", **spaces_of)
        storage.update_metadata(about | {"minari_version": minari.__version__})
        for start in range(0, data.num_episodes, _BATCH):
            numbers = np.arange(start, min(start + _BATCH, data.num_episodes))
            storage.update_episodes(_buffers(data, observer, numbers))
            advance(int(data.lengths(numbers).sum()))


def import_minari(source: str | Path, folder: str | Path, advance: Advance = lambda steps: None) -> Dataset:
    """The data set that `export_minari` has written; what was seen is derived again and compared with what is there.

    Args:
      source: the folder that was written.
      folder: of the new data set.
      advance: told how many steps were compared.

    Raises:
      ConfigError: it cannot be read, is not of xworld, or was changed; or the folder cannot be written.
    """
    from minari import MinariDataset

    source = as_path(source)
    try:
        found = MinariDataset(source / "data")
    except (OSError, ValueError, KeyError, AssertionError) as error:
        raise ConfigError(f"{source} is no data set of Minari's that can be read: {reason_of(error)}.") from error
    header, tasks = _read_header(found.storage.metadata, source)
    observer = Observer(header.env, "structured")
    with placed(folder) as place, DatasetWriter(place, header, tasks) as writer:
        for start in range(0, found.total_episodes, _BATCH):
            numbers = list(range(start, min(start + _BATCH, found.total_episodes)))
            episodes = list(found.storage.get_episodes(numbers))
            about = list(found.storage.get_episode_metadata(numbers))
            writer.append(_recorded(header, episodes, about))
            _compare(Dataset(place), observer, np.array(numbers), episodes, source)
            advance(sum(len(one["rewards"]) for one in episodes))
    return Dataset(folder)


def _buffers(data: Dataset, observer: Observer, numbers: np.ndarray) -> Iterator[Any]:
    """Episodes as Minari takes them."""
    from minari.data_collector.episode_buffer import EpisodeBuffer

    episodes = data.episodes(numbers)
    for index, seen in enumerate(_seen(data, observer, episodes)):
        length = int(episodes.length[index])
        infos: dict[str, Any] = {"is_trial_first": seen["is_trial_first"]}
        options: dict[str, Any] = {_TASK: data.task_ids(numbers[index : index + 1])[0]}
        for name, values in episodes.labels.items():
            if name == "stream":
                options[name] = int(values[index])
            else:
                infos[name] = np.concatenate([values[:length, index], values[-1:, index]]).reshape(length + 1)
        yield EpisodeBuffer(
            seed=int(episodes.seed[index]),
            options=options,
            observations=seen["observations"],
            actions=episodes.action[:length, index, 0],
            rewards=seen["rewards"],
            terminations=seen["terminations"],
            truncations=seen["truncations"],
            infos=infos,
        )


def _seen(data: Dataset, observer: Observer, episodes: Episodes) -> Iterator[dict[str, Any]]:
    """What Minari has of each episode that is derived."""
    timesteps = jax.device_get(_derive(data.env, observer, episodes.tasks, episodes.seed, np.asarray(episodes.action)))
    for index, length in enumerate(episodes.length.tolist()):
        reward, discount, observations, is_trial_first = jax.tree.map(
            lambda leaf, index=index, length=length: leaf[: length + 1, index], timesteps
        )
        is_over = discount[1:] == 0
        is_cut = np.arange(length) == length - 1
        yield {
            "observations": observations,
            "rewards": reward[1:],
            "terminations": is_over,
            "truncations": is_cut & ~is_over,  # who recorded it stopped before its end
            "is_trial_first": is_trial_first,
        }


@partial(jax.jit, static_argnums=(0, 1))
def _derive(env: Any, observer: Observer, tasks: Any, seeds: jax.Array, actions: jax.Array) -> tuple[Any, ...]:
    """[T + 1, B, ...] rewards, discounts, observations and whether a trial begins, of the only agent."""
    timesteps = derive(env, tasks, seeds, actions)
    briefings = jax.vmap(env.briefing)(tasks)
    observe = jax.vmap(jax.vmap(observer.observe_alone, (0, 0)), (0, None))
    observations = observe(timesteps.observation, briefings)
    return timesteps.reward[..., 0], timesteps.discount, observations, timesteps.is_trial_first


def _read_header(metadata: dict[str, Any], source: Path) -> tuple[DatasetHeader, TaskSet | None]:
    """What the data set is of.

    Raises:
      ConfigError: it is none of ours.
    """
    if f"{_OURS}_header" not in metadata:
        raise ConfigError(
            f"{source} was not exported by xworld, so that nothing in it can be derived again. Read it by Minari."
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_atomically(folder / HEADER, metadata[f"{_OURS}_header"].encode())
        header = read_header(folder)
        if header.universe is not None:
            return header, None
        write_atomically(folder / TASKS, base64.b64decode(metadata[f"{_OURS}_tasks"]))
        return header, load(folder / TASKS, header.env)


def _recorded(header: DatasetHeader, episodes: list[dict[str, Any]], about: list[dict[str, Any]]) -> Recorded:
    """Some episodes as they are added to a data set."""
    options = [one["options"] for one in about]
    labels: dict[str, np.ndarray] = {}
    for name in header.labels:
        if name == "stream":
            labels[name] = np.array([one[name] for one in options])
            continue
        values = np.concatenate([one["infos"][name][:-1] for one in episodes])
        labels[name] = values if name == "update" else values[:, None]
    return Recorded(
        task=np.stack([np.atleast_1d(one[_TASK]) for one in options]),
        seed=np.array([one["seed"] for one in about], np.uint32),
        length=np.array([len(one["rewards"]) for one in episodes], np.int64),
        action=np.concatenate([one["actions"] for one in episodes])[:, None],
        labels=labels,
    )


def _compare(
    data: Dataset, observer: Observer, numbers: np.ndarray, episodes: list[dict[str, Any]], source: Path
) -> None:
    """Raises ConfigError unless what is derived is what Minari has."""
    for number, found, seen in zip(numbers, episodes, _seen(data, observer, data.episodes(numbers)), strict=True):
        names = ("observations", "rewards", "terminations", "truncations")
        if not jax.tree.all(
            jax.tree.map(np.array_equal, *({name: one[name] for name in names} for one in (found, seen)))
        ):
            raise ConfigError(
                f"Episode {number} of {source} does not come out as it is there: it was changed, or is of a version of "
                "xworld with other rules. Export it again."
            )
