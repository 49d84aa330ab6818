"""The expert: its model is the world, its plans earn what they claim, and in tiny worlds nothing earns more."""

import dataclasses
from collections import Counter

import exhaustive
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
import tiny_tasks
from comparison import CONFIGS
from intentions import Planner as Intentions
from probe_scripts_one import SCRIPTS as ONE_PLAYER
from probe_scripts_two import SCRIPTS as TWO_PLAYERS
from strategies import ALL_PARTS, make_example

from xworld import ConfigError, Env, Task
from xworld.agents.expert.expert import Expert, NoPlan, Plan, PlanTable
from xworld.agents.expert.policy import make_expert_policy
from xworld.agents.expert.world.model import Model
from xworld.evaluation import evaluate
from xworld.tasks import TaskSet, parse, probes
from xworld.tasks.sets.probes import SHAPES

ENV = Env(tiny_tasks.CONFIG)
EXPERT = Expert(ENV, time_limit_s=60)  # so that a slow machine finds the same plans
STEP = jax.jit(ENV.step)
NUM_EXAMPLES = 250
NUM_TINY = 80
NOT_SOLVED = {"antimatter_for_two_with_copies"}  # it would have to make copies before it uses up the only original


@pytest.mark.parametrize("name", ["one agent, occluded", "four agents, transparent", "few relations, no push"])
def test_the_model_steps_as_the_oracle(name):
    config, seen = CONFIGS[name], Counter()
    for seed in range(NUM_EXAMPLES):
        example = make_example(config, seed, ALL_PARTS)
        task = example.task
        facing = tuple(int(direction) % 4 for direction in task.agent_facing)
        world, model = oracle.start(config, task, list(facing)), Model(config, task)
        situation = model.start(facing)
        intentions = [Intentions(agent, plan) for agent, plan in enumerate(example.plans)]
        for time in range(int(task.trial_length) - 1):
            actions = [one.next_action(world) for one in intentions]
            expected = oracle.step(world, actions, list(facing))
            situation, event = model.step(situation, {agent: actions[agent] for agent in model.agents})
            where = seed, time
            assert event == expected["event"], where
            assert situation.kinds == tuple(expected["object_kind"]), where
            assert _places(model, situation.places) == expected["object_position"], where
            assert situation.doors == tuple(expected["door_state"]), where
            assert situation.frozen == sum(bit << slot for slot, bit in enumerate(expected["object_frozen"])), where
            assert _places(model, situation.cells) == expected["agent_position"], where
            assert [situation.directions[agent] for agent in model.agents] == [
                expected["agent_direction"][agent] for agent in model.agents
            ], where
            rewards = [expected["reward"][agent] for agent in model.goals]
            assert [model.satisfies(situation, goal) for goal in model.goals.values()] == rewards, where
            assert model.is_rewarded(situation) == (len(rewards) > 0 and all(rewards)), where
            held = [model.layout(situation).held[agent] for agent in model.agents]
            assert held == [expected["agent_held"][agent] for agent in model.agents], where
            seen.update({"rule": event > 0, "reward": any(rewards), "held": max(held) >= 0})
    assert min(seen[thing] for thing in ("rule", "reward", "held")) >= 100  # or the test says little


def _places(model: Model, cells: tuple[int, ...]) -> list[list[int]]:
    return [list(model.ground.place(cell)) if cell > 0 else [-1, -1] for cell in cells]


@pytest.fixture(scope="module")
def tiny() -> list:
    generator = np.random.default_rng(0)
    return [jax.device_get(tiny_tasks.tiny_task(generator)) for _ in range(NUM_TINY)]


@pytest.fixture(scope="module")
def attempts(tiny) -> list[Plan | NoPlan]:
    return [EXPERT.attempt(task) for task in tiny]


@pytest.mark.slow
def test_nothing_earns_more_in_tiny_worlds(tiny, attempts):
    is_best = []
    for task, attempt in zip(tiny, attempts, strict=True):
        claimed = int(attempt.return_) if isinstance(attempt, Plan) else 0
        can_do_better = exhaustive.can_earn_more(ENV, task, claimed)
        if claimed < tiny_tasks.TRIAL_LENGTH and (claimed or can_do_better):  # there is something to do
            is_best.append(not can_do_better)
    assert len(is_best) >= 20 and np.mean(is_best) >= 0.95


def test_plans_earn_what_they_claim(tiny, attempts):
    for task, attempt in zip(tiny, attempts, strict=True):
        if isinstance(attempt, NoPlan):
            assert "model is wrong" not in attempt.reason
            continue
        assert attempt.actions.shape == (tiny_tasks.TRIAL_LENGTH, 1) and attempt.actions.dtype == np.uint8
        state = exhaustive.start(ENV, task)
        rewards, events = [], []
        for actions in attempt.actions:
            state, timestep = STEP(state, jnp.asarray(actions))
            rewards.append(float(timestep.reward[0]))
            events.append(int(timestep.event))
        assert sum(rewards) == attempt.return_ > 0
        assert tuple(event - 1 for event in events if event) == attempt.rules_fired


@pytest.mark.parametrize(
    ("num_agents", "scripts"), [(1, ONE_PLAYER), pytest.param(2, TWO_PLAYERS, marks=pytest.mark.slow)]
)
def test_the_expert_does_as_well_as_people_wrote(num_agents, scripts):
    env = Env(SHAPES["one_player" if num_agents == 1 else "two_player"])
    chosen = [probe for probe in probes(num_agents=num_agents) if probe.config == env.config]
    tasks = TaskSet.from_tasks([_without_chance(probe.task()) for probe in chosen])
    table = Expert(env, time_limit_s=60).plan_all(tasks)
    shares = []
    for probe, returns, reason in zip(chosen, table.returns, table.reasons, strict=True):
        assert (reason is None) == (probe.name not in NOT_SOLVED), (probe.name, reason)
        if reason is None:
            pays = scripts[probe.name][0].pays
            shares.append(returns.sum() / np.mean(pays))
            assert shares[-1] >= 0.9, probe.name
    assert np.mean(np.array(shares) >= 1) >= 0.9


def _without_chance(task: Task) -> Task:
    """The task without chance."""
    return dataclasses.replace(task, agent_facing=jnp.where(task.agent_facing < 4, task.agent_facing, 0))


ROOM = """
goal = "hold(agent, {goal})"
rules = ["near(agent, green ball) -> black cube"]
trial_length = {length}
num_trials = 4
{facing}
map = '''
######
#b...#
#....#
#....#
#0..g#
######
'''
[legend]
b = "red ball"
g = "green ball"
"""


def room(goal: str, facing: str = "", length: int = 12) -> Task:
    return parse(ROOM.format(goal=goal, facing=facing, length=length), tiny_tasks.CONFIG)


@pytest.fixture(scope="module")
def rooms() -> TaskSet:
    tasks = [room("red ball"), room("red ball", 'facing = "west"'), room("black cube"), room("blue cube")]
    return TaskSet.from_tasks([*tasks, room("green ball")])


@pytest.fixture(scope="module")
def table(rooms) -> PlanTable:
    return EXPERT.plan_all(rooms)


# By direction. The ball is two steps to the north; the cube is made by a step to the east, and then two and one more.
KNOWN_RETURNS = [[10, 9, 8, 9], [0, 0, 0, 9], [9, 10, 9, 8], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_known_rooms(rooms, table):
    np.testing.assert_array_equal(table.returns, KNOWN_RETURNS)
    np.testing.assert_array_equal(table.can_occur[:, 0], [True, False, True, True, True])
    np.testing.assert_array_equal(table.is_found, [True, True, True, False, False])
    assert "no rule that could fire makes what it needs" in table.reasons[3]
    planned = []
    returns = EXPERT.best_returns(rooms, planned.append)
    np.testing.assert_array_equal(returns, np.float32([9, 9, 9, 0, 0]))
    assert returns.dtype == np.float32 and planned == [1, 2, 3, 4, 5]


def test_one_plan(rooms):
    returns = [EXPERT.plan(rooms.task(0), [direction]).return_ for direction in range(4)]
    assert returns == KNOWN_RETURNS[0]
    assert EXPERT.plan(rooms.task(0)).return_ == 10  # north, where the task leaves it to chance
    assert EXPERT.plan(rooms.task(1)).return_ == 9  # the task's own
    assert EXPERT.plan(rooms.task(2)).rules_fired == (0,)
    assert EXPERT.plan(rooms.task(3)) is None
    assert "takes 4 steps, but a trial has 3" in EXPERT.attempt(room("black cube", length=3)).reason


def test_equal_tasks_get_equal_plans(rooms, table):
    again = EXPERT.plan_all(rooms.tasks)
    np.testing.assert_array_equal(again.actions, table.actions)
    assert again.reasons == table.reasons


def test_the_policy_plays_the_plans(rooms, table):
    policy = make_expert_policy(EXPERT, jax.tree.map(lambda leaf: leaf[1:4], rooms.tasks))
    returns = evaluate(ENV, rooms.tasks, policy, jax.random.key(0)).returns
    assert (returns[0] == 0).all()  # it waits where it has no plans
    assert (returns[1] == 9).all()
    assert set(returns[2].tolist()) <= {8, 9, 10} and len(set(returns[2].tolist())) > 1
    assert (returns[3] == 0).all()


def test_bad_arguments_are_explained(tiny):
    with pytest.raises(ConfigError, match="time_limit_s is 0"):
        Expert(ENV, time_limit_s=0)
    for directions in ([4], [0, 0]):
        with pytest.raises(ConfigError, match="write 1 of 0, 1, 2, 3"):
            EXPERT.plan(tiny[0], directions)
    with pytest.raises(ConfigError, match="for another environment"):
        Expert(Env()).plan(tiny[0])
    with pytest.raises(ConfigError, match="no leading axis"):
        EXPERT.best_returns(tiny[0])
