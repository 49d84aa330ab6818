"""Controller: sessions one after the other, and what keys do to them. It draws, but knows nothing of the window."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import jax
import numpy as np

from xworld.apps.play.bindings import Bindings
from xworld.apps.play.drawing import VIEWS, Look, Words, draw_window
from xworld.apps.play.minds import Mind
from xworld.apps.play.overlays import ACTION_WORDS, key_name, keys_lines
from xworld.apps.play.recorder import Recorder
from xworld.apps.play.session import Session
from xworld.apps.play.window import Window
from xworld.base.checks import check_whole
from xworld.base.errors import ConfigError
from xworld.core.env import Env
from xworld.core.step.actions import NOOP
from xworld.core.types import Task
from xworld.histories import SUFFIX, Header, History
from xworld.histories.files import check_header
from xworld.rendering.drawing.canvas import Surface
from xworld.tasks import NamedTasks

PERSON, NOBODY = "person", "nobody"
MAX_PEOPLE = 2  # that a keyboard has keys for
_WATCHING_PACE = 5.0  # steps a second

T = TypeVar("T")
Work = Callable[[str, Callable[[], T]], T]


@dataclass(frozen=True)
class Settings:
    """Who plays, how fast, and what is kept."""

    play_as: tuple[int, ...] | None = None  # the agents that people play; all, or with a partner the first
    partner: str | None = None  # who plays the others: a name or a folder, as for `xworld evaluate --agent`
    watch: str | None = None  # who plays all; of a history, whose thoughts are shown
    which: Literal["last", "best"] | None = None  # of a run: its newest checkpoint, or its best so far
    network: str | None = None  # `module:function` that makes an agent's network of one's own
    is_greedy: bool = False  # whether a trained agent takes the likeliest action
    pace: float = 0.0  # steps a second; 0 to wait for the keys of all people
    seed: int = 0  # decides directions and chance
    output: Path = Path("runs/play")  # folder for histories, pictures and films
    history: Path | None = None  # file for the history; by default one in `output` for each episode
    look: Look = field(default_factory=Look)


class Controller:
    """What is played or watched in the window."""

    def __init__(
        self,
        source: NamedTasks | History,
        settings: Settings,
        bindings: Bindings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts with the first task, or with a history.

        Args:
          source: tasks to play, or the history to watch.
          settings: who plays, and so on.
          bindings: the keys.
          clock: seconds.

        Raises:
          ConfigError: settings that do not go together, or that the task does not allow.
        """
        _check(source, settings)
        self.settings, self.bindings, self.look = settings, bindings, settings.look
        self.is_done = False
        self.message = ""  # what is to be said, until the next key
        self.work: Work = lambda words, function: function()  # how to do what takes long; the window knows better
        self._source, self._clock = source, clock
        self._number = 0  # of the task
        self._is_running = False  # whether what is watched goes on by itself
        self._last_tick = clock()
        self._wants_picture = False
        self._recorder = Recorder(settings.output, settings.history)
        self._load()

    @property
    def is_watching(self) -> bool:
        """Whether nobody plays."""
        return not self.session.people

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of those who play, in lines; none where nobody does."""
        return keys_lines(self.bindings, len(self.session.people)) if self.session.people else ()

    def press(self, *keys: int) -> None:
        """Does what the first of a key's names means that means anything; else nothing."""
        self.message = ""
        if self.look.shows_help:
            self.look = dataclasses.replace(self.look, shows_help=False)
            return
        session = self.session
        num_people = len(session.people)
        key = next((key for key in keys if self.bindings.means_anything(key, num_people)), None)
        if key is None:
            return
        bound = None if self.is_watching else self.bindings.action(key, num_people)
        if bound is not None:
            person, action = bound
            session.choose(session.people[person], action)
            if not self.settings.pace and not session.waits_for:
                session.go()
                if num_people == 1 and action != NOOP and session.changed_nothing:
                    self.message = f"{ACTION_WORDS[action].capitalize()}: nothing happened, and a step has passed."
            return
        command = self.bindings.command(key, self.is_watching)
        if command is not None:
            getattr(self, f"_do_{command}")()

    def seconds_to_tick(self) -> float | None:
        """How long until the next step is taken without a key; None for never."""
        pace = self._pace()
        if not pace or self.session.is_paused or self.session.is_over or self.session.is_between_trials:
            return None
        return max(self._last_tick + 1 / pace - self._clock(), 0.0)

    def tick(self) -> bool:
        """Takes a step if it is time for it; whether it was."""
        if self.seconds_to_tick() != 0.0:
            return False
        self._last_tick = self._clock()
        self.session.go()
        return True

    def draw(self, size: tuple[int, int]) -> Surface:
        """The window of that many pixels."""
        lines = self.keys if len(self.session.turns) == 1 else ()
        words = Words(self._banner(), self.message or self._status(), self._hint(), lines)
        return draw_window(size, self.session, self.look, words, self.bindings)

    def note_shown(self, picture: Surface) -> bool:
        """Starts the clock of a trial that is shown for the first time; saves the picture, if that was asked for."""
        self.session.note_shown()
        if not self._wants_picture:
            return False
        self._wants_picture = False
        self.message = f"Saved {self._recorder.save_picture(picture)}"
        return True

    def let_work(self, window: Window) -> None:
        """Prepares the first step."""
        self.work = window.work
        self.work("", self._warm_up)

    def close(self) -> None:
        """Ends the session; saves the film that is being recorded."""
        self._save_film()
        self.session.close()

    # What the commands do.

    def _do_go_on(self) -> None:
        self.session.go_on()
        self._last_tick = self._clock()

    def _do_pause(self) -> None:
        if not self.is_watching:
            self.session.pause()
            self._last_tick = self._clock()

    def _do_undo(self) -> None:
        if not self.is_watching:
            self.session.undo()

    def _do_restart(self) -> None:
        self._save_film()
        self.session.restart()

    def _do_next(self) -> None:
        if isinstance(self._source, History):
            self.message = "There is only this history."
            return
        self._save_film()
        before = self.session
        self._number += 1
        self.work("Preparing the next task", self._load)
        if self.session is not before:
            before.close()

    def _do_view(self) -> None:
        view = VIEWS[(VIEWS.index(self.look.view) + 1) % len(VIEWS)]
        self.look = dataclasses.replace(self.look, view=view)

    def _do_agent(self) -> None:
        there = [agent for agent in self._present if agent not in self.session.people[1:]]  # people are shown together
        agent = there[(there.index(self.look.agent) + 1) % len(there)]
        self.look = dataclasses.replace(self.look, agent=agent)

    def _do_reveal(self) -> None:
        self.look = dataclasses.replace(self.look, reveal=not self.look.reveal)

    def _do_thoughts(self) -> None:
        self.look = dataclasses.replace(self.look, shows_thoughts=not self.look.shows_thoughts)

    def _do_screenshot(self) -> None:
        self._wants_picture = True

    def _do_record(self) -> None:
        if not self._recorder.is_filming:
            self._recorder.start_film(self.session)
            self.message = f"Recording. {key_name(self.bindings.commands['record'])} saves the film."
        else:
            self._save_film()

    def _do_help(self) -> None:
        self.look = dataclasses.replace(self.look, shows_help=True)

    def _do_quit(self) -> None:
        self.is_done = True

    def _do_step(self) -> None:
        self.session.go()

    def _do_back(self) -> None:
        self._is_running = False
        self.session.go_back()

    def _do_run(self) -> None:
        self._is_running = not self._is_running
        self._last_tick = self._clock()

    def _do_first(self) -> None:
        self._is_running = False
        self.session.look_at(0)

    def _do_last(self) -> None:
        self.session.look_at(-1)

    # What is written.

    def _banner(self) -> str:
        session = self.session
        returns = [float(trial[self.look.agent]) for trial in session.turn.returns]
        key = key_name(self.bindings.commands["go_on"])
        if session.is_paused:
            return "Paused"
        if session.is_between_trials:
            return f"Trial {len(returns) - 1} scored {returns[-2]:g}: {key} goes on"
        if session.turn.timestep.is_last:
            return f"Trial {len(returns)} scored {returns[-1]:g}: the end"
        if session.turn.timestep.is_trial_first and len(returns) > 1 and self.is_watching:
            return f"Trial {len(returns) - 1} scored {returns[-2]:g}"
        return ""

    def _status(self) -> str:
        session, name = self.session, self._task_name
        if self.is_watching:
            return f"{name}, played by {', '.join(dict.fromkeys(self._names))}: step {len(session.turns) - 1}"
        if session.choices and session.waits_for:
            return " and ".join(f"agent{agent}" for agent in session.waits_for) + " is to choose"
        task = f"Task {self._number + 1}"  # its name may tell what is to be found out
        return f"{task} (recording)" if self._recorder.is_filming else task

    def _hint(self) -> str:
        tables: Mapping[str, str] = {**self.bindings.commands, **self.bindings.watching}
        names = ("help", "step", "back", "run") if self.is_watching else ("help", "undo", "pause")
        return "   ".join(f"{key_name(tables[name])} {name}" for name in (*names, "restart", "next", "quit"))

    def _save_film(self) -> None:
        """Saves the film that is being recorded, if one is."""
        if self._recorder.is_filming:
            path = self.work("Saving the film", lambda: self._recorder.save_film(self.session, self.look))
            self.message = f"Saved {path}"

    # The session.

    def _load(self) -> None:
        """Starts the session of the task that is next."""
        source, settings = self._source, self.settings
        if isinstance(source, History):
            header = source.header
            env, task, name, seed = Env(header.config), header.task, header.task_name, header.seed
        else:
            found = source.task(self._number)
            if found is None:
                self._number -= 1
                self.message = "That was the last task."
                return
            env, task, name = found
            seed = (settings.seed + self._number) % 2**32
        present = np.flatnonzero(task.is_present).tolist()
        is_watched = isinstance(source, History) or bool(settings.watch)
        people = () if is_watched else _find_people(settings, env.config.num_agents, present)
        mind = self._find_mind(env, task, settings.watch or settings.partner)
        if isinstance(source, History):
            names = header.players
        else:
            other = mind.name if mind else NOBODY
            is_there = {agent: PERSON if agent in people else other for agent in present}
            names = tuple(is_there.get(agent, NOBODY) for agent in range(env.config.num_agents))
        self._present, self._task_name, self._names = present, name, names
        self._recorder.start_task(name)
        self._header = header = Header(env.config, task, seed, names, name)
        self.session = Session(
            env,
            task,
            seed,
            people=people,
            mind=mind,
            history=source.steps if isinstance(source, History) else None,
            make_writer=None if isinstance(source, History) else lambda: self._recorder.start_history(header),
            clock=self._clock,
        )
        shown = people[0] if people else present[0]
        shows_thoughts = self.look.shows_thoughts or not people and mind is not None
        self.look = dataclasses.replace(self.look, agent=shown, shows_thoughts=shows_thoughts)
        if len(people) > 1:
            mine, yours = people
            self.message = f"Two people: of an action's keys the first is agent{mine}'s, the second agent{yours}'s."

    def _warm_up(self) -> None:
        """Does what would let the first step take long."""
        self.session.warm_up()
        if not isinstance(self._source, History):
            check_header(self._header)  # of the history that begins with that step

    def _find_mind(self, env: Env, task: Task, name: str | None) -> Mind | None:
        if name is None:
            return None
        from xworld.agents.players import player_by_name  # needs much that the window does not

        tasks = jax.tree.map(lambda leaf: np.asarray(leaf)[None], task)
        settings = self.settings
        player = player_by_name(
            name, env, tasks, which=settings.which, network=settings.network, is_greedy=settings.is_greedy
        )
        return Mind(player.name, player.policy)

    def _pace(self) -> float:
        if self.is_watching:
            return (self.settings.pace or _WATCHING_PACE) if self._is_running else 0.0
        return self.settings.pace


def _check(source: NamedTasks | History, settings: Settings) -> None:
    """Makes sure that the settings go together."""
    if settings.watch is not None and settings.partner is not None:
        raise ConfigError("--watch and --partner exclude each other: nobody plays with whom one watches.")
    is_history = isinstance(source, History)
    for name, value in (("--partner", settings.partner), ("--history", settings.history)):
        if is_history and value is not None:
            raise ConfigError(f"{name} is for tasks: a history has been played already.")
    if settings.play_as is not None and (is_history or settings.watch is not None):
        raise ConfigError("--play-as is for tasks that people play.")
    if not 0 <= settings.pace <= 30:
        raise ConfigError(f"--pace is {settings.pace}; write 0 to 30 steps a second, 0 to wait for keys.")
    check_whole("--seed", settings.seed, 0, 2**32 - 1)
    is_for_agents = settings.which or settings.network or settings.is_greedy
    if is_for_agents and settings.watch is None and settings.partner is None:
        raise ConfigError("--which, --network and --greedy are for agents: name one with --partner or --watch.")
    if settings.history is not None and settings.history.suffix != SUFFIX:
        raise ConfigError(f"--history is {str(settings.history)!r}; write a name that ends in {SUFFIX}.")
    if settings.history is not None and settings.history.exists():
        raise ConfigError(f"--history: {settings.history} is there already. Choose another name, or remove it.")


def _find_people(settings: Settings, num_agents: int, present: list[int]) -> tuple[int, ...]:
    """The agents that people play, of `num_agents` those that are there."""
    others = "--partner NAME gives the others to a player"
    wanted = settings.play_as
    if wanted is None:
        people = tuple(present[:1] if settings.partner else present)
    else:
        said = f"--play-as {' '.join(map(str, wanted))}"
        if len(set(wanted)) < len(wanted) or not set(wanted) <= set(range(num_agents)):
            raise ConfigError(f"{said}: name agents of {list(range(num_agents))}, each once.")
        people = tuple(agent for agent in wanted if agent in present)
        if not people:
            raise ConfigError(f"{said}: the task has the agents {present} only.")
        if len(people) < len(present) and settings.partner is None:
            raise ConfigError(f"--play-as leaves agents to nobody: {others}, such as noop.")
    if len(people) > MAX_PEOPLE:
        raise ConfigError(
            f"The task has {len(present)} agents, and a keyboard has keys for {MAX_PEOPLE} people: {others}, and "
            "--play-as says whom you play."
        )
    return people
