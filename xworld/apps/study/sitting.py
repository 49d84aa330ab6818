"""A sitting: a participant goes through a study in a window, until its end or until the window is closed.

The stages are consent, instructions, and then for every trial reading, playing and, in practice, feedback. All that
happens is written at once, so that the next sitting goes on where this one stopped, however it did.
"""

import dataclasses
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from xworld.apps.play.bindings import KEYS, Bindings
from xworld.apps.play.controller import NOBODY, PERSON
from xworld.apps.play.drawing import Look, Words, draw_window
from xworld.apps.play.minds import Mind
from xworld.apps.play.overlays import EXPLANATIONS, keys_lines
from xworld.apps.play.session import Session
from xworld.apps.play.window import Window
from xworld.apps.study.config import PRACTICE, Study, StudyTask
from xworld.apps.study.record import JOURNAL, Record
from xworld.apps.study.schedule import Item
from xworld.apps.study.screens import draw_reading, draw_text
from xworld.base.errors import ConfigError
from xworld.base.lines import LineWriter
from xworld.core.env import Env
from xworld.core.types import Task
from xworld.histories import Header, HistoryWriter
from xworld.rendering.drawing.canvas import Surface
from xworld.rendering.snapshot import take_snapshot
from xworld.tasks import goal_text

# The stages.
CONSENT, INSTRUCTIONS, END = "consent", "instructions", "end"
READING, PLAYING, FEEDBACK = "reading", "playing", "feedback"
AGREE, DECLINE, GO_ON, BACK = "y", "n", "return", "backspace"
_PERSONS = "First person", "Second person"
MIN_SHOWN_S = 0.3  # before which a page is not left, so that a key that is held down does not skip it


class Sitting:
    """A participant in a study, as the content of a window."""

    def __init__(
        self,
        study: Study,
        record: Record,
        bindings: Bindings,
        best_returns: Path,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Starts the study, or goes on with it.

        Args:
          study: what is gone through.
          record: of the participant, from `open_record`.
          bindings: the keys for actions, both sets.
          best_returns: folder where the expert's best returns are kept.
          clock: seconds, for what is timed.
          now: seconds since 1970.

        Raises:
          ConfigError: a history of the participant is damaged, or does not come out as it did.
        """
        self.study, self.record = study, record
        self.is_done = False
        self.stage = CONSENT
        self._bindings, self._best_returns, self._clock, self._now = bindings, best_returns, clock, now
        self._work: Callable[[str, Callable[[], None]], None] = lambda words, function: function()
        self._journal = LineWriter(record.folder / JOURNAL)
        self._writer: HistoryWriter | None = None
        self._is_declined = False
        self._page, self._num_pages = 0, 1
        self._shown_at: float | None = None  # when the stage was first shown
        self._shown_left = 0  # the seconds that the window says are left
        self._place = 0  # in the schedule
        self._session: Session | None = None
        self._best = 0.0  # known return of a trial of a practice task
        if record.happened("consented"):
            last = max([record.events[-1]["at"], *(path.stat().st_mtime for path in record.folder.glob("*.jsonl"))])
            try:
                self._go_on(max(self._now() - last, 0.0))
            except ConfigError:
                self.close()
                raise

    # What the window asks for.

    def draw(self, size: tuple[int, int]) -> Surface:
        """The picture of the stage."""
        if self.stage == PLAYING:
            return self._draw_world(size)
        if self.stage == READING:
            return self._draw_reading(size)
        title, text, last_hint = self._text()
        hint = f"Enter: next page{'   Backspace: page before' if self._page else ''}"
        picture, self._num_pages = draw_text(size, title, text, hint, last_hint, self._page)
        self._page = min(self._page, self._num_pages - 1)
        return picture

    def note_shown(self, picture: Surface) -> bool:
        """Starts the clock of what is shown for the first time."""
        if self._shown_at is None:
            self._shown_at = self._clock()
        if self.stage == PLAYING:
            self.session.note_shown()
        return False

    def press(self, *keys: int) -> None:
        """Does what the first of a key's names means that means anything at this stage; else nothing."""
        if self.stage == PLAYING:
            actions = (self._bindings.action(key, len(self.people)) for key in keys)
            bound = next((action for action in actions if action is not None), None)
            if bound is not None and self._left() > 0:
                person, action = bound
                self.session.choose(self.people[person], action)
                if not self.session.waits_for:
                    self._step()
        elif self._shown_at is not None and self._clock() - self._shown_at >= MIN_SHOWN_S:
            known = {KEYS[name] for name in (AGREE, DECLINE, GO_ON, BACK)}
            for key in [key for key in keys if key in known][:1]:
                self._turn_page(key)

    def seconds_to_tick(self) -> float | None:
        """How long until the window says another number of seconds, or the trial ends; None where nothing is timed."""
        if self.stage != PLAYING:
            return None
        left = self._left()
        return max(left - (math.ceil(left) - 1), 0.0) if left > 0 else 0.0

    def tick(self) -> bool:
        """Ends a trial whose time is up: nothing is done in the steps that are left. Whether there is news to draw."""
        if self.stage != PLAYING:
            return False
        if self._left() > 0:
            return math.ceil(self._left()) != self._shown_left
        while self.stage == PLAYING:
            self._step()
        return True

    def let_work(self, window: Window) -> None:
        """Notes who keeps the window alive while a task is prepared."""
        self._work = window.work

    def close(self) -> None:
        """Ends the sitting; the next one goes on from here."""
        if self.stage == PLAYING:
            self._write("stopped", seconds=round(self.session.seconds, 3), **self._where())
        self._journal.close()
        if self._writer is not None:
            self._writer.close()

    # Where it is.

    @property
    def session(self) -> Session:
        """The episode that is played."""
        assert self._session is not None, "no task was loaded"
        return self._session

    @property
    def item(self) -> Item:
        """What of the schedule is played."""
        return self.record.schedule[self._place]

    @property
    def task(self) -> StudyTask:
        """The task that is played."""
        return self.study.tasks(self.item.part)[self.item.number]

    @property
    def people(self) -> tuple[int, ...]:
        """The agents that people play, those of the first keys first."""
        return self.task.people(self.item.seat, self._num_people)

    @property
    def _num_people(self) -> int:
        return 2 if self.record.partner == PERSON else 1

    @property
    def trial(self) -> int:
        """The trial that is played, or comes next, from 0."""
        return int(self.session.turn.timestep.observation.trial)

    def _where(self) -> Mapping[str, int]:
        """What an event says of where it happened: task, trial and step of the episode."""
        if self._session is None:
            return {}
        return {"place": self._place, "trial": self.trial, "step": len(self.session.turns) - 1}

    def _left(self) -> float:
        """Seconds until the trial ends."""
        return self.item.seconds - self.session.seconds

    # What happens.

    def _go_on(self, gap: float) -> None:
        """Goes on after a gap of so many seconds."""
        if self.record.happened("instructed"):
            self._load()
        else:
            self._enter(INSTRUCTIONS)
        self._write("resumed", gap=round(gap, 3), **self._where())

    def _enter(self, stage: str) -> None:
        self.stage = stage
        self._page, self._num_pages, self._shown_at = 0, 1, None

    def _turn_page(self, key: int) -> None:
        """Leafs through the pages of a text, and leaves its last."""
        if key == KEYS[BACK]:
            self._page = max(self._page - 1, 0)
        elif self._page < self._num_pages - 1:
            self._page += key == KEYS[GO_ON]
        elif self.stage == CONSENT:
            if key in (KEYS[AGREE], KEYS[DECLINE]):
                self._answer(key == KEYS[AGREE])
        elif key == KEYS[GO_ON]:
            self._leave()

    def _answer(self, agrees: bool) -> None:
        self._is_declined = not agrees
        self._write("consented" if agrees else "declined", seconds=self._seconds_shown())
        self._enter(INSTRUCTIONS if agrees else END)

    def _leave(self) -> None:
        """Goes from a page that was read to what comes next."""
        seconds = self._seconds_shown()
        if self.stage == INSTRUCTIONS:
            self._write("instructed", seconds=seconds)
            self._work("Preparing the task", self._load)
        elif self.stage == READING:
            self._write("read", seconds=seconds, **self._where())
            self.session.go_on()
            self._enter(PLAYING)
        elif self.stage == FEEDBACK:
            where = self._where()
            trial = (where["step"] - 1) // int(self.session.turn.state.task.trial_length)  # the one that is over
            self._write("feedback", seconds=seconds, **{**where, "trial": trial})
            self._go_to_next_trial()
        else:
            self.is_done = True

    def _step(self) -> None:
        """Takes a step, and ends the trial with it if it was the last."""
        self.session.go()
        if self.session.is_over or self.session.is_between_trials:
            if self.item.part == PRACTICE:
                self._enter(FEEDBACK)
            else:
                self._go_to_next_trial()

    def _go_to_next_trial(self) -> None:
        if self.session.is_over:
            self._place += 1
            self._work("Preparing the next task", self._load)
        else:
            self._enter(READING)

    def _load(self) -> None:
        """Goes to the first task of the schedule that is not over, as far as it was played; or to the end."""
        while self._place < len(self.record.schedule):
            one, item = self.task, self.item
            task = dataclasses.replace(one.task, num_trials=jnp.uint16(item.num_trials))
            writer = self._open_history(one, task)
            if len(writer.steps) < int(task.trial_length) * item.num_trials:
                self._start(one, task, writer)
                self._enter(READING)
                return
            self._place += 1
        self._session = None
        self._write("finished")
        self._enter(END)

    def _open_history(self, one: StudyTask, task: Task) -> HistoryWriter:
        """The history of the task that is played."""
        if self._writer is not None:
            self._writer.close()
        others = NOBODY if self.record.partner is None else self.record.partner
        is_there = {agent: PERSON if agent in self.people else others for agent in one.present}
        players = tuple(is_there.get(agent, NOBODY) for agent in range(one.env.config.num_agents))
        header = Header(one.env.config, task, self.item.seed, players, self.item.name)
        self._writer = HistoryWriter(self.record.history_path(self._place), header, goes_on=True)
        return self._writer

    def _start(self, one: StudyTask, task: Task, writer: HistoryWriter) -> None:
        """Starts the episode, and takes the steps that are in its history."""
        session = Session(
            one.env,
            task,
            self.item.seed,
            people=self.people,
            mind=self._find_mind(one.env, task),
            make_writer=lambda: writer,
            clock=self._clock,
        )
        trial, in_trial = divmod(len(writer.steps), int(task.trial_length))
        stops = self.record.happened("stopped", place=self._place, trial=trial)
        spent = [stop["seconds"] for stop in stops] + ([writer.steps[-1].time or 0.0] if in_trial else [])
        session.catch_up(writer.steps, max(spent, default=0.0))
        session.warm_up()
        take_snapshot(one.env, session.turn.state, 0)  # compiled, so that the first picture does not take long
        if self.item.part == PRACTICE:
            self._best = _best_return(one.env, task, self._best_returns)
        self._session = session

    def _find_mind(self, env: Env, task: Task) -> Mind | None:
        """Who plays beside the participant, the same in every sitting."""
        if self.record.partner in (None, PERSON):
            return None
        from xworld.agents.players import player_by_name  # needs much that the window does not

        name = self.study.partners[self.record.partner]
        player = player_by_name(name, env, jax.tree.map(lambda leaf: np.asarray(leaf)[None], task))
        met = self.record.read_again().happened("met", place=self._place)
        if not met:
            self._write("met", place=self._place, partner=player.about)
        elif json.loads(json.dumps(player.about)) != met[0]["partner"]:
            raise ConfigError(f"{name} is another player than when {self.record.participant} began this task.")
        return Mind(self.record.partner, player.policy)

    def _write(self, event: str, **about: object) -> None:
        self._journal.write({"event": event, "at": round(self._now(), 3), **about})

    def _seconds_shown(self) -> float:
        return round(self._clock() - (self._clock() if self._shown_at is None else self._shown_at), 3)

    # What is shown.

    def _title(self) -> str:
        part = [place for place, item in enumerate(self.record.schedule) if item.part == self.item.part]
        name = "Practice" if self.item.part == PRACTICE else "Task"
        return f"{name} {part.index(self._place) + 1} of {len(part)}"

    def _text(self) -> tuple[str, str, str]:
        """Title, text and last hint of a stage that is a text."""
        if self.stage == CONSENT:
            return self.study.title, self.study.consent, "Y: I agree     N: I do not agree"
        if self.stage == INSTRUCTIONS:
            keys = keys_lines(self._bindings, self._num_people, in_line=1)
            whose = ["Of two keys the first is the first person's, and the second the second person's."]
            about_keys = [*keys, *(whose if self._num_people == 2 else [])]
            lines = [self.study.instructions, "", *about_keys, "", *EXPLANATIONS]
            return "Instructions", "\n".join(lines), "Enter: go on"
        if self.stage == FEEDBACK:
            return f"{self._title()}: a trial is over", self._feedback(), "Enter: go on"
        if self._is_declined:
            return "The end", "You did not agree, so the study ends here. Nothing else was recorded.", "Enter: close"
        return "The end", "This was the last task. Thank you for taking part.", "Enter: close"

    def _feedback(self) -> str:
        task, turn = self.session.turn.state.task, self.session.turn
        is_over = self.session.is_over
        number = len(turn.returns) if is_over else len(turn.returns) - 1
        means = [float(np.mean([trial[agent] for agent in self.task.present])) for trial in turn.returns]
        lines = [f"Trial {number} of {self.item.num_trials} is over."]
        for person, agent in enumerate(self.people):
            whose = f"{_PERSONS[person]}: " if len(self.people) > 1 else ""
            of_trial = take_snapshot(self.session.env, self.session.turns[-2].state, agent)  # the one that is over
            lines.append(f"{whose}The goal was: {goal_text(np.asarray(of_trial.goal))}.")
            held = float(turn.returns[number - 1][agent])
            lines.append(f"{whose}It held on {held:g} of {int(task.trial_length)} steps.")
        of_both = " (mean of both agents)" if len(self.task.present) > 1 else ""
        if self._best:
            best = max(self._best, *means)
            lines.append(f"At least {best:g} are possible{of_both} for somebody who knows all rules.")
        before = ", ".join(f"{return_:g}" for return_ in means[: number - 1])
        if before:
            lines.append(f"In the trials before{of_both}: {before}.")
        goes_on = "The next trial starts in the same way as this one."
        if task.has_several_goals:
            goes_on = "The next trial starts in the same way as this one, and may have another goal."
        lines.append("The next task is another one." if is_over else goes_on)
        return "\n\n".join(lines)

    def _draw_reading(self, size: tuple[int, int]) -> Surface:
        turn, people = self.session.turn, self.people
        self._num_pages = len(people)  # one for each of them
        agent = people[self._page]
        left = math.ceil(self._left())
        lines = [f"{int(turn.state.task.trial_length)} steps, {math.ceil(self.item.seconds)} seconds"]
        if turn.timestep.observation.time_left < turn.state.task.trial_length:
            lines = [f"You were interrupted. {int(turn.timestep.observation.time_left)} steps, {left} seconds left"]
        whose = f": {_PERSONS[self._page].lower()}" if len(people) > 1 else ""
        is_last = self._page == len(people) - 1
        return draw_reading(
            size,
            f"{self._title()}, trial {self.trial + 1} of {self.item.num_trials}{whose}",
            take_snapshot(self.session.env, turn.state, agent),
            tuple(float(trial[agent]) for trial in turn.returns),
            agent,
            lines,
            "Take your time to read. Enter: start the trial" if is_last else "Take your time to read. Enter: go on",
        )

    def _draw_world(self, size: tuple[int, int]) -> Surface:
        self._shown_left = max(math.ceil(self._left()), 0)
        look = Look(agent=self.people[0], view=self.study.view, shows_events=False)
        status = f"{self._title()}: {self._shown_left} seconds left"
        if self.session.choices:
            status += f". {_PERSONS[self.people.index(self.session.waits_for[0])]} is to choose"
        words = Words("", status, "", keys_lines(self._bindings, self._num_people))
        return draw_window(size, self.session, look, words, self._bindings)


def _best_return(env: Env, task: Task, folder: Path) -> float:
    """The expert's best known return of a trial, 0 if none is known."""
    from xworld.agents import Expert
    from xworld.evaluation import expert_reference  # its package needs much that the window does not

    stacked = jax.tree.map(lambda leaf: np.asarray(leaf)[None], task)
    return float(expert_reference(stacked, Expert(env), folder, show_progress=False).best[0])
