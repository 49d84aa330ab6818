"""The window: a thin loop that hands keys to what it shows, and draws it when something has changed."""

import os
import sys
import time
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from xworld.apps.play.bindings import KEY_AT, KEYS
from xworld.base.errors import ConfigError
from xworld.rendering.drawing.backend import pygame
from xworld.rendering.drawing.canvas import Surface, new_surface
from xworld.rendering.drawing.palette import PAGE
from xworld.rendering.frame import draw_banner

MIN_SIZE = 320, 240
_MAX_SIDE = 16_384
_REPEAT_AFTER_S, _REPEAT_EVERY_S = 0.3, 0.11  # of a key that is held down
_IDLE_MS = 500  # how long to wait for an event, so that Ctrl-C is noticed
_KNOWN_KEYS = frozenset(KEYS.values())
_TITLE, _PREPARING, _CLOSING = "xworld", "Preparing the task", "Closing as soon as this is done"
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

    def press(self, *keys: int) -> None:
        """Does what a key means: the first of its names that means anything (see `names_of`)."""
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
          ConfigError: there is no display, or the size cannot be.
        """
        for side, least in zip(size, MIN_SIZE, strict=True):
            if not least <= side <= _MAX_SIDE:
                raise ConfigError(
                    f"The window's size is {size[0]} x {size[1]}; write {MIN_SIZE[0]} x {MIN_SIZE[1]} to {_MAX_SIDE} x "
                    f"{_MAX_SIDE}."
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
        pygame.display.set_caption(_TITLE)
        pygame.key.set_repeat()  # not by the system, which goes on while nobody looks: see `_repeat`
        self._held: pygame.Event | None = None  # the press of the key that is held down
        self._repeat_at = 0.0
        self._is_changed = True
        self._show(new_surface(*size, PAGE), _PREPARING)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._surface.get_size()

    def play(
        self, make_content: Callable[[], Content], meanwhile: Callable[[tuple[int, int]], Surface] | None = None
    ) -> None:
        """Prepares what is shown, and shows it until it is done or the window is closed.

        Args:
          make_content: prepares it.
          meanwhile: draws, for a size in pixels, what can be read until then; by default there is nothing to read.
        """
        if meanwhile is not None:
            self._show(meanwhile(self.size))
        content = self.work(_PREPARING, make_content)
        try:
            if not pygame.event.peek(pygame.QUIT):  # it was closed meanwhile
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
        if self._held is not None:
            until = self._repeat_at - time.monotonic()
            wait = until if wait is None else min(wait, until)
        timeout = _IDLE_MS if wait is None else min(max(round(wait * 1000), 1), _IDLE_MS)
        for event in [pygame.event.wait(timeout), *pygame.event.get()]:
            self._handle(event, content)
        self._repeat(content)
        if content.tick():
            self._is_changed = True
        if self._is_changed:
            self.redraw(content)
        return not content.is_done

    def redraw(self, content: Content) -> Surface:
        """Draws, and returns what is now in the window."""
        picture = content.draw((max(self.size[0], MIN_SIZE[0]), max(self.size[1], MIN_SIZE[1])))
        self._show(picture)
        self._is_changed = content.note_shown(picture)
        return self._surface

    def work(self, words: str, function: Callable[[], T]) -> T:
        """What a function returns that takes long. The window stays alive meanwhile, and says how long it has taken.

        Args:
          words: what is done, shown over the window; without them its title says so, and what is in it can be read.
          function: does it.
        """
        before, began, seconds = self._surface.copy(), time.monotonic(), 0
        if words:
            self._show(before.copy(), words)
            self._is_changed = True
        with ThreadPoolExecutor(1) as pool:
            future: Future[T] = pool.submit(function)
            while not futures.wait([future], _WORK_S).done:
                pygame.event.pump()
                if time.monotonic() - began >= seconds + 1:
                    seconds = int(time.monotonic() - began)
                    self._tell(words, seconds, before)
        pygame.display.set_caption(_TITLE)
        return future.result()

    def _tell(self, words: str, seconds: int, before: Surface) -> None:
        """Says how long something has taken by now, or that the window closes once it is done."""
        if pygame.event.peek(pygame.QUIT):
            self._show(before.copy(), f"{_CLOSING}: {seconds} s")
        elif words:
            self._show(before.copy(), f"{words}: {seconds} s")
        else:
            pygame.display.set_caption(f"{_TITLE}: preparing, {seconds} s")

    def close(self) -> None:
        """Closes the window."""
        pygame.display.quit()

    def _handle(self, event: pygame.Event, content: Content) -> None:
        if event.type == pygame.QUIT:
            content.is_done = True
        elif event.type == pygame.KEYDOWN and not content.is_done:
            self._held, self._repeat_at = event, time.monotonic() + _REPEAT_AFTER_S
            content.press(*names_of(event))
            self._is_changed = True
        elif event.type == pygame.KEYUP and self._held is not None and event.key == self._held.key:
            self._held = None
        elif event.type == pygame.VIDEORESIZE:
            self._surface = pygame.display.get_surface() or self._surface  # the same window, which follows by itself
            if (event.w, event.h) != self.size and event.w >= MIN_SIZE[0] and event.h >= MIN_SIZE[1]:
                self._surface = pygame.display.set_mode((event.w, event.h), pygame.RESIZABLE)
            self._is_changed = True
        elif event.type == pygame.WINDOWEXPOSED:
            self._is_changed = True

    def _repeat(self, content: Content) -> None:
        """Presses the key again that is held down, once at most: what took long leaves no repeats behind."""
        now = time.monotonic()
        if self._held is None or now < self._repeat_at or content.is_done:
            return
        if not pygame.key.get_pressed()[self._held.key]:
            self._held = None  # its end was not told, as when another window was in front
            return
        self._repeat_at = now + _REPEAT_EVERY_S
        content.press(*names_of(self._held))
        self._is_changed = True

    def _show(self, picture: Surface, words: str = "") -> None:
        if words:
            width, height = picture.get_size()
            draw_banner(picture, picture.get_rect(), words, max(min(width // 60, height // 42), 8))
        self._surface.blit(picture, (0, 0))
        pygame.display.flip()


def names_of(event: pygame.Event) -> tuple[int, ...]:
    """The keys that a press may mean: by its letter, by the sign that it types, and by its place on a US keyboard.

    So "/" is found where it is typed with Shift, and every action has a key in layouts without Latin letters.
    """
    sign = getattr(event, "unicode", "")
    names = (
        event.key,
        ord(sign.lower()) if len(sign.lower()) == 1 else None,
        KEY_AT.get(getattr(event, "scancode", -1)),
    )
    return tuple(dict.fromkeys(name for name in names if name in _KNOWN_KEYS))


def _no_display(reason: str) -> str:
    hint = "set DISPLAY, or log in with `ssh -X`" if sys.platform.startswith("linux") else "run it on a desktop"
    return f"There is no display to open a window on ({reason}): {hint}. `xworld render` films without one."
