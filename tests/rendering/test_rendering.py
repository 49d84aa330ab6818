"""Pictures: what they show, and what they must not show."""

import dataclasses
import importlib
import itertools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pygame
import pytest

from xworld.base.errors import ConfigError
from xworld.core.config import EnvConfig
from xworld.core.env import Env
from xworld.core.kinds import COLOURS, DOOR_STATES, SHAPES, object_kind
from xworld.core.step.goals import goal_id
from xworld.core.step.observation import observe
from xworld.core.types import HAND, HAND_STEP, NOWHERE
from xworld.rendering import episode_frames, render, render_frame, save_animation
from xworld.rendering.drawing import canvas, sprites, tiles
from xworld.rendering.drawing.palette import PAGE
from xworld.rendering.snapshot import take_snapshot
from xworld.tasks import config_for, goal_text
from xworld.tasks.language.reading import parse

CONFIG = EnvConfig(height=7, width=9, num_agents=2, max_objects=6, max_rules=4, max_doors=3, goal_literals=2)
ENV = Env(CONFIG)
TASK = """
goal = "hold(agent0, black pyramid)"
rules = ["{rule}", "near(agent0, blue hex) -> blue star"]
hidden = {{ agent0 = {hidden}, agent1 = "none" }}
trial_length = 5
num_trials = 3
facing = ["east", "south"]
map = '''
#########
#0.a.#..#
#..b.D.1#
#~~..#+c#
#..d.##E#
#########
'''
[legend]
a = "purple ball"
b = "frozen yellow cube"
c = "red key on green floor"
d = "black star on red floor"
D = "closed blue door"
E = "locked red door"
"""
TILE = 32
VIEWER, OTHER = (1, 1), (2, 7)
BALL, CUBE = (1, 3), (2, 3)


def make_task(rule="touch(purple ball, yellow cube) -> black pyramid", hidden="[0]"):
    return parse(TASK.format(rule=rule, hidden=hidden), CONFIG)


@pytest.fixture(scope="module")
def reset():
    return jax.jit(ENV.reset)


@pytest.fixture(scope="module")
def start(reset):
    return reset(jax.random.key(0), make_task())


@pytest.fixture(scope="module")
def episode(reset):
    """States and timesteps of a whole episode of 3 trials of 5 steps."""
    task = make_task("touch(purple ball, yellow cube) -> black pyramid, black pyramid")
    first = reset(jax.random.key(0), task)
    script = jnp.array([[6, 6], [0, 6], [3, 1], [2, 2], [1, 1]] * 3)
    following = jax.jit(lambda state: jax.lax.scan(step_and_keep, state, script)[1])(first[0])
    return jax.tree.map(lambda head, tail: jnp.concatenate([head[None], tail]), first, following)


def step_and_keep(state, actions):
    state, timestep = ENV.step(state, actions)
    return state, (state, timestep)


def with_scene(state, **changes):
    return dataclasses.replace(state, scene=dataclasses.replace(state.scene, **changes))


def held_by(state, slot, agent):
    row = state.scene.object_row.at[slot].set(HAND + HAND_STEP * agent)
    return with_scene(state, object_row=row, object_column=state.scene.object_column.at[slot].set(NOWHERE))


def draw(state, **options):
    return render(ENV, state, tile_size=TILE, **{"show_view": False} | options)


def changed_cells(before, after):
    cells = (before != after).reshape(before.shape[0] // TILE, TILE, before.shape[1] // TILE, TILE * 3)
    return {tuple(cell) for cell in np.argwhere(cells.any((1, 3))).tolist()}


@pytest.mark.parametrize("tile_size", [8, 33, 64])
def test_a_picture_has_a_tile_for_every_cell(start, tile_size):
    picture = render(ENV, start[0], tile_size=tile_size)
    assert picture.shape == (7 * tile_size, 9 * tile_size, 3)
    assert picture.dtype == np.uint8
    assert (picture[6 * tile_size :] == PAGE).all()  # the last row of the configuration is void in this world


def test_equal_states_give_equal_bytes_whatever_was_drawn_before(start):
    first, frame = draw(start[0]), render_frame(ENV, *start)
    for cached in (sprites.kind_picture, sprites.agent_picture, tiles.tile_picture, canvas.write):
        cached.cache_clear()
    assert (draw(start[0]) == first).all()
    assert (render_frame(ENV, *start) == frame).all()


def test_no_window_is_opened(start):
    render_frame(ENV, *start)
    assert not pygame.display.get_init()


def test_text_that_no_font_has_is_escaped():
    pictures = [canvas.to_array(canvas.write(text, 20, (255, 255, 255))) for text in ("a\udcff\0", "a\\udcff\\x00")]
    np.testing.assert_array_equal(*pictures)


def test_all_kinds_look_different_on_black_floor_and_on_their_own():
    for size, is_own in itertools.product((32, 64), (False, True)):
        pictures = {}
        for shape, colour in itertools.product(SHAPES, COLOURS):
            kind = object_kind(shape, colour)
            cell = canvas.new_surface(size, size, (0, 0, 0))
            canvas.stamp(cell, tiles.tile_picture(16 + (kind & 15 if is_own else 6), size), 0, 0)
            floor = canvas.to_array(cell).astype(int)
            canvas.stamp(cell, sprites.kind_picture(kind, size), 0, 0)
            pictures[kind] = canvas.to_array(cell).astype(int)
            # Enough of the cell differs clearly from the floor below for the object to be seen.
            assert (np.abs(pictures[kind] - floor).max(-1) > 40).mean() > 0.06
        for one, other in itertools.combinations(pictures.values(), 2):
            assert (np.abs(one - other).max(-1) > 30).mean() > 0.03


@pytest.mark.parametrize("agent", [0, 1])
def test_turning_an_agent_changes_its_cell_only(start, agent):
    pictures = [
        draw(with_scene(start[0], agent_direction=start[0].scene.agent_direction.at[agent].set(direction)))
        for direction in range(4)
    ]
    for one, other in itertools.combinations(pictures, 2):
        assert changed_cells(one, other) == {(VIEWER, OTHER)[agent]}


@pytest.mark.parametrize("agent", [0, 1])
def test_what_an_agent_holds_is_drawn_in_its_cell(start, agent):
    empty, ball = draw(start[0]), draw(held_by(start[0], 0, agent))
    assert changed_cells(empty, ball) == {BALL, (VIEWER, OTHER)[agent]}
    cube = draw(held_by(start[0], 1, agent))
    assert changed_cells(ball, cube) == {BALL, CUBE, (VIEWER, OTHER)[agent]}


def test_frozen_objects_are_marked(start):
    thawed = with_scene(start[0], object_frozen=jnp.zeros_like(start[0].scene.object_frozen))
    assert changed_cells(draw(start[0]), draw(thawed)) == {CUBE}


def test_doors_show_their_state(start):
    pictures = [
        draw(with_scene(start[0], door_state=start[0].scene.door_state.at[0].set(state)))
        for state in range(len(DOOR_STATES))
    ]
    for one, other in itertools.combinations(pictures, 2):
        assert changed_cells(one, other) == {(2, 5)}


@pytest.mark.parametrize("see_through_walls", [False, True])
def test_bright_cells_are_those_the_agent_sees(start, see_through_walls):
    env = Env(dataclasses.replace(CONFIG, see_through_walls=see_through_walls))
    observe_jit = jax.jit(observe, static_argnums=0)
    for (row, column), direction in itertools.product([(1, 1), (2, 4), (4, 2), (2, 6)], range(4)):
        state = with_scene(
            start[0],
            agent_row=start[0].scene.agent_row.at[0].set(row),
            agent_column=start[0].scene.agent_column.at[0].set(column),
            agent_direction=start[0].scene.agent_direction.at[0].set(direction),
        )
        view = np.asarray(observe_jit(env.config, state).view[0, :, :, 0])
        seen = set()
        for view_row, view_column in np.argwhere(view).tolist():
            forward, right = CONFIG.view_size - 1 - view_row, view_column - CONFIG.view_size // 2
            south, east = [(-forward, right), (right, forward), (forward, -right), (-right, -forward)][direction]
            seen.add((row + south, column + east))
        shaded = render(env, state, tile_size=TILE)
        plain = render(env, state, tile_size=TILE, show_view=False)
        in_world = {(r, c) for r in range(6) for c in range(9)}
        assert changed_cells(shaded, plain) == in_world - seen
        assert (shaded <= plain).all()


def test_an_absent_agent_darkens_nothing(start):
    gone = with_scene(
        start[0],
        agent_row=start[0].scene.agent_row.at[1].set(NOWHERE),
        agent_column=start[0].scene.agent_column.at[1].set(NOWHERE),
    )
    assert (draw(gone, agent=1, show_view=True) == draw(gone)).all()
    assert changed_cells(draw(start[0]), draw(gone)) == {OTHER}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(
            ("touch(purple ball, yellow cube) -> black pyramid", "[0]"),
            ("see(agent0, red key) -> red hex, red hex, red hex", "[0]"),
            id="a whole rule",
        ),
        pytest.param(
            ("near(orange key, pink hex) -> white ball", '["kind: orange key"]'),
            ("near(brown star, pink hex) -> white ball", '["kind: brown star"]'),
            id="an operand",
        ),
        pytest.param(
            ("near(orange key, pink hex) -> white ball", '["kind: white ball"]'),
            ("near(orange key, pink hex) -> grey cube", '["kind: grey cube"]'),
            id="a product",
        ),
        pytest.param(
            ("touch.north(orange key, pink hex) -> white ball", '["relation: touch"]'),
            ("see(orange key, pink hex) -> white ball", '["relation: see"]'),
            id="a relation",
        ),
    ],
)
def test_what_is_hidden_is_not_shown(reset, one, other):
    states = [reset(jax.random.key(0), make_task(*task)) for task in (one, other)]

    def are_equal(**options):
        frames = [render_frame(ENV, *state, **options) for state in states]
        return (frames[0] == frames[1]).all()

    assert are_equal()
    assert not are_equal(reveal=True)
    assert not are_equal(agent=1)  # from whom nothing is hidden


def test_frames_have_one_even_size(start, episode):
    for tile_size in (None, 8, 33, 64):
        shape = render_frame(ENV, *start, tile_size=tile_size).shape
        assert shape[0] % 2 == shape[1] % 2 == 0
        last = jax.tree.map(lambda leaf: leaf[-1], episode)
        assert render_frame(ENV, *last, tile_size=tile_size, returns=[1, 2, 3], banner="Over").shape == shape


def test_a_frame_shows_reward_event_score_and_words(start):
    state, timestep = start
    variants = [
        render_frame(ENV, state),
        render_frame(ENV, state, dataclasses.replace(timestep, reward=jnp.array([1.0, 0.0]))),
        render_frame(ENV, state, dataclasses.replace(timestep, event=jnp.int32(1))),
        render_frame(ENV, state, dataclasses.replace(timestep, event=jnp.int32(2))),
        render_frame(ENV, state, returns=[2.0]),
        render_frame(ENV, state, banner="Trial 1"),
        render_frame(ENV, dataclasses.replace(state, time=jnp.uint16(3))),
        render_frame(ENV, dataclasses.replace(state, trial=jnp.uint16(1))),
        render_frame(ENV, held_by(state, 3, 0)),
        render_frame(ENV, state, agent=1),
    ]
    for one, other in itertools.combinations(variants, 2):
        assert (one != other).any()
    assert (render_frame(ENV, state, timestep) == variants[0]).all()
    # The other agent's reward is not this one's.
    other_paid = dataclasses.replace(timestep, reward=jnp.array([0.0, 1.0]))
    assert (render_frame(ENV, state, other_paid) == variants[0]).all()


def test_long_goals_and_many_rules_fit():
    config = dataclasses.replace(CONFIG, max_rules=254, goal_clauses=8)
    env = Env(config)
    task = parse(TASK.format(rule="touch.north(purple ball, yellow cube) -> black pyramid", hidden='"none"'), config)
    state, _ = jax.jit(env.reset)(jax.random.key(0), task)
    shape = render_frame(env, state).shape

    def repeat(leaf):
        return jnp.broadcast_to(leaf[:1], leaf.shape)

    rules = jax.tree.map(repeat, task.rules)
    goals = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[:, :1, :1], leaf.shape), task.goals)
    full = dataclasses.replace(state, task=dataclasses.replace(task, rules=rules, goals=goals))
    assert render_frame(env, full).shape == shape
    never = jax.tree.map(jnp.zeros_like, task.goals)
    always = dataclasses.replace(never, negated=jnp.ones_like(never.negated))
    pictures = [
        render_frame(env, dataclasses.replace(state, task=dataclasses.replace(task, goals=goals)))
        for goals in (task.goals, never, always)
    ]
    for one, other in itertools.combinations(pictures, 2):
        assert (one != other).any()


def test_an_episode_pauses_where_trials_start_and_end(episode):
    frames = list(episode_frames(ENV, *episode, tile_size=16, pause=2))
    assert len(frames) == 16 + 2 * 2 * 3
    assert {frame.shape for frame in frames} == {frames[0].shape}
    same_as_last = [(one == other).all() for one, other in itertools.pairwise(frames)]
    # start, 5 frames of a trial; end, start, 5 frames; end, start, 6 frames, end.
    assert [i for i, same in enumerate(same_as_last) if same] == [0, 7, 9, 16, 18, 26]
    plain = list(episode_frames(ENV, *episode, tile_size=16, pause=0))
    assert len(plain) == 16
    assert (plain[0] == frames[2]).all()


def test_an_episode_ends_where_it_is_over(episode):
    episode = jax.device_get(episode)
    states, timesteps = jax.tree.map(lambda leaf: np.concatenate([leaf, leaf[-1:]]), episode)
    whole = list(episode_frames(ENV, *episode, tile_size=16, pause=1))
    assert len(list(episode_frames(ENV, states, timesteps, tile_size=16, pause=1))) == len(whole)
    part = jax.tree.map(lambda leaf: leaf[:8], episode)
    assert len(list(episode_frames(ENV, *part, tile_size=16, pause=1))) == 8 + 3
    # With automatic reset the last timestep is the first of the next episode, whose state is not shown.
    states, timesteps = jax.tree.map(lambda leaf: np.concatenate([leaf[:-1], leaf[:1]]), episode)
    timesteps = dataclasses.replace(timesteps, is_last=episode[1].is_last)
    frames = list(episode_frames(ENV, states, timesteps, tile_size=16, pause=1))
    assert len(frames) == len(whole) - 1
    assert all((one == other).all() for one, other in zip(frames[:-1], whole[:-2], strict=True))


def test_scores_add_up(episode):
    """The frames of a run with rewards are those of `render_frame` with the returns so far."""
    states, timesteps = episode
    reward = jnp.zeros_like(timesteps.reward).at[jnp.array([2, 3, 5, 6, 10, 15]), 0].set(1.0)
    timesteps = dataclasses.replace(timesteps, reward=reward, event=jnp.zeros_like(timesteps.event))
    frames = list(episode_frames(ENV, states, timesteps, tile_size=16, pause=0))
    for t, returns in ((3, [2.0]), (5, [3.0, 0.0]), (6, [3.0, 1.0]), (12, [3.0, 2.0, 0.0]), (15, [3.0, 2.0, 1.0])):
        state = jax.tree.map(lambda leaf, t=t: leaf[t], states)
        is_paid = bool(reward[t, 0]) and t % 5 != 0 or t == 15
        timestep = dataclasses.replace(
            jax.tree.map(lambda leaf, t=t: leaf[t], timesteps),
            reward=jnp.array([float(is_paid), 0.0]),
            event=jnp.int32(0),
        )
        assert (frames[t] == render_frame(ENV, state, timestep, tile_size=16, returns=returns)).all()


def test_an_episode_becomes_a_small_gif(tmp_path, episode):
    path = save_animation(episode_frames(ENV, *episode, tile_size=32), tmp_path / "episode.gif")
    assert path.stat().st_size < 500_000


def test_states_that_cannot_be_drawn(start, episode):
    state, timestep = start
    for drawn in (render, render_frame):
        with pytest.raises(ConfigError, match="tile_size is 4; write a whole number from 8 to 256"):
            drawn(ENV, state, tile_size=4)
        for size in (32.5, "32"):
            with pytest.raises(ConfigError, match=f"tile_size is {size!r}; write a whole number"):
                drawn(ENV, state, tile_size=size)
        with pytest.raises(ConfigError, match=r"agent is 0\.5; write a whole number"):
            drawn(ENV, state, agent=0.5)
        with pytest.raises(ConfigError, match="agent is 2; write a whole number from 0 to 1"):
            drawn(ENV, state, agent=2)
        with pytest.raises(ConfigError, match=r"a batch of shape \(16,\)"):
            drawn(ENV, episode[0])
        with pytest.raises(ConfigError, match=r"The state's grid is \(7, 9\), the environment's is \(13, 13\)"):
            drawn(Env(), state)
    with pytest.raises(ConfigError, match="stacked over time"):
        episode_frames(ENV, state, timestep)
    with pytest.raises(ConfigError, match="stacked over time"):
        episode_frames(ENV, episode[0], jax.tree.map(lambda leaf: leaf[1:], episode[1]))
    with pytest.raises(ConfigError, match="There are no states"):
        episode_frames(ENV, *jax.tree.map(lambda leaf: leaf[:0], episode))
    with pytest.raises(ConfigError, match="pause is -1"):
        episode_frames(ENV, *episode, pause=-1)
    with pytest.raises(ConfigError, match=r"pause is 1\.5; write a whole number"):
        episode_frames(ENV, *episode, pause=1.5)
    num_trials = int(episode[0].task.num_trials[0])
    for trial in (num_trials, -1, 0.5):
        with pytest.raises(ConfigError, match=rf"in trials is {trial}; write .* from 0 to {num_trials - 1}"):
            episode_frames(ENV, *episode, trials=[0, trial])
    with pytest.raises(ConfigError, match="tile_size is 300"):
        episode_frames(ENV, *episode, tile_size=300)
    with pytest.raises(ConfigError, match="agent is -1"):
        episode_frames(ENV, *episode, agent=-1)


@pytest.mark.parametrize("package", ["pygame", "imageio_ffmpeg", "PIL"])
def test_missing_packages_are_named(monkeypatch, package):
    for name in [name for name in sys.modules if name.startswith("xworld.rendering")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=rf"{package}.*pip install 'xworld\[play\]'"):
        importlib.import_module("xworld.rendering")


CHANGING = """
goal = ["hold(agent, red ball)", "near(agent, red ball)"]
rules = []
trial_length = 2
num_trials = 4
facing = "east"
map = '''
0b.
'''
[legend]
b = "red ball"
"""


def test_the_panel_shows_the_goal_of_the_trial():
    config = config_for(CHANGING)
    env, task = Env(config), parse(CHANGING, config)
    step = jax.jit(env.step)
    seed = next(seed for seed in range(100) if [int(goal_id(task, seed, trial)) for trial in range(2)] == [0, 1])
    state, _ = jax.jit(env.reset_from_seed)(jnp.uint32(seed), task)
    holding, _ = step(state, jnp.array([3]))
    after, timestep = step(holding, jnp.array([6]))
    snapshots = [take_snapshot(env, state, 0) for state in (state, holding, after)]
    assert [goal_text(snapshot.goal) for snapshot in snapshots] == [
        *["hold(agent, red ball)"] * 2,
        "near(agent, red ball)",
    ]
    assert all(snapshot.num_goals == 2 for snapshot in snapshots)
    # The reward that ended the first trial was for its own goal: that of the second does not glow.
    assert timestep.reward[0] == 1 and timestep.is_trial_first
    np.testing.assert_array_equal(render_frame(env, after, timestep), render_frame(env, after))
    once = dataclasses.replace(timestep, is_trial_first=np.bool_(False))
    assert not np.array_equal(render_frame(env, after, once), render_frame(env, after))
    # Below the heading, panels of one state differ where the goals do.
    other = dataclasses.replace(state, seed=jnp.uint32(next(n for n in range(100) if int(goal_id(task, n, 0)) == 1)))
    assert not np.array_equal(render_frame(env, state), render_frame(env, other))
