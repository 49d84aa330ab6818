"""The command `xworld render`. As in `main.py`, heavy imports happen inside."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from xworld.base.checks import check_number, check_seed
from xworld.base.errors import ConfigError
from xworld.base.files import as_file_name

if TYPE_CHECKING:
    from xworld.core.env import Env
    from xworld.core.types import Task


@dataclass
class Render:
    """Film an episode of a trained agent or a history, or draw or film a task."""

    # a history (.jsonl) that was written by play or evaluate; tasks by name, as for evaluate --task-set, for the first
    # of them; or the folder of a training run, for a telling episode of its agent
    source: Annotated[Positional[str], arg(metavar="RUN|HISTORY|TASKS")]
    agent: str | None = None  # who plays the task, as for evaluate --agent; a still without
    # for an agent with a network of your own: what makes it of an Env
    network: Annotated[str | None, arg(metavar="module:function")] = None
    # .gif or .mp4, for a still .png; by default beside the source, if that is a file, or in runs; a film of a task is
    # SOURCE-by-AGENT.gif
    output: Path | None = None
    seed: int = 0  # decides tasks, directions and chance
    reveal: bool = False  # show what is hidden from the agent
    fps: float = 6.0  # frames a second

    def run(self) -> int:
        """Renders."""
        check_seed(self.seed)
        path = Path(self.source)
        is_film = self.agent is not None or path.suffix == ".jsonl" or path.is_dir()
        _check_output(self.output, (".gif", ".mp4") if is_film else (".png",))
        check_number("--fps", self.fps, 0.01, 1000)
        if path.suffix == ".jsonl":
            if self.agent is not None or self.network is not None:
                raise ConfigError("--agent and --network are for tasks; a history has been played already.")
            return self._film_history(path)
        if path.is_dir() and self.agent is None:
            return self._film_run(path)
        from xworld.tasks import tasks_by_name

        found = tasks_by_name(self.source, self.seed).task(0)
        assert found is not None  # there is a first of every name
        env, task, _ = found
        if self.agent is not None:
            return self._film_task(env, task, self.agent)
        if self.network is not None:
            raise ConfigError("--network is for trained agents: name one with --agent.")
        return self._draw_task(env, task)

    def _film_run(self, run: Path) -> int:
        import jax

        from xworld.agents import AgentPolicy
        from xworld.agents.players import load_agent
        from xworld.core.env import Env
        from xworld.evaluation import AGENT, compare, telling_episode
        from xworld.evaluation.protocol import with_num_trials
        from xworld.rendering import episode_frames, save_animation
        from xworld.tasks import tasks_by_name
        from xworld.training import load_config
        from xworld.training.run.finetune import why_seen

        config, loaded = load_config(run), load_agent(run, network=self.network)
        env, policy, key = Env(config.env), AgentPolicy(loaded.params, loaded.agent), jax.random.key(self.seed)
        tasks = tasks_by_name(self.source, self.seed).collect(128).tasks
        tasks = with_num_trials(tasks, int(tasks.num_trials.max()))  # of all as many, so that they compare
        scores = compare(env, tasks, [policy], key, show_progress=True).score(AGENT)[0]
        index, states, timesteps = telling_episode(env, tasks, policy, key, scores)
        output = self.output or run / "replay.gif"
        save_animation(episode_frames(env, states, timesteps, reveal=self.reveal), output, fps=self.fps)
        task_id = f"world {int(tasks.world_id[index])}, game {int(tasks.game_id[index])}"
        kind = "held-out task" if why_seen(run, config) is None else "task"
        print(f"Wrote {output}: {kind} {index} ({task_id})")
        return 0

    def _film_history(self, path: Path) -> int:
        from xworld.base.errors import located
        from xworld.core.env import Env
        from xworld.histories import read_history, replay
        from xworld.rendering import episode_frames, save_animation

        history = read_history(path)
        with located(self.source):
            states, timesteps = replay(history)
        frames = episode_frames(Env(history.header.config), states, timesteps, reveal=self.reveal)
        save_animation(frames, self._output(".gif"), fps=self.fps)
        print(f"Wrote {self._output('.gif')}")
        return 0

    def _draw_task(self, env: "Env", task: "Task") -> int:
        import jax

        from xworld.rendering import render_frame, save_picture

        state, timestep = env.reset(jax.random.key(self.seed), task)
        save_picture(render_frame(env, state, timestep, reveal=self.reveal), self._output(".png"))
        print(f"Wrote {self._output('.png')}")
        return 0

    def _film_task(self, env: "Env", task: "Task", player: str) -> int:
        import jax

        from xworld.agents.players import player_by_name
        from xworld.base.errors import located
        from xworld.evaluation import record
        from xworld.rendering import episode_frames, save_animation

        with located("--agent"):
            tasks = jax.tree.map(lambda leaf: leaf[None], task)
            policy = player_by_name(player, env, tasks, network=self.network).policy
        states, timesteps = record(env, task, policy, jax.random.key(self.seed))
        frames = episode_frames(env, states, timesteps, reveal=self.reveal)
        save_animation(frames, self._output(".gif"), fps=self.fps)
        print(f"Wrote {self._output('.gif')}")
        return 0

    def _output(self, suffix: str) -> Path:
        """The file to write, another for each player; what is no file itself has its picture in `runs`."""
        path = Path(self.source)
        base = path.with_suffix("") if path.is_file() else Path("runs") / as_file_name(self.source)
        player = "" if self.agent is None else f"-by-{as_file_name(self.agent)}"
        return self.output or base.with_name(f"{base.name}{player}{suffix}")


def _check_output(output: Path | None, suffixes: tuple[str, ...]) -> None:
    """Refuses another suffix before anything is played."""
    if output is not None and output.suffix.lower() not in suffixes:
        raise ConfigError(f"--output is {str(output)!r}; write a name that ends in {' or '.join(suffixes)}.")
