"""The window: a thin loop that hands keys to what it shows, and draws it when something has changed."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import Protocol, TypeVar

from xworld.base.errors import ConfigError
from xworld.rendering.drawing.backend import pygame
from xworld.rendering.drawing.canvas import Surface, new_surface
from xworld.rendering.drawing.palette import PAGE
from xworld.rendering.frame import draw_banner

MIN_SIZE = 320, 240
_REPEAT_AFTER_MS, _REPEAT_EVERY_MS = 300, 110  # of a key that is held down
_IDLE_MS = 500  # how long to wait for an event, so that Ctrl-C is noticed
_WORK_S = 0.03  # how often the window is kept alive while something else is done

T = TypeVar("T")


class Content(Protocol):
    """What a window shows, and gives keys to."""

    is_done: bool  # whether the window is to be closed

    def draw(self, size: tuple[int, int]) -> Surface:
        """A picture of that many pixels."""
        ...

    def note_shown(self, picture: Surface) -> bool:
        """Notes that a picture is now in the window; whether there is something new to draw at once."""
        ...

    def press(self, key: int) -> None:
        """Does what a key means."""
        ...

    def seconds_to_tick(self) -> float | None:
        """How long until `tick` has something to do without a key; None for never."""
        ...

    def tick(self) -> bool:
        """Does what it is time for; whether there is something new to draw."""
        ...

    def let_work(self, window: "Window") -> None:
        """Prepares what keys will need, once the first picture is shown, and notes who does what takes long."""
        ...

    def close(self) -> None:
        """Ends what goes on."""
        ...


class Window:
    """A window that can be resized; close it in the end."""

    def __init__(self, size: tuple[int, int] = (1100, 760)) -> None:
        """Opens it, and says in it that the task is being prepared.

        Raises:
          ConfigError: there is no display, or the size is too small.
        """
        if size[0] < MIN_SIZE[0] or size[1] < MIN_SIZE[1]:
            raise ConfigError(
                f"The window's size is {size[0]} x {size[1]}; write at least {MIN_SIZE[0]} x {MIN_SIZE[1]}."
            )
        try:
            pygame.display.init()
            self._surface = pygame.display.set_mode(size, pygame.RESIZABLE)
        except pygame.error as error:
            pygame.display.quit()
            raise ConfigError(_no_display(str(error))) from error
        if pygame.display.get_driver() == "offscreen" and "SDL_VIDEODRIVER" not in os.environ:
            pygame.display.quit()
            raise ConfigError(_no_display("no screen was found"))
        pygame.display.set_caption("xworld")
        pygame.key.set_repeat(_REPEAT_AFTER_MS, _REPEAT_EVERY_MS)
        self._is_changed = True
        self._show(new_surface(*size, PAGE), "Preparing the task")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._surface.get_size()

    def play(self, make_content: Callable[[], Content]) -> None:
        """Prepares what is shown, and shows it until it is done or the window is closed."""
        content = self.work("", make_content)
        try:
            self.start(content)
            while self.turn(content):
                pass
        finally:
            content.close()

    def start(self, content: Content) -> None:
        """Shows something for the first time, and prepares its first step meanwhile."""
        self.redraw(content)
        content.let_work(self)

    def turn(self, content: Content) -> bool:
        """Waits until something happens, and shows what came of it; whether it goes on."""
        wait = 0.0 if self._is_changed else content.seconds_to_tick()
        timeout = _IDLE_MS if wait is None else min(max(round(wait * 1000), 1), _IDLE_MS)
        for event in [pygame.event.wait(timeout), *pygame.event.get()]:
            self._handle(event, content)
        if content.tick():
            self._is_changed = True
        if self._is_changed:
            self.redraw(content)
        return not content.is_done

    def redraw(self, content: Content) -> Surface:
        """Draws, and returns what is now in the window."""
        picture = content.draw(self.size)
        self._show(picture)
        self._is_changed = content.note_shown(picture)
        return self._surface

    def work(self, words: str, function: Callable[[], T]) -> T:
        """What a function returns that takes long, with words over the window. The window stays alive meanwhile."""
        if words:
            self._show(self._surface.copy(), words)
            self._is_changed = True
        with ThreadPoolExecutor(1) as pool:
            future: Future[T] = pool.submit(function)
            while True:
                try:
                    return future.result(_WORK_S)
                except NotYet:
                    if future.done():  # the function itself ran out of time
                        raise
                    pygame.event.pump()

    def close(self) -> None:
        """Closes the window."""
        pygame.display.quit()

    def _handle(self, event: pygame.Event, content: Content) -> None:
        if event.type == pygame.QUIT:
            content.is_done = True
        elif event.type == pygame.KEYDOWN and not content.is_done:
            content.press(event.key)
            self._is_changed = True
        elif event.type == pygame.VIDEORESIZE:
            width, height = max(event.w, MIN_SIZE[0]), max(event.h, MIN_SIZE[1])
            if (width, height) != self.size:
                self._surface = pygame.display.set_mode((width, height), pygame.RESIZABLE)
            self._is_changed = True
        elif event.type == pygame.WINDOWEXPOSED:
            self._is_changed = True

    def _show(self, picture: Surface, words: str = "") -> None:
        if words:
            width, height = picture.get_size()
            draw_banner(picture, picture.get_rect(), words, max(min(width // 60, height // 42), 8))
        self._surface.blit(picture, (0, 0))
        pygame.display.flip()


def _no_display(reason: str) -> str:
    hint = "set DISPLAY, or log in with `ssh -X`" if sys.platform.startswith("linux") else "run it on a desktop"
    return f"There is no display to open a window on ({reason}): {hint}. `xworld render` films without one."
