"""Training an agent to imitate recorded histories, judged on tasks that it has not seen."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from xworld.agents import Agent, AgentPolicy, Output, Params, make_agent
from xworld.base.configs import as_dict
from xworld.base.errors import ConfigError
from xworld.base.hashing import hash_words
from xworld.base.progress import progress_bar
from xworld.base.xla.devices import AXIS, make_mesh_for
from xworld.core.types import Task
from xworld.evaluation import evaluate
from xworld.evaluation.protocol import with_num_trials
from xworld.histories import Dataset, Pieces, derive_windows, draw_windows
from xworld.training.devices.sharding import fetch
from xworld.training.imitation.config import DPT, ImitateConfig
from xworld.training.imitation.ends import find_ends
from xworld.training.imitation.kept import Kept, Progress, kept_in
from xworld.training.imitation.learner import Imitation
from xworld.training.imitation.windows import as_rollout
from xworld.training.learners.learner import Batch, Metrics, Trained, check_params
from xworld.training.learners.terms.term import Evaluated, Term, check_names
from xworld.training.logs.metrics import check_finite
from xworld.training.rollouts.rollout import Rollout
from xworld.training.run.given import describe_term
from xworld.training.stopping import stop_signals

REPORT = "imitation.json"
_EXPERT_ACTION = "expert_action"
_CHOICE = "choice"  # name of the tasks by which the agent is chosen
_LAST = 10  # the last tenth of the trials is what an agent has come to


def imitate(
    data: Dataset,
    config: ImitateConfig,
    folder: Path,
    *,
    params: Params | None = None,
    terms: Sequence[Term] = (),
    show_progress: bool = True,
) -> dict[str, Any]:
    """Trains an agent, and saves the best of those that were judged into `folder`, with `imitation.json` beside it.

    SIGINT and SIGTERM let the current update finish, save, and stop. An imitation that was stopped or killed goes on
    when it is called for again, and gives the same agent, bit for bit on as many devices.

    Args:
      data: what is imitated.
      config: how.
      folder: new, empty, with an imitation of the same that has not ended, or with a saved agent alone, which is
        replaced at the end.
      params: what a new imitation starts with; by default fresh ones.
      terms: further losses, along each window by itself. None that is `Evaluated`, as a teacher is. What they have
        learned themselves is saved beside the agent: see `read_heads`.
      show_progress: whether to draw a progress bar.

    Returns:
      What `imitation.json` has: for each evaluation the loss and the returns that choose the agent, and the returns of
      the chosen one, by trial, of actions that are drawn and of the likeliest ones, on tasks that did not choose it.

    Raises:
      ConfigError: the data lack a label that the method needs, or are too short, or of several tasks in a stream; no
        task is held out, or all are; `params` are another network's; two terms have one name, one is `Evaluated`, or
        the method is dpt; or the folder holds something else too, or cannot be written.
      TrainingDiverged: a loss or a gradient was not finite, or huge.
      KeyboardInterrupt: a signal stopped it; what was done is kept.
    """
    run = _Run(data, config, params, tuple(terms))
    run.check()
    descriptions = [describe_term(term) for term in run.terms]
    with kept_in(folder, run.agent, config, data.content_hash, descriptions) as kept:
        progress = run.begin(kept)
        with stop_signals() as stop:
            _go_on(run, kept, progress, stop.is_set, show_progress)
        report = run.report(progress.best.agent)
        content = {"config": as_dict(config), "update": progress.best_update, "evaluations": progress.rows, **report}
        text = json.dumps(content, indent=1) + "\n"
        kept.finish(progress.best, {REPORT: text})
    found: dict[str, Any] = json.loads(text)
    return found


def _go_on(run: "_Run", kept: Kept, progress: Progress, is_stopped: Callable[[], bool], show_progress: bool) -> None:
    """Trains to the end, and keeps the progress after each evaluation.

    Raises:
      KeyboardInterrupt: it was stopped before, and the progress is kept.
    """
    num_updates, parts = run.config.learner.num_updates, run.config.num_evaluations
    ends = {round(num_updates * (number + 1) / parts) for number in range(parts)}
    with progress_bar(num_updates, show_progress) as advance:
        advance(progress.update, "imitating")
        losses: list[Mapping[str, Any]] = list(progress.losses)
        while progress.update < num_updates:
            share = jnp.float32(progress.update / max(num_updates - 1, 1))
            progress.trained, progress.learner, metrics = _update(
                *run.fixed, run.terms, progress.trained, progress.learner, run.draw(), share
            )
            progress.update += 1
            losses.append(metrics)
            advance(1)
            is_end = progress.update in ends
            if is_end:
                _evaluate(run, progress, losses)
                losses = []
            is_stop = is_stopped()  # asked once: a signal may come while all is kept
            if is_stop or is_end:
                progress.losses = [{name: float(value) for name, value in one.items()} for one in losses]
                progress.chance = dict(run.chance.bit_generator.state)
                kept.write(progress)
            if is_stop:
                raise KeyboardInterrupt


def _evaluate(run: "_Run", progress: Progress, losses: Sequence[Mapping[str, Any]]) -> None:
    """Plays, adds a row, and takes the agent if it is the best so far.

    Raises:
      TrainingDiverged: a loss or a gradient was not finite, or huge.
    """
    means = {name: float(np.mean([np.float32(one[name]) for one in losses])) for name in losses[0]}
    learner = run.config.learner
    check_finite(
        means,
        f"Imitation diverged before update {progress.update}",
        "What was kept before is there. Try a lower learning_rate, or a lower max_gradient_norm of its optimiser.",
        progress.update * learner.batch_size * learner.window,
    )
    returns = run.play(progress.trained.agent, _CHOICE)
    score = float(_last(returns).mean())
    row = {"update": progress.update, **means, "first_return": _first(returns), "last_return": score}
    progress.rows.append(row)
    if progress.best_score is None or score > progress.best_score:
        progress.best, progress.best_score, progress.best_update = progress.trained, score, progress.update


@dataclass(frozen=True)
class _Run:
    """What is the same in all updates."""

    data: Dataset
    config: ImitateConfig
    params: Params | None = None  # to start with
    terms: tuple[Term, ...] = ()

    def check(self) -> None:
        """Raises ConfigError unless the method can learn from the data, with these parameters."""
        labels, folder = self.data.header.labels, self.data.folder
        if self.config.method == DPT and _EXPERT_ACTION not in labels:
            raise ConfigError(
                f"{folder} has no label {_EXPERT_ACTION}, which dpt imitates. Record with --expert-actions, or use "
                "--method ad."
            )
        if not self.data.num_episodes:
            raise ConfigError(f"{folder} has no episodes. Record some by xworld record.")
        if "stream" in labels and any(len(np.unique(rows, axis=0)) > 1 for rows in map(self._rows, self._streams)):
            raise ConfigError(f"{folder} has streams of several tasks; an imitator is told one. Record other streams.")
        percent = self.config.held_out_percent
        if not len(self.seen) or (percent and not len(self.held_out)):
            which = "no task is held out" if len(self.seen) else "all tasks are held out"
            raise ConfigError(f"held_out_percent is {percent}: {which} of {folder}. Write 0, or record more tasks.")
        check_names(self.terms)
        if self.terms and self.config.method == DPT:
            raise ConfigError(
                "Terms follow what was done, and dpt learns what an expert would do. Use method ad or bc."
            )
        for term in self.terms:
            if isinstance(term, Evaluated):
                raise ConfigError(
                    f"The term {term.name!r} changes with the evaluations of a run, which an imitation has none of. "
                    "Leave it out."
                )
        sizes = 1, self.config.learner.window
        draw_windows(self.data, np.random.default_rng(0), *sizes, keep=self.config.keep, among=self.seen)
        jax.eval_shape(self.learner.start, self.first, jax.random.key(0))

    @cached_property
    def agent(self) -> Agent:
        """The network."""
        return make_agent(self.config.agent_config, self.data.header.env)

    @cached_property
    def learner(self) -> Imitation:
        """What changes its parameters."""
        return self.config.learner.make(self.agent)

    @cached_property
    def first(self) -> Trained:
        """The parameters to start with; fresh ones if there are none, and fresh ones of the terms."""
        key = jax.random.key(self.config.seed)
        own = jax.jit(self.agent.init)(key)
        if self.params is not None:
            check_params(self.params, own)
        own = own if self.params is None else self.params
        keys = [jax.random.fold_in(key, 1 + number) for number in range(len(self.terms))]
        if not self.terms:
            return Trained(own, ())
        like = self._output(own)
        return Trained(own, tuple(term.init(key, like) for term, key in zip(self.terms, keys, strict=True)))

    def begin(self, kept: Kept) -> Progress:
        """What was kept, or all as it is before the first update; where an update leaves it."""
        state = self.learner.start(self.first, jax.random.key(self.config.seed))
        fresh = Progress(self.first, state, dict(self.chance.bit_generator.state), self.first)
        found = kept.read(fresh)
        if found is None:
            found = fresh
            kept.write(found)  # says now if it cannot be written
        self.chance.bit_generator.state = found.chance
        where = NamedSharding(self.fixed[3], P())
        found.trained, found.learner = jax.device_put((found.trained, found.learner), where)
        return found

    @cached_property
    def fixed(self) -> tuple[Any, ...]:
        """The static arguments of an update."""
        mesh = make_mesh_for(self.config.learner.batch_size)
        return self.data.env, self.agent, self.learner, mesh, self.config.method == DPT, self.config.burn_in

    @cached_property
    def seen(self) -> np.ndarray:
        """[n] numbers of the streams that are learned from."""
        return np.flatnonzero(~self._is_held_out)

    @cached_property
    def held_out(self) -> np.ndarray:
        """[n] numbers of those that are not."""
        return np.flatnonzero(self._is_held_out)

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """The tasks that are played: different ones, of streams at random.

        By those called "choice" the agent is chosen; its returns are reported on "held_out" and "seen" ones. What
        chooses is held out, if anything is, and is not reported on, unless there is only one task. All of them are
        played for equally many trials, so that a mean over tasks is of all of them in every trial.
        """
        generator, most = np.random.default_rng(self.config.seed), self.config.num_played
        found: dict[str, Task] = {}
        for name, streams in (("held_out", self.held_out), ("seen", self.seen)):
            if len(streams):
                first = np.array([self.data.stream(int(stream))[0] for stream in generator.permutation(streams)])
                _, places = np.unique(self.data.task_ids(first), axis=0, return_index=True)
                different = first[np.sort(places)]
                if _CHOICE not in found:
                    number = min(most, max(len(different) // 2, 1))
                    found[_CHOICE] = self.data.tasks(different[:number])
                    different = different if len(different) == 1 else different[number:]
                found[name] = self.data.tasks(different[:most])
        num_trials = self.config.num_trials or max(int(tasks.num_trials.max()) for tasks in found.values())
        return {name: jax.device_get(with_num_trials(tasks, num_trials)) for name, tasks in found.items()}

    @cached_property
    def draw(self) -> Callable[[], Pieces]:
        """What draws the windows of an update."""
        config = self.config
        sizes = config.learner.batch_size, config.learner.window, config.start_share
        ends = None if config.stop_at is None else find_ends(self.data, config.stop_at)
        return partial(draw_windows, self.data, self.chance, *sizes, keep=config.keep, ends=ends, among=self.seen)

    @cached_property
    def chance(self) -> np.random.Generator:
        """What windows are drawn by."""
        return np.random.default_rng(self.config.seed)

    def play(self, params: Params, name: str, *, is_greedy: bool = False) -> np.ndarray:
        """[num_tasks, num_trials] returns on the tasks of a name. The chance that chooses is not the one reported."""
        # From the host, since training may have fewer devices than playing.
        policy, key = AgentPolicy(fetch(params), self.agent, is_greedy=is_greedy), jax.random.key(self.config.seed)
        key = key if name == _CHOICE else jax.random.fold_in(key, 1)
        return evaluate(self.data.env, self.tasks[name], policy, key).returns

    def report(self, params: Params) -> dict[str, Any]:
        """Mean returns by trial of the agent that is kept."""
        played = {
            name: {
                way: self.play(params, name, is_greedy=way == "greedy").mean(0).round(4).tolist()
                for way in ("sampled", "greedy")
            }
            for name in self.tasks
            if name != _CHOICE
        }
        return {"num_tasks": {name: len(tasks.trial_length) for name, tasks in self.tasks.items()}, "returns": played}

    @cached_property
    def _is_held_out(self) -> np.ndarray:
        """[num_streams] bool, by a hash of the first episode's task."""
        first = np.array([self.data.stream(stream)[0] for stream in self._streams], np.int64)
        words = self.data.task_ids(first).T
        return np.asarray(hash_words(*words)) % 100 < self.config.held_out_percent

    def _output(self, params: Params) -> Output:
        """The shapes of one step's output."""

        env, task = self.data.env, jax.tree.map(lambda leaf: leaf[0], self.data.tasks(np.array([0])))

        def decide() -> Output:
            _, timestep = env.reset(jax.random.key(0), task)
            told = self.agent.encode_briefing(params, env.briefing(task))
            return self.agent.step(params, timestep.observation, told, self.agent.start_memory(), jnp.bool_(True))

        return jax.eval_shape(decide)

    @property
    def _streams(self) -> range:
        return range(self.data.num_streams)

    def _rows(self, stream: int) -> np.ndarray:
        return self.data.task_ids(self.data.stream(stream))


@partial(jax.jit, static_argnums=(0, 1, 2, 3, 4, 5))
def _update(
    env: Any,
    agent: Agent,
    learner: Imitation,
    mesh: Mesh,
    is_of_expert: bool,
    burn_in: int,
    terms: tuple[Term, ...],
    trained: Trained,
    state: Any,
    pieces: Pieces,
    progress: jax.Array,
) -> tuple[Trained, Any, Metrics]:
    """One update from windows, which are shared out to the devices."""
    windows = derive_windows(env, pieces)
    target = windows.labels[_EXPERT_ACTION] if is_of_expert else windows.action
    rollout = as_rollout(env, agent, windows, target, burn_in)
    batch = Batch(rollout.steps.weight.shape[1] // mesh.size, 1)

    def learn(terms: tuple[Term, ...], trained: Trained, state: Any, rollout: Rollout) -> tuple[Trained, Any, Metrics]:
        extras = [term.follow(term.start(batch.num_envs), rollout)[1] for term in terms]
        key = jax.random.key(0)
        trained, state, report = learner.learn(trained, state, rollout, extras, terms, key, progress, batch)
        return trained, state, report.metrics

    of_rollout: Any = P(None, AXIS), P(AXIS)  # of all leaves below
    specs = P(), P(), P(), Rollout(*of_rollout)
    sharded_learn = jax.shard_map(learn, mesh=mesh, in_specs=specs, out_specs=P(), check_vma=False)
    return sharded_learn(terms, trained, state, rollout)


def _first(returns: np.ndarray) -> float:
    """The mean of the first tenth of the trials."""
    return float(returns[:, : max(returns.shape[1] // _LAST, 1)].mean())


def _last(returns: np.ndarray) -> np.ndarray:
    """[num_tasks] the mean of the last tenth."""
    return returns[:, -max(returns.shape[1] // _LAST, 1) :].mean(1)
