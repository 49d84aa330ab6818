"""Who did what: hand-made episodes of probes for two, of which it is known who hands over what to whom."""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pair_tasks import CONFIG, ENV, KEY, LENGTH, always
from probe_player import perform
from probe_scripts_two import SCRIPTS

from xworld import Env
from xworld.core.step.actions import NOOP, PICK_UP, TURN_LEFT
from xworld.evaluation import cooperation_table, count_deeds, measure_cooperation
from xworld.tasks import parse, probe

NAMES = ("pass_over_the_wall_once", "coordinated_production")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Script:
    """What is done in each step of a trial, by task; its memory is the task's number and the step."""

    actions: jax.Array  # [num_tasks, T, A]
    lengths: jax.Array  # [num_tasks]

    def start(self, key, state, briefing):
        return (self.lengths == state.task.trial_length).argmax(), jnp.int32(0)

    def act(self, memory, key, state, timestep):
        number, step = memory
        return (number, (step + 1) % self.lengths[number]), self.actions[number, step]


@pytest.fixture(scope="module")
def deeds():
    """Of two trials of the first script of each probe, by its name."""
    scripts, tasks = [], []
    for name in NAMES:
        one = probe(name)
        task = dataclasses.replace(one.task(), agent_facing=jnp.zeros(2, jnp.uint8), num_trials=np.uint16(2))
        tasks.append(task)
        actions = np.array(perform(one, task, SCRIPTS[name][0].script).actions)[: int(task.trial_length)]
        rest = int(task.trial_length) - len(actions)
        scripts.append(np.pad(actions, ((0, rest), (0, 0)), constant_values=NOOP))
    lengths = np.array([len(script) for script in scripts])
    assert len(set(lengths)) == len(lengths)
    padded = np.stack([np.pad(one, ((0, lengths.max() - len(one)), (0, 0)), constant_values=NOOP) for one in scripts])
    policy = Script(jnp.asarray(padded), jnp.asarray(lengths))
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *tasks)
    found = count_deeds(Env(probe(NAMES[0]).config), stacked, policy, KEY)
    by_name = {name: jax.tree.map(lambda leaf, at=at: leaf[at].tolist(), found) for at, name in enumerate(NAMES)}
    return by_name, dict(zip(NAMES, scripts, strict=True))


def test_a_thing_that_is_passed_over_the_wall_is_a_hand_over(deeds):
    """take b; put 2,5; 1 take 2,5; 1 put 2,7: in each of two trials each handles it twice."""
    one, actions = deeds[0]["pass_over_the_wall_once"], deeds[1]["pass_over_the_wall_once"]
    assert one.handled == [4, 4] and one.given == [2, 0] and one.taken == [0, 2]
    assert not np.any(one.fired)
    idle = 2 * (actions == NOOP).sum(0)  # whose other actions all do something
    assert one.waited == idle.tolist()


def test_rules_are_fired_by_who_handled_something_last(deeds):
    """take y; put 3,4; 1 take 3,4; 1 put 3,6; 1 take 3,6; 1 put 5,4: rules 2, 1 and 0 fire, each once a trial."""
    one = deeds[0]["coordinated_production"]
    assert np.sum(one.fired) == 6 and np.sum(one.fired, axis=0)[:3].tolist() == [2, 2, 2]
    assert one.fired[0][2] == 2 and one.fired[1][1] == one.fired[1][0] == 2
    assert one.given == [2, 0] and one.taken == [0, 2] and one.handled == [4, 8]


def test_a_rule_about_an_agent_is_fired_by_it_and_shares_are_of_roles():
    """Agent 0 picks up the ball in its first step, which makes it a cube; it turns at a wall for the rest."""
    pair = """
goal = "hold(agent0, blue cube)"
rules = ["hold(agent0, red ball) -> blue cube"]
trial_length = 6
num_trials = 2
facing = "east"
map = \"\"\"
#####
#0b.#
#...#
#..1#
#####
\"\"\"
legend.b = "red ball"
"""
    tasks = jax.tree.map(lambda leaf: jnp.stack([leaf] * 2), parse(pair, CONFIG))
    found = measure_cooperation(ENV, tasks, always(PICK_UP), always(TURN_LEFT), KEY)
    assert found["num_tasks"] == 2 and found["num_trials"] == 2
    player, partner = found["player"], found["partner"]
    # In seat 0 it picks up once a trial, and then waits; in seat 1 there is nothing to pick up.
    assert player["rules_fired"] == player["handled"] == 0.5 and player["share_of_work"] == 1
    assert player["waiting"] == pytest.approx((LENGTH - 1 + LENGTH) / (2 * LENGTH))
    assert partner["handled"] == partner["waiting"] == partner["given"] == 0
    assert found["fired_by_task"] == [{"player": [0.5], "partner": [0.0]}] * 2
    rows = list(cooperation_table(found).columns[3].cells)
    assert rows == ["1.00", "0.00"]
    idle = measure_cooperation(ENV, tasks, always(NOOP), always(NOOP), KEY)
    assert idle["player"]["share_of_work"] is None and idle["player"]["waiting"] == 1
    assert list(cooperation_table(idle).columns[3].cells) == ["", ""]
