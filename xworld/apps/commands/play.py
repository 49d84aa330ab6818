"""The command `xworld play`. As in `main.py`, heavy imports happen inside."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass
class Play:
    """Play a task in a window, alone, with others or with an agent; or watch an agent or a recorded episode.

    Arrow keys walk, H shows all keys. What is played is kept as a history, which `xworld play` shows again.
    """

    # tasks by name, as for evaluate --task-set: an environment, ENVIRONMENT:WORLD:GAME, a probe, a file, ...; or a
    # history (.jsonl), to watch
    source: Annotated[Positional[str], arg(metavar="TASKS|HISTORY")]
    # who plays the other agents, as for evaluate --agent: noop, searcher, expert, pretrained-duo, a run's folder, ...
    partner: str | None = None
    watch: str | None = None  # who plays all agents, to be watched; of a history: whose thoughts are shown
    play_as: tuple[int, ...] | None = None  # the agents that people play; by default all, with a partner the first
    which: Literal["last", "best"] | None = None  # of a run: its newest checkpoint (default), or its best so far
    # for an agent with a network of your own: what makes it of an Env
    network: Annotated[str | None, arg(metavar="module:function")] = None
    greedy: bool = False  # a trained agent takes the likeliest action instead of drawing one
    pace: float = 0.0  # steps a second, whether keys are pressed or not; 0: a step when everybody has pressed one
    # only what is seen, darken what is not seen, or show all; by default seen for who plays, shaded for who watches
    view: Literal["seen", "shaded", "whole"] | None = None
    reveal: bool = False  # show what is hidden from the agent
    keys: Path | None = None  # TOML file that gives other keys
    history: Path | None = None  # file for the history (.jsonl); by default a new one for each episode in --output
    output: Path = Path("runs/play")  # folder for histories, pictures and films
    seed: int = 0  # decides directions and chance, and which tasks are sampled
    size: tuple[int, int] = (1100, 760)  # of the window, in pixels

    def run(self) -> int:
        """Plays."""
        # A window takes a step at a time: a CPU is faster at that than what has to be sent to.
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        from xworld.apps.play.bindings import Bindings, read_bindings
        from xworld.apps.play.controller import Controller, Settings
        from xworld.apps.play.drawing import Look, draw_meanwhile
        from xworld.apps.play.sources import find_source
        from xworld.apps.play.window import Window
        from xworld.base.xla.cache import keep_compiled
        from xworld.histories import History

        keep_compiled()
        bindings = Bindings() if self.keys is None else read_bindings(self.keys)
        source = find_source(self.source, self.seed)
        plays = self.watch is None and not isinstance(source, History)
        settings = Settings(
            play_as=self.play_as,
            partner=self.partner,
            watch=self.watch,
            which=self.which,
            network=self.network,
            is_greedy=self.greedy,
            pace=self.pace,
            seed=self.seed,
            output=self.output,
            history=self.history,
            look=Look(view=self.view or ("seen" if plays else "shaded"), reveal=self.reveal),
        )

        def make_controller() -> Controller:
            controller = Controller(source, settings, bindings)
            for line in filter(None, (controller.message, *controller.keys)):
                print(line)
            return controller

        with contextlib.closing(Window(self.size)) as window:
            window.play(make_controller, lambda size: draw_meanwhile(size, bindings, is_played=plays))
        return 0
