"""The command `xworld render`. As in `main.py`, heavy imports happen inside."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from xworld.base.errors import ConfigError

if TYPE_CHECKING:
    from xworld.agents import Policy
    from xworld.core.env import Env
    from xworld.core.types import Task


@dataclass
class Render:
    """Film an episode of a trained agent or a history, or draw or film a task file."""

    # folder of a training run; a history (.jsonl) that was written by play or evaluate; or a task file
    source: Annotated[Positional[Path], arg(metavar="RUN|HISTORY|TASKFILE")]
    agent: Literal["random", "noop", "searcher", "expert"] | None = None  # who plays the task file; a still without
    output: Path | None = None  # .gif or .mp4, for a still .png; beside the source by default
    seed: int = 0  # decides tasks, directions and chance
    reveal: bool = False  # show what is hidden from the agent
    fps: float = 6.0  # frames a second

    def run(self) -> int:
        """Renders."""
        from xworld.rendering import save_picture

        if self.source.is_dir():
            if self.agent is not None:
                raise ConfigError("--agent is for task files; in a run's folder the run's agent plays.")
            return self._film_run()
        if self.source.suffix == ".jsonl":
            if self.agent is not None:
                raise ConfigError("--agent is for task files; a history has been played already.")
            return self._film_history()
        env, task = open_task(self.source)
        if self.agent is not None:
            return self._film_task(env, task, self.agent)
        import jax

        from xworld.rendering import render_frame

        output = self.output or self.source.with_suffix(".png")
        state, timestep = env.reset(jax.random.key(self.seed), task)
        save_picture(render_frame(env, state, timestep, reveal=self.reveal), output)
        print(f"Wrote {output}")
        return 0

    def _film_run(self) -> int:
        import jax

        from xworld.agents import AgentPolicy, load
        from xworld.core.env import Env
        from xworld.evaluation import AGENT, compare, telling_episode
        from xworld.rendering import episode_frames, save_animation
        from xworld.training import load_config
        from xworld.training.run.held_out import held_out_tasks

        config, loaded = load_config(self.source), load(self.source)
        env, policy, key = Env(config.env), AgentPolicy(loaded.params, loaded.agent), jax.random.key(self.seed)
        tasks = held_out_tasks(config, 128, self.seed)
        scores = compare(env, tasks, [policy], key, show_progress=True).score(AGENT)[0]
        index, states, timesteps = telling_episode(env, tasks, policy, key, scores)
        output = self.output or self.source / "replay.gif"
        save_animation(episode_frames(env, states, timesteps, reveal=self.reveal), output, fps=self.fps)
        task_id = f"world {int(tasks.world_id[index])}, game {int(tasks.game_id[index])}"
        print(f"Wrote {output}: held-out task {index} ({task_id})")
        return 0

    def _film_history(self) -> int:
        from xworld.base.errors import located
        from xworld.core.env import Env
        from xworld.histories import read_history, replay
        from xworld.rendering import episode_frames, save_animation

        history = read_history(self.source)
        with located(str(self.source)):
            states, timesteps = replay(history)
        output = self.output or self.source.with_suffix(".gif")
        frames = episode_frames(Env(history.header.config), states, timesteps, reveal=self.reveal)
        save_animation(frames, output, fps=self.fps)
        print(f"Wrote {output}")
        return 0

    def _film_task(self, env: "Env", task: "Task", player: str) -> int:
        import jax

        from xworld.evaluation import record
        from xworld.rendering import episode_frames, save_animation

        states, timesteps = record(env, task, _player(player, env, task), jax.random.key(self.seed))
        output = self.output or self.source.with_suffix(".gif")
        save_animation(episode_frames(env, states, timesteps, reveal=self.reveal), output, fps=self.fps)
        print(f"Wrote {output}")
        return 0


def open_task(file: Path) -> tuple["Env", "Task"]:
    """The task in a file, and an environment that fits it."""
    from xworld.core.env import Env
    from xworld.tasks.language.files import read_task

    config, task = read_task(file)
    return Env(config), task


def _player(name: str, env: "Env", task: "Task") -> "Policy":
    """The scripted policy called `name`, for one task."""
    import jax

    from xworld.agents.players import SCRIPTED, plan_policy

    if name in SCRIPTED:
        return SCRIPTED[name]
    return plan_policy(env, jax.tree.map(lambda leaf: leaf[None], task), show_progress=False)
