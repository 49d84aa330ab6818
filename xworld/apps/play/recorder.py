"""What is kept of what is played: histories, pictures and films, each in a file of its own."""

from pathlib import Path

import jax
import numpy as np

from xworld.apps.play.drawing import Look
from xworld.apps.play.session import Session
from xworld.base.files import as_file_name
from xworld.histories import SUFFIX, Header, HistoryWriter
from xworld.rendering import episode_frames, save_animation, save_picture
from xworld.rendering.drawing.canvas import Surface, to_array

_FILM_FPS = 6.0


class Recorder:
    """Names and writes the files of one task after the other."""

    def __init__(self, output: Path, history: Path | None = None) -> None:
        """Keeps nothing yet.

        Args:
          output: folder for what is kept.
          history: file for the first history; later ones get a number. None for files in `output`.
        """
        self._output, self._history = output, history
        self._num_histories = 0
        self._task_name = ""
        self._film_start: int | None = None  # the turn at which the film begins

    @property
    def is_filming(self) -> bool:
        """Whether a film has begun that is not saved yet."""
        return self._film_start is not None

    def start_task(self, name: str) -> None:
        """From now on files are named after this task."""
        self._task_name = name

    def start_history(self, header: Header) -> HistoryWriter:
        """Opens the file of a new history."""
        self._num_histories += 1
        if self._history is None:
            path = self._free_path(SUFFIX)
        elif self._num_histories > 1:
            path = self._history.with_stem(f"{self._history.stem}-{self._num_histories}")
        else:
            path = self._history
        return HistoryWriter(path, header)

    def save_picture(self, picture: Surface) -> Path:
        """Saves a picture of the window."""
        return save_picture(to_array(picture), self._free_path(".png"))

    def start_film(self, session: Session) -> None:
        """Begins a film with what is seen now."""
        self._film_start = len(session.turns) - 1

    def save_film(self, session: Session, look: Look) -> Path:
        """Ends the film that was begun, and saves it."""
        turns = session.turns[self._film_start :] or [session.turn]
        self._film_start = None
        states, timesteps = jax.tree.map(
            lambda *leaves: np.stack(leaves), *jax.device_get([(turn.state, turn.timestep) for turn in turns])
        )
        frames = episode_frames(
            session.env,
            states,
            timesteps,
            agent=look.agent,
            show_view=look.view != "whole",
            reveal=look.reveal,
            pause=3,
        )
        return save_animation(frames, self._free_path(".gif"), fps=_FILM_FPS)

    def _free_path(self, suffix: str) -> Path:
        """The first name in the output folder that nothing has."""
        name = as_file_name(self._task_name)
        number = 1
        while (path := self._output / f"{name}-{number:03d}{suffix}").exists():
            number += 1
        return path
