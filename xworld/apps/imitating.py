"""The command `xworld imitate`. As in `commands/main.py`, heavy imports happen inside."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from xworld.base.checks import check_seed
from xworld.base.errors import INTERRUPTED


@dataclass
class Imitate:
    """Train an agent to imitate recorded histories: a small transformer that sees many trials at once.

    ad predicts the next action, dpt what the expert would do, bc the next action without memory of earlier trials. The
    result is a saved agent, which evaluate, play and inspect take: the best, on held-out tasks, of those that were
    judged during training. Its returns on other tasks are in imitation.json beside it. Ctrl-C saves and stops; the same
    command goes on, bit for bit.
    """

    data: Annotated[Positional[Path], arg(metavar="DATA")]  # the folder of a data set that `xworld record` made
    method: Literal["ad", "dpt", "bc"]
    output: Path  # folder of the agent
    window: int = 160  # steps in a row that are learned from at once
    reach: int = 80  # how many steps back each layer looks, this one included
    size: int = 64  # of the layers
    num_layers: int = 2
    num_updates: int = 2000
    batch_size: int = 16  # windows of an update
    learning_rate: float = 3e-3  # at the start; 0 at the end
    keep: float = 1.0  # share of each stream, from its start on, that is learned from
    stop_at: float | None = None  # each stream is learned from until its last five trials earned so much on average
    start_share: float = 0.5  # how many windows begin where their stream does
    held_out_percent: int = 10  # share of the tasks that are kept for judging
    num_evaluations: int = 10  # during training
    num_played: int = 64  # tasks that are played then; as many others at the end, for the report
    num_trials: int | None = None  # that are played of every task; by default as many as that with the most has
    seed: int = 0

    def run(self) -> int:
        """Trains and reports."""
        from xworld.base.xla.devices import num_cores, use_devices

        check_seed(self.seed)
        use_devices(num_cores())
        import dataclasses
        import sys

        from xworld.histories import Dataset
        from xworld.training import TrainingDiverged
        from xworld.training.imitation.config import ImitateConfig, imitator
        from xworld.training.imitation.imitate import REPORT, imitate
        from xworld.training.imitation.learner import ImitationConfig

        sizes: dict[str, Any] = {
            "memory_size": self.size,
            "num_layers": self.num_layers,
            "feed_forward_size": 2 * self.size,
        }
        config = ImitateConfig(
            method=self.method,
            agent=dataclasses.replace(imitator(self.window, self.reach), **sizes),
            learner=ImitationConfig(
                window=self.window,
                batch_size=self.batch_size,
                num_updates=self.num_updates,
                learning_rate=self.learning_rate,
            ),
            keep=self.keep,
            stop_at=self.stop_at,
            start_share=self.start_share,
            held_out_percent=self.held_out_percent,
            num_evaluations=self.num_evaluations,
            num_played=self.num_played,
            num_trials=self.num_trials,
            seed=self.seed,
        )
        try:
            content = imitate(Dataset(self.data), config, self.output)
        except KeyboardInterrupt:
            print(f"Stopped and saved into {self.output}. The same command goes on.")
            return INTERRUPTED
        except TrainingDiverged as error:
            print(f"xworld: {error}", file=sys.stderr)
            return 1
        for name, ways in content["returns"].items():
            for way, returns in ways.items():
                part = max(len(returns) // 10, 1)
                first, last = sum(returns[:part]) / part, sum(returns[-part:]) / part
                print(f"{name.replace('_', '-')} tasks, {way} actions: {first:.2f} at first, {last:.2f} at last")
        print(f"Wrote the agent and {REPORT} to {self.output}")
        return 0
