"""Four updates of the smoke preset give the parameters that they gave when these were pinned.

As a script it pins them anew, for a change that is meant to change them. The file is compared within rounding, since
processors round differently; the digest that the script prints tells on one machine whether they are equal bit for bit.
"""

from pathlib import Path

import jax
import numpy as np

from xworld.base.digest import digest
from xworld.tasks import Universe
from xworld.training.run.presets import smoke
from xworld.training.run.trainer import make_trainer

PINNED = Path(__file__).parents[1] / "data" / "smoke_parameters.npz"


def train() -> dict[str, np.ndarray]:
    """By name: the parameters after four updates."""
    config = smoke()
    trainer, universe = make_trainer(config), Universe(config.env, config.universe)
    given = trainer.given(universe)
    state = trainer.start(given)
    for _ in range(2):
        state, given, *_ = trainer.chunk(state, given)
    leaves = jax.tree.leaves_with_path(trainer.whole_params(state.params))
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in leaves}


def test_parameters_after_four_updates_are_as_pinned():
    found = train()
    with np.load(PINNED) as pinned:
        assert set(found) == set(pinned.files)
        for name, values in found.items():
            np.testing.assert_allclose(values, pinned[name], atol=1e-5, err_msg=name)


if __name__ == "__main__":
    parameters = train()
    print(digest(parameters))
    np.savez_compressed(PINNED, **parameters)
