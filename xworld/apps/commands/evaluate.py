"""The command `xworld evaluate`. As in `main.py`, heavy imports happen inside."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from xworld.base.checks import check_seed, check_whole
from xworld.base.errors import INTERRUPTED, ConfigError
from xworld.base.files import as_file_name, as_path

if TYPE_CHECKING:
    from xworld.agents import Player
    from xworld.evaluation.reference import Reference
    from xworld.evaluation.scores.sweep import SweepConfig
    from xworld.tasks import TaskCollection

BEST_RETURNS_FOLDER = Path("runs/best-returns")  # where commands keep the expert's best returns, if not told otherwise


@dataclass
class Evaluate:
    """Score a trained agent, or whoever else can play, on tasks not seen in training.

    Without --task-set, a run's agent plays held-out tasks of its own universe once, beside random, noop and scripted
    players: a table of the score of every trial, scores.json, scores.png and learning_curve.png.

    With --task-set, the agent plays AdA's protocol: every task many times, with 1, 2, 3, 5, 8 and 13 trials; scores
    are those of the last trial. Returns are kept as they come: after Ctrl-C the same command goes on. Leaves
    scores.json, report.html and replays.
    """

    # random, noop, searcher, searcher-without-memory or expert; q-learner, reinforce or scripted-learner; pretrained or
    # pretrained-duo, agents that come with xworld; the folder of a training run or of a saved agent; or a function of
    # your own, by its module
    agent: Annotated[str, arg(metavar="NAME|FOLDER|module:function")]
    which: Literal["last", "best"] | None = None  # of a run: its newest checkpoint (default), or its best so far
    # for an agent with a network of your own: what makes it of an Env
    network: Annotated[str | None, arg(metavar="module:function")] = None
    # an environment or a run, for held-out tasks of it; a test set, such as v2; probes:GROUP or a probe; or a file of
    # tasks (.toml, .npz)
    task_set: str | None = None
    num_tasks: int | None = None  # the first so many; by default all, of an environment or a run 512
    # numbers of trials; without --task-set one, by default the most that the tasks have
    num_trials: tuple[int, ...] | None = None
    repetitions: int | None = None  # with --task-set: episodes of each task for each number of trials, 50 by default
    normalise_by: str | None = None  # with --task-set: expert, or the folder of a fine-tuned agent's evaluation
    # with --task-set: who plays the first trial, while the agent looks on and remembers: any player, as for --agent, or
    # a history (.jsonl) of the one task
    demonstrator: Annotated[str | None, arg(metavar="NAME|FOLDER|module:function|HISTORY")] = None
    demonstrated_task: Literal["same", "next"] = "same"  # the control is "next": the demonstration is of another task
    # with --task-set: who plays the other seats, any player as for --agent; the agent's seat is drawn for each episode
    partner: Annotated[str | None, arg(metavar="NAME|FOLDER|module:function")] = None
    seat: int | None = None  # with --partner: the agent's, from 0
    batch_size: int | None = None  # with --task-set: episodes played at a time, 2048 by default
    seed: int = 0  # decides directions and chance, and which tasks are sampled
    greedy: bool = False  # a trained agent takes the likeliest action instead of drawing one
    output: Path | None = None  # folder for what is written; by default the run's, or one in it or in runs
    # with --task-set, for scores by the expert's: folder where its best returns are kept, by default runs/best-returns
    best_returns: Path | None = None

    def run(self) -> int:
        """Evaluates and reports."""
        from xworld.agents.players import EXPERT
        from xworld.base.xla.devices import num_cores, use_devices

        check_seed(self.seed)
        use_devices(num_cores())
        if self.demonstrator is None and self.demonstrated_task != "same":
            raise ConfigError("--demonstrated-task goes with --demonstrator. Name who shows it, such as expert.")
        if self.partner is not None and self.demonstrator is not None:
            raise ConfigError("--partner and --demonstrator exclude each other. Leave one out.")
        if self.seat is not None and self.partner is None:
            raise ConfigError("--seat goes with --partner. Name who plays the other seats.")
        if self.best_returns is not None and self.normalise_by not in (None, EXPERT):
            raise ConfigError(
                f"--best-returns is for the expert's returns, and --normalise-by {self.normalise_by} for another's. "
                "Leave one out."
            )
        return self._compare() if self.task_set is None else self._sweep(self.task_set)

    def _compare(self) -> int:
        import jax
        import rich

        from xworld.agents import AgentPolicy
        from xworld.agents.players import agent_folder, load_agent, results_folder
        from xworld.base.configs import as_dict
        from xworld.base.files import check_folder
        from xworld.core.env import Env
        from xworld.evaluation import compare, trials_table, write_comparison
        from xworld.evaluation.report.learning_curve import has_learning_curve
        from xworld.tasks import tasks_by_name
        from xworld.training import load_config
        from xworld.training.run.finetune import why_seen

        run = agent_folder(self.agent)
        if run is None:
            raise ConfigError(f"--agent {self.agent} goes with --task-set. Name a set of tasks.")
        for name in ("repetitions", "normalise_by", "demonstrator", "partner", "batch_size", "best_returns"):
            if getattr(self, name) is not None:
                raise ConfigError(f"--{name.replace('_', '-')} goes with --task-set. Name a set of tasks.")
        if self.num_trials is not None and len(self.num_trials) > 1:
            raise ConfigError("Several numbers of trials go with --task-set. Name a set of tasks, or one number.")
        config = load_config(run)
        reason = why_seen(run, config)
        if reason is not None:
            raise ConfigError(f"{run} {reason}: no task is held out. Name tasks to play by --task-set.")
        loaded = load_agent(run, self.which or "last", self.network)
        num_trials = self.num_trials or config.universe.num_trials[1:]
        check_whole("--num-trials", num_trials[0], 1)
        output = check_folder(self.output or results_folder(self.agent, run) / self._variant().removesuffix("-"))
        has_curve = has_learning_curve(run / "metrics.csv")  # before anything is played
        if not has_curve:
            print(f"{run} has no metrics.csv with a finished trial, so that there is no learning curve.", flush=True)
        tasks = tasks_by_name(str(run), self.seed).collect(self.num_tasks).tasks
        policy = AgentPolicy(loaded.params, loaded.agent, is_greedy=self.greedy)
        key = jax.random.key(self.seed)
        scores = compare(Env(config.env), tasks, [policy], key, num_trials[0], show_progress=True)
        options = {
            "num_tasks": len(tasks.trial_length),
            "seed": self.seed,
            "greedy": self.greedy,
            "which": self.which or "last",
        }
        about = {"evaluate": options, "run": as_dict(config)}
        content = write_comparison(output, scores, about, run / "metrics.csv" if has_curve else None)
        rich.print(trials_table(content))
        names = "scores.json, scores.png and learning_curve.png" if has_curve else "scores.json and scores.png"
        print(f"Wrote {names} to {output}")
        return 0

    def _sweep(self, task_set: str) -> int:
        from xworld.base.files import check_folder
        from xworld.evaluation import write_sweep
        from xworld.evaluation.scores.store import ReturnsStore
        from xworld.evaluation.scores.sweep import NUM_TRIALS, SweepConfig, run_sweep
        from xworld.tasks import tasks_by_name

        config = SweepConfig(
            num_trials=self.num_trials or NUM_TRIALS[0 if self.demonstrator is None else 1 :],
            num_repetitions=50 if self.repetitions is None else self.repetitions,
            seed=self.seed,
            batch_size=2048 if self.batch_size is None else self.batch_size,
        )
        collection = tasks_by_name(task_set, self.seed).collect(self.num_tasks)
        kept, output = self._folders(collection)
        self._check_others(collection, config)  # before anything is planned
        self._check_kept(collection, config, kept)
        player, collection = self._find_player(collection)
        pair = None if self.partner is None else (player, self._find_partner(collection, self.partner))
        if pair is not None:
            player = _seated(*pair, self.seat)
        about = {"player": player.about, **_about_tasks(collection)}
        ReturnsStore(kept, config.kept_with(about))  # before the expert's best returns are looked for
        check_folder(output)
        try:
            reference = self._find_reference(collection)
            returns = run_sweep(collection.env, collection.tasks, player.policy, config, kept, about)
            cooperation = None if pair is None else _cooperation(*pair, self.seat, collection, config)
            content = write_sweep(output, collection, player, config, returns, reference, cooperation)
        except KeyboardInterrupt:
            print(f"Stopped. What was played is kept in {kept}; the same command goes on.")
            return INTERRUPTED
        _print_tables(content)
        print(f"Wrote scores.json, report.html and replays to {output}")
        return 0

    def _check_others(self, collection: "TaskCollection", config: "SweepConfig") -> None:
        """Refuses a demonstrator, a partner or a seat for which there is no room."""
        if self.demonstrator is not None and config.num_trials[0] < 2:
            raise ConfigError("--num-trials 1 leaves no trial to the agent: the first is the demonstrator's.")
        num_agents = collection.env.config.num_agents
        if self.partner is not None and num_agents < 2:
            raise ConfigError(
                f"--partner {self.partner}: EnvConfig.num_agents of {collection.name} is 1, so that there is no other "
                "seat. Choose tasks for two, or leave --partner out."
            )
        if self.seat is not None:
            check_whole("--seat", self.seat, 0, num_agents - 1)

    def _check_kept(self, collection: "TaskCollection", config: "SweepConfig", output: Path) -> None:
        """Refuses a fine-tuned agent's evaluation, or returns in the folder, if they are of something else."""
        from xworld.agents.players import EXPERT, agent_folder
        from xworld.evaluation import AGENT
        from xworld.evaluation.reference import fine_tuned_reference
        from xworld.evaluation.scores.store import check_returns
        from xworld.histories import SUFFIX

        if self.demonstrator is not None and self.demonstrator.endswith(SUFFIX):
            return  # it will change the task, and nothing is planned

        def named(name: str | None) -> dict[str, Any] | None:
            return None if name is None else {"name": name if agent_folder(name) is None else AGENT}

        if self.normalise_by not in (None, EXPERT):
            fine_tuned_reference(Path(self.normalise_by), collection.content_hash)
        others = {"partner": named(self.partner), "demonstrator": named(self.demonstrator)}
        about = {"player": {**(named(self.agent) or {}), **others}, **_about_tasks(collection)}
        check_returns(output, config.kept_with(about))

    def _find_player(self, collection: "TaskCollection") -> "tuple[Player, TaskCollection]":
        """Who is evaluated, maybe behind a demonstrator; and the tasks, which a demonstrator's history changes."""
        from xworld.agents.players import player_by_name
        from xworld.base.errors import located

        with located("--agent"):
            player = player_by_name(
                self.agent,
                collection.env,
                collection.tasks,
                which=self.which,
                network=self.network,
                is_greedy=self.greedy,
                show_progress=True,
            )
        if self.demonstrator is None:
            return player, collection
        from xworld.evaluation.demonstrations import prompt

        is_next = self.demonstrated_task == "next"
        with located("--demonstrator"):
            return prompt(player, collection, self.demonstrator, of_another_task=is_next, show_progress=True)

    def _find_partner(self, collection: "TaskCollection", name: str) -> "Player":
        """Who plays the other seats."""
        from xworld.agents.players import player_by_name
        from xworld.base.errors import located

        with located("--partner"):
            return player_by_name(name, collection.env, collection.tasks, show_progress=True)

    def _find_reference(self, collection: "TaskCollection") -> "Reference":
        from xworld.agents.players import EXPERT
        from xworld.evaluation.reference import expert_reference, fine_tuned_reference

        if self.normalise_by not in (None, EXPERT):
            return fine_tuned_reference(Path(self.normalise_by), collection.content_hash)
        from xworld.agents import Expert

        folder = self.best_returns or BEST_RETURNS_FOLDER
        return expert_reference(collection.tasks, Expert(collection.env), folder)

    def _folders(self, collection: "TaskCollection") -> tuple[Path, Path]:
        """The folder of the returns, and that of the scores: another one if these have another unit."""
        from xworld.agents.players import EXPERT

        if self.output is not None:
            return as_path(self.output), as_path(self.output)
        name = f"{self._variant()}on-{as_file_name(collection.name)}"
        if self.demonstrator is not None:
            name += f"-shown-{self.demonstrated_task}-by-{as_file_name(self.demonstrator)}"
        if self.partner is not None:
            name += f"-with-{as_file_name(self.partner)}"
            name += "" if self.seat is None else f"-in-seat-{self.seat}"
        if (Path(self.agent) / "config.json").exists():  # what else holds an agent may be replaced as a whole
            kept = Path(self.agent) / name
        else:
            kept = Path("runs") / f"{as_file_name(self.agent)}-{name}"
        if self.normalise_by in (None, EXPERT):
            return kept, kept
        return kept, kept.with_name(f"{kept.name}-normalised-by-{as_file_name(self.normalise_by)}")

    def _variant(self) -> str:
        """What tells the folder of one way to load and play an agent from that of another, such as "best-greedy-"."""
        return "best-" * (self.which == "best") + "greedy-" * self.greedy


def _about_tasks(collection: "TaskCollection") -> dict[str, Any]:
    """What of the tasks decides returns, as JSON types."""
    return {
        "task_set": {"name": collection.name, "content_hash": collection.content_hash},
        "env": dataclasses.asdict(collection.env.config),
    }


def _seated(player: "Player", partner: "Player", seat: int | None) -> "Player":
    """The player with a partner in the other seats; its own is drawn for each episode if none is given."""
    import jax.numpy as jnp

    from xworld.agents import PairedPolicy, Player

    name, about = f"{player.name} with {partner.name}", {**player.about, "partner": partner.about}
    if seat is None:
        return Player(name, PairedPolicy(player.policy, partner.policy), about)
    policy = PairedPolicy(player.policy, partner.policy, jnp.int32(seat))
    return Player(f"{name}, in seat {seat}", policy, {**about, "seat": seat})


def _cooperation(
    player: "Player", partner: "Player", seat: int | None, collection: "TaskCollection", config: "SweepConfig"
) -> dict[str, Any] | None:
    """What both did in one more episode of each task for two, with the most trials; None where all are for one."""
    from xworld.evaluation import measure_cooperation
    from xworld.evaluation.scores.cooperation import SEATS

    if not (collection.tasks.is_present.sum(-1) > 1).any():
        return None
    num_trials = config.num_trials[-1]
    return measure_cooperation(
        collection.env,
        collection.tasks,
        player.policy,
        partner.policy,
        config.key(num_trials),
        seats=SEATS if seat is None else (seat,),
        num_trials=num_trials,
        batch_size=config.batch_size,
    )


_ASKED = {0: "for one", 1: "for two", 2: "for two, of both"}


def _print_tables(content: dict[str, Any]) -> None:
    """Scores; in environments for several agents by who is asked, and of a player with a partner what both did."""
    import rich

    from xworld.evaluation import breakdown_table, cooperation_table, statistics_table
    from xworld.tasks.sets.by_name import AGENTS_ASKED

    rich.print(statistics_table(content))
    if AGENTS_ASKED in content["breakdown"]:
        rich.print(breakdown_table(content, AGENTS_ASKED, _ASKED))
    if "cooperation" in content:
        rich.print(cooperation_table(content["cooperation"]))
