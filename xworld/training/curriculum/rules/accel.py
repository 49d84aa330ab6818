"""`accel`: prioritised replay whose archive also grows by edits of what is in it.

Some of what is tried out are new tasks, the rest are tasks of the archive with one or a few edits: a kind swapped, a
rule more or less, an object moved, something hidden or shown. So tasks are found near those in which there is most to
be learned, and chains grow rule by rule. Source: Parker-Holder et al. 2022 (arXiv 2203.01302).
"""

from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp

from xworld.base.checks import check_bool, check_fields, check_number, check_whole
from xworld.base.errors import ConfigError
from xworld.core.types import Task, TaskSource
from xworld.tasks import Universe
from xworld.tasks.variants.edits import check_editable, edit
from xworld.training.curriculum.archive import pick_source
from xworld.training.curriculum.followed import numbered
from xworld.training.curriculum.rules.plr import PLRConfig, PrioritisedReplay
from xworld.training.curriculum.sizes import Sizes


@dataclass(frozen=True)
class AccelConfig(PLRConfig):
    """`PLRConfig`, robust, with edits.

    Raises:
      ConfigError: a value out of range.
    """

    edited: float = 0.5  # share of what is tried out that are edits of the archive's tasks, from 0 to 1
    num_edits: int = 3  # of a task that is tried out, one after the other; those that cannot be are left out

    def __post_init__(self) -> None:
        super().__post_init__()
        check = partial(check_fields, self, owner="AccelConfig")
        check(("edited",), partial(check_number, low=0, high=1))
        check(("num_edits",), partial(check_whole, low=1))
        if not check_bool("AccelConfig.is_robust", self.is_robust):
            raise ConfigError(
                "AccelConfig.is_robust is False, but edits are tried out, not trained on. Write True, or use plr."
            )

    def make(self, source: TaskSource, sizes: Sizes) -> "Accel":
        """The curriculum with an empty archive."""
        self.check(source, sizes)
        universe = getattr(source, "universe", source)
        if not isinstance(universe, Universe):
            raise ConfigError(
                f"accel edits tasks by the rules of their generator, but {type(source).__name__} has none. Give it a "
                "Universe or a TaskPool, or use plr."
            )
        check_editable(universe)
        return Accel(**self.parts(numbered(source), sizes))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Accel(PrioritisedReplay):
    """Trains on the fittest tasks found, of new ones and of edits."""

    config: AccelConfig = field(metadata={"static": True})

    def propose(self, key: jax.Array) -> Task:
        """An edited task of the archive, once that is used, or a new one."""
        coin_key, key = jax.random.split(key)
        is_edit = self.is_ready & jax.random.bernoulli(coin_key, self.config.edited)
        weights = self.weights

        def draw(key: jax.Array) -> Task:
            draw_key, *edit_keys = jax.random.split(key, 1 + self.config.num_edits)
            task = self.archive.draw(draw_key, weights)
            universe = self.universe
            assert isinstance(universe, Universe)
            for edit_key in edit_keys:
                task, _ = edit(universe, task, edit_key)
            return task

        return pick_source(is_edit, draw, self.source, key)

    def metrics(self) -> dict[str, jax.Array]:
        """Also the share of the archive that was edited."""
        archive = self.archive
        is_edited = archive.is_filled & (archive.tasks.world_id < 0)
        share = is_edited.sum() / jnp.maximum(archive.num_filled, 1)
        edited = jnp.where(archive.num_filled > 0, share, jnp.nan).astype(jnp.float32)
        return super().metrics() | {"edited": edited}
