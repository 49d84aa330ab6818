"""The command `xworld record`. As in `commands/main.py`, heavy imports happen inside."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from xworld.base.checks import check_seed, check_whole
from xworld.base.errors import INTERRUPTED, ConfigError

if TYPE_CHECKING:
    from xworld.core.config import EnvConfig
    from xworld.evaluation.recording import TaskRows
    from xworld.histories import DatasetWriter
    from xworld.tasks import NamedTasks, TaskSet


@dataclass
class Record:
    """Record what somebody does: a data set of histories, with a byte for every action of an agent.

    All that was seen is derived from it again, byte for byte: see docs/imitation.md. What is recorded is kept as it
    comes: after Ctrl-C the same command goes on.
    """

    # random, noop, searcher, searcher-without-memory or expert; a learner, q-learner, reinforce or scripted-learner;
    # pretrained; the folder of a training run or of a saved agent; or a function of your own, by its module
    agent: Annotated[str, arg(metavar="NAME|FOLDER|module:function")]
    task_set: str  # tasks by name, as for evaluate; those of an environment or a run are kept by their ids
    output: Path  # folder of the data set
    num_tasks: int | None = None  # the first so many; by default all, of an environment or a run 512
    num_trials: int | None = None  # of every task, in place of its own number
    num_episodes: int = 1  # of every task
    # of a run: its newest checkpoint (default), its best so far, or all that are kept, each after the one before it
    which: Literal["last", "best", "all"] | None = None
    # for an agent with a network of your own: what makes it of an Env
    network: Annotated[str | None, arg(metavar="module:function")] = None
    greedy: bool = False  # a trained agent takes the likeliest action instead of drawing one
    log_probabilities: bool = False  # keep how likely each action was; 4 bytes more
    # keep what the expert would do at each step, whoever plays, for imitate --method dpt; for tasks without doors
    # in which an object pays as soon as it is held
    expert_actions: bool = False
    batch_size: int = 1024  # episodes that are played at a time
    seed: int = 0  # decides directions and chance, and which tasks are sampled

    def run(self) -> int:
        """Records."""
        from xworld.histories import DatasetWriter
        from xworld.histories.dataset.header import HEADER
        from xworld.tasks import tasks_by_name

        check_seed(self.seed)
        for name in ("num_episodes", "batch_size"):
            check_whole(f"--{name.replace('_', '-')}", getattr(self, name), 1)
        if self.num_trials is not None:
            check_whole("--num-trials", self.num_trials, 1, 2**16 - 1)
        if self.log_probabilities and self.greedy:
            raise ConfigError("--log-probabilities is for actions that are drawn, and --greedy draws none. Leave one.")
        named = tasks_by_name(self.task_set, self.seed)
        stored, num_tasks, header = self._plan(named)
        digests = self._check_player(next(self._batches(named, num_tasks, 0))[1], header.env)
        header = dataclasses.replace(header, about={**header.about, "digests": digests})
        is_begun = (self.output / HEADER).exists()
        if is_begun:
            self._check_same(digests)
        with DatasetWriter(self.output, header, stored, goes_on=is_begun) as writer:
            try:
                self._record(writer, named, num_tasks)
            except KeyboardInterrupt:
                print(f"Stopped. {writer.num_episodes} episodes are kept in {self.output}; the same command goes on.")
                return INTERRUPTED
            num_episodes, num_steps = writer.num_episodes, writer.num_steps
        num_bytes = sum(path.stat().st_size for path in self.output.iterdir())
        print(
            f"{self.output} has {num_episodes} episodes with {num_steps} steps, {num_bytes / num_steps:.2f} bytes each"
        )
        return 0

    def _plan(self, named: "NamedTasks") -> "tuple[TaskSet | None, int, Any]":
        """The tasks that are stored, how many are played, and the header of the data set."""
        from xworld.evaluation.protocol import with_num_trials
        from xworld.histories import DatasetHeader
        from xworld.tasks import TaskSet
        from xworld.tasks.sets.by_name import Sampled

        about = dataclasses.asdict(self) | {"output": None, "batch_size": None}
        labels: tuple[str, ...] = ("log_probability",) if self.log_probabilities else ()
        labels += ("expert_action",) if self.agent == "expert" or self.expert_actions else ()
        labels += ("update", "stream") if self.which == "all" else ()
        rest: dict[str, Any] = {"players": (self.agent,), "labels": labels, "about": about}
        if isinstance(named, Sampled):
            num_tasks = check_whole("--num-tasks", 512 if self.num_tasks is None else self.num_tasks, 1, 2**31 - 1)
            universe = named.universe
            return None, num_tasks, DatasetHeader(universe.env_config, universe.config, self.num_trials, **rest)
        collection = named.collect(self.num_tasks)
        stored = TaskSet(with_num_trials(collection.tasks, self.num_trials))
        return stored, len(stored), DatasetHeader(collection.env.config, **rest)

    def _record(self, writer: "DatasetWriter", named: "NamedTasks", num_tasks: int) -> None:
        """Plays what is not there yet; of that whole batches, so that the order does not depend on where it stopped."""
        import jax
        import numpy as np

        from xworld.base.progress import progress_bar
        from xworld.evaluation.recording import record_episodes

        players = self._checkpoints()
        total = num_tasks * self.num_episodes * len(players)
        number, done, made = 0, writer.num_episodes, dict[Any, Any]()
        with progress_bar(total, True) as advance:
            advance(done, "recording")
            for update, which in players:
                for _ in range(self.num_episodes):
                    for first, tasks in self._batches(named, num_tasks, done - number):
                        size = len(tasks.rows)
                        labels = {"update": np.full(size, update), "stream": first + np.arange(size)}
                        policy = self._player(made, writer.header.env, tasks, which).policy
                        where: dict[str, Any] = {"first_number": number + first, "batch_size": self.batch_size}
                        record_episodes(writer, tasks, policy, jax.random.key(self.seed), labels=labels, **where)
                        advance(size)
                    number += num_tasks

    def _batches(self, named: "NamedTasks", num_tasks: int, done: int) -> "Iterator[tuple[int, TaskRows]]":
        """Tasks in batches, each with its first one's number; but for the first, which are `done`."""
        import jax
        import numpy as np

        from xworld.evaluation.protocol import with_num_trials
        from xworld.evaluation.recording import TaskRows
        from xworld.tasks.sets.by_name import Sampled

        first = min(max(done, 0), num_tasks)
        stacked = None if isinstance(named, Sampled) else named.collect(self.num_tasks).tasks
        while first < num_tasks:
            end = min(first + self.batch_size, num_tasks)
            numbers = np.arange(first, end)
            if isinstance(named, Sampled):
                tasks = named.part(first, end)
                rows = np.stack([tasks.world_id, tasks.game_id], axis=1)
            else:
                tasks, rows = jax.tree.map(lambda leaf, part=numbers: np.asarray(leaf)[part], stacked), numbers[:, None]
            yield first, TaskRows(jax.device_get(with_num_trials(tasks, self.num_trials)), rows)
            first = end

    def _checkpoints(self) -> list[tuple[int, Path | None]]:
        """Who plays, one after the other: a checkpoint with the number of updates behind it, or whom --agent names."""
        from xworld.agents.players import agent_folder
        from xworld.agents.saved.saved import checkpoints

        if self.which != "all":
            return [(0, None)]
        folder = agent_folder(self.agent)
        found = [] if folder is None else [*checkpoints(folder, "best"), *checkpoints(folder, "last")]
        by_update = {int(path.name.rpartition("-")[2]): path for path in found}
        if not by_update:
            raise ConfigError(f"--which all is for training runs, and {self.agent} has no checkpoints. Leave it out.")
        return sorted(by_update.items())

    def _check_player(self, tasks: "TaskRows", config: "EnvConfig") -> dict[str, str]:
        """The digests of who is to play; of those who are made for the tasks, none.

        Raises:
          ConfigError: there is nobody, or not with what is to be kept; before anything is written.
        """
        from xworld.agents import LEARNERS, Decider
        from xworld.agents.players import EXPERT
        from xworld.agents.scripted.adviser import check_advised

        if self.expert_actions and self.agent != EXPERT:
            check_advised(tasks.tasks, tasks.rows)
        digests = {}
        is_decider = self.agent != EXPERT  # who would plan all of it now
        for _, path in self._checkpoints() if is_decider else ():
            player = self._player({}, config, tasks, path)
            is_decider &= isinstance(player.policy, Decider)
            if self.agent not in LEARNERS:
                digests[self.agent if path is None else path.name] = player.identity
        if self.log_probabilities and not is_decider:
            raise ConfigError(f"{self.agent} does not say how likely its actions are. Leave --log-probabilities out.")
        return digests

    def _check_same(self, digests: dict[str, str]) -> None:
        """Raises ConfigError if the data set was begun with other agents, or others of the same names."""
        from xworld.histories.dataset.header import read_header

        begun = read_header(self.output).about.get("digests", {})
        for name in sorted(begun.keys() | digests.keys()):
            then, now = (of.get(name, "none")[:12] for of in (begun, digests))
            if then != now:
                raise ConfigError(
                    f"{self.output} was begun with another agent than {name} is now (digest {then} there, {now} here). "
                    "Choose another folder, or name the agent of then."
                )

    def _player(self, made: dict[Any, Any], config: "EnvConfig", tasks: "TaskRows", checkpoint: Path | None) -> Any:
        """Who plays some tasks: `made` once, or once for each of the batches if it is made for them."""
        from xworld.agents import LEARNERS
        from xworld.agents.players import EXPERT, player_by_name
        from xworld.base.errors import located
        from xworld.core.env import Env

        rows = tasks.rows.tobytes() if self.agent in (EXPERT, *LEARNERS) else b""
        if (checkpoint, rows) not in made:
            if self.num_episodes == 1:  # nobody plays again
                made.clear()
            with located("--agent"):
                made[checkpoint, rows] = player_by_name(
                    self.agent if checkpoint is None else str(checkpoint),
                    Env(config),
                    tasks.tasks,
                    which=None if self.which == "all" else self.which,
                    network=self.network,
                    is_greedy=self.greedy,
                )
        return made[checkpoint, rows]
