"""Does an imitator of learners that were stopped early go on learning by itself, above all that it has seen?

The teachers are the families: each learns one task from its own stream, `q-learner-6x6` in a larger world. `ad-10`
imitates the first 10 % of their lives, and so on, `ad-level2` each life until its last five trials earned 2 on average,
and is run for twice the length of a whole one on held-out tasks. Beside it, what may explain a rise: `shuffled-10` is
the same on lives whose trials are shuffled, and `bc-10` clones the last tenth of what `ad-10` sees. Of the baselines,
`teacher` goes on, and `stopped-10` is each task's own teacher which stops learning at the cut and then takes what it
thinks best: argmax alone can beat a noisy demonstrator. A trial in the table is the mean of a block of them: 20 blocks
for twice a life.
"""

from xworld.apps.laboratory.experiments.byrnes_cut.arms import EXPERIMENT

__all__ = ["EXPERIMENT"]
