"""Fits of scores along an axis: a power law with its interval, its test between numbers of trials, and its rival.

AdA draws -log(1 - score) over log x and sees lines, without a fit. Here y = 1 - exp(-a) x^-b is fitted, by least
squares of -log(1 - y) on log x over points and seeds; intervals are over tasks and seeds.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.special import ndtr, ndtri

from xworld.base.errors import ConfigError
from xworld.evaluation import Scores
from xworld.evaluation.report.look import BLUE, ORANGE, add_axes, blank_figure, write_title
from xworld.evaluation.scores.statistics import Estimate, jackknife, t_quantile
from xworld.evaluation.scores.summary import STATISTIC_NAMES, STATISTICS, as_json

FITTED = ("mean", "median", "percentile_20")  # of STATISTICS, over tasks
DRAWN = "mean"  # of these: the one that is not at 0 where most tasks are
TRAINED_ON, HELD_OUT = "pool_score", "held_out_score"  # scores of a run by task, whose means' difference is a gap
MOST = 0.999  # a score that counts, so that its logarithm does
_FLOOR = 0.01  # up to which a statistic says nothing of how scores grow
_EXPONENTS = np.linspace(0.01, 4.0, 400)  # that the shapes are tried with
_NUM_DRAWS = 1000


@dataclass(frozen=True)
class Line:
    """-log(1 - y) = intercept + slope * log(x), with the 95 % interval of the slope."""

    intercept: float
    slope: float
    low: float  # NaN where there is one seed, so that nothing is known of others
    high: float


def to_line(scores: np.ndarray) -> np.ndarray:
    """[...] -log(1 - score), of scores up to `MOST`: a power law is a line in it."""
    return -np.log1p(-np.minimum(scores, MOST))


def fit_line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Intercept and slope of -log(1 - y) over log(x), by least squares.

    Args:
      x: [n], above 0; at least two that differ.
      y: [n] scores.

    Raises:
      ConfigError: fewer than two different x.
    """
    if len(np.unique(x)) < 2:
        raise ConfigError("A line needs at least two different points on its axis. Run more arms.")
    at = np.log(x)
    slope = np.cov(at, to_line(y), bias=True)[0, 1] / at.var()
    return float(to_line(y).mean() - slope * at.mean()), float(slope)


def fit_scores(x: Sequence[float], scores: Sequence[np.ndarray], statistic: str, seed: int = 0) -> Line:
    """The line through a statistic of scores at points of an axis, and the interval of its slope.

    Args:
      x: [n] points.
      scores: of each point [num_seeds, num_tasks], the same tasks at all of them.
      statistic: over tasks, one of `FITTED`.
      seed: of the bootstrap.

    Raises:
      ConfigError: fewer than two points, or tasks that are not the same.
    """
    intercept, slope = _fit(x, scores, statistic)
    half = _half_width(scores, lambda drawn: _fit(x, drawn, statistic)[1], seed)
    return Line(intercept, slope, slope - half, slope + half)


def compare_slopes(
    x: Sequence[float], first: Sequence[np.ndarray], last: Sequence[np.ndarray], statistic: str
) -> dict[str, float] | None:
    """Is the slope of `last` scores, of many trials, above that of `first`, of one? None if a point has one seed.

    The difference with its 95 % interval, paired by task and seed, and "p", how likely so large a difference is by
    chance if there is none: one-sided, of a normal distribution as wide as the interval.
    """

    def difference(points: Sequence[np.ndarray]) -> float:
        one, other = (_fit(x, [of_point[..., place] for of_point in points], statistic)[1] for place in (0, 1))
        return other - one

    both = [np.stack(pair, axis=-1) for pair in zip(first, last, strict=True)]
    value, half = difference(both), _half_width(both, difference)
    if np.isnan(half):
        return None
    p = float(ndtr(-value / half * ndtri(0.975))) if half > 0 else float(value <= 0)
    return {"value": value, "low": value - half, "high": value + half, "p": p}


def _half_width(
    scores: Sequence[np.ndarray], value_of: Callable[[Sequence[np.ndarray]], float], seed: int = 0
) -> float:
    """Half the 95 % interval of a number that is made of scores at points; NaN if a point has one seed.

    As in `contrast` each source of chance takes its own t:

    half width^2 = sum over points of t(num_seeds - 1)^2 A + t(num_tasks - 1)^2 B

    with A from the jackknife over a point's seeds, and B from the bootstrap over tasks, drawn for all points alike.

    Args:
      scores: of each point [num_seeds, num_tasks, ...], the same tasks at all of them.
      value_of: such lists.
      seed: of the bootstrap.
    """
    num_tasks = {of_point.shape[1] for of_point in scores}
    if len(num_tasks) > 1:
        raise ConfigError(f"The points have {sorted(num_tasks)} tasks. Play the same tasks at all of them.")
    if min(len(of_point) for of_point in scores) < 2:
        return float("nan")
    (number,), of_seeds = num_tasks, 0.0
    for place, of_point in enumerate(scores):
        left = np.array(
            [
                value_of([*scores[:place], np.delete(of_point, one, axis=0), *scores[place + 1 :]])
                for one in range(len(of_point))
            ]
        )
        of_seeds += jackknife(left)
    generator = np.random.default_rng(seed)
    drawn = (generator.integers(number, size=number) for _ in range(_NUM_DRAWS))
    of_tasks = float(np.var([value_of([of_point[:, tasks] for of_point in scores]) for tasks in drawn]))
    return float(np.sqrt(of_seeds + t_quantile(number - 1) ** 2 * of_tasks))


def compare_shapes(x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Power law y = 1 - A x^-b against saturation y = c - A x^-b, by Akaike's criterion for few points (AICc).

    Least squares of y, over exponents b from 0.01 to 4; x is in units of the smallest.

    Args:
      x: [n] above 0.
      y: [n] scores, of all points and seeds.

    Returns:
      Of each shape its parameters and "aic", lower is better; and "ceiling", c of the saturation. "aic" is infinite
      where there are too few points for it.
    """
    power, saturation = _least(x, y, has_ceiling=False), _least(x, y, has_ceiling=True)
    return {"power": power, "saturation": saturation}


def _fit(x: Sequence[float], scores: Sequence[np.ndarray], statistic: str) -> tuple[float, float]:
    at = np.concatenate([np.full(len(of_point), value, np.float64) for value, of_point in zip(x, scores, strict=True)])
    return fit_line(at, np.concatenate([over_tasks(of_point, statistic) for of_point in scores]))


def over_tasks(scores: np.ndarray, statistic: str) -> np.ndarray:
    """[num_seeds] one of `FITTED` of [num_seeds, num_tasks] scores."""
    return STATISTICS[statistic](scores)


def _least(x: np.ndarray, y: np.ndarray, *, has_ceiling: bool) -> Mapping[str, float]:
    """The parameters with the least squares, and the criterion."""
    best: dict[str, float] = {"error": np.inf}
    for exponent in _EXPONENTS:
        falling = (x / x.min()) ** -exponent
        if has_ceiling:
            columns = np.stack([np.ones_like(falling), -falling], axis=1)
            (ceiling, size), *_ = np.linalg.lstsq(columns, y, rcond=None)
        else:
            ceiling, size = 1.0, float(((1 - y) * falling).sum() / (falling**2).sum())
        error = float(np.square(ceiling - size * falling - y).sum())
        if error < best["error"]:
            best = {"ceiling": float(ceiling), "size": float(size), "exponent": float(exponent), "error": error}
    return best | {"aic": akaike(best["error"], len(y), 4 if has_ceiling else 3)}


def akaike(error: float, num_points: int, num_parameters: int) -> float:
    """AICc of a least-squares fit, the noise's variance among its parameters; infinite for too few points.

    Args:
      error: sum of squares.
      num_points: n.
      num_parameters: k; n has to be above k + 1.
    """
    left = num_points - num_parameters - 1
    if left <= 0:
        return float("inf")
    fitted = num_points * np.log(max(error, 1e-12) / num_points)
    return float(fitted + 2 * num_parameters + 2 * num_parameters * (num_parameters + 1) / left)


def fit_runs(
    scores: Scores, runs: Sequence[Mapping[str, Any]], by_task: Sequence[Mapping[str, Sequence[float]]], along: str
) -> dict[str, Any] | None:
    """The fits of one family, as JSON types; None if fewer than two different points say where they are.

    Under "points", of each arm where it is and the statistics of each seed; under "lines", by statistic and number of
    trials (the fewest and the most) intercept and slope; "test" of the slopes; "shapes" of the most trials' means.
    "at_floor" has statistics that are next to 0 at most of the points. An arm whose runs have scores on tasks that they
    were trained on, and on held-out ones, has their difference as its "gap", with its interval.

    Args:
      scores: of the family.
      runs: what `write_report` says of each run, in the order of the scores' rows.
      by_task: of each run its `Outcome.by_task`.
      along: the number that says where a run is.
    """
    of_arms: dict[str, list[Mapping[str, Any]]] = {}
    own: dict[str, list[Mapping[str, Sequence[float]]]] = {}
    for run, of_run in zip(runs, by_task, strict=True):
        of_arms.setdefault(run["arm"], []).append(run["numbers"])
        own.setdefault(run["arm"], []).append(of_run)
    numbers = sorted({scores.num_trials[0], scores.num_trials[-1]})
    is_scored = np.logical_and.reduce([scores.is_scored(k) for k in numbers])
    last = {
        arm: {k: scores.score(arm, k)[:, is_scored, -1] for k in numbers}  # [num_seeds, num_tasks]
        for arm in of_arms
    }
    points = [_point(arm, of_arm, last[arm], along) | _gap(own[arm]) for arm, of_arm in of_arms.items()]
    fitted = [point for point in points if point["at"] is not None]
    x = [point["at"] for point in fitted]
    if len(set(x)) < 2:
        return None
    of_fitted = {k: [last[point["arm"]][k] for point in fitted] for k in numbers}
    lines, tests = {}, {}
    for statistic in FITTED:
        lines[statistic] = {str(k): finite(asdict(fit_scores(x, of_fitted[k], statistic))) for k in numbers}
        if len(numbers) > 1:
            found = compare_slopes(x, of_fitted[numbers[0]], of_fitted[numbers[-1]], statistic)
            tests[statistic] = None if found is None else finite(found)
    most = numbers[-1]
    at = np.concatenate([np.full(len(of_point), where) for where, of_point in zip(x, of_fitted[most], strict=True)])
    drawn = np.concatenate([over_tasks(of_point, DRAWN) for of_point in of_fitted[most]])
    shapes = {name: finite(shape) for name, shape in compare_shapes(at, drawn).items()}
    low = [name for name in FITTED if np.median([over_tasks(one, name).mean() for one in of_fitted[most]]) < _FLOOR]
    return {"along": along, "points": points, "lines": lines, "test": tests, "shapes": shapes, "at_floor": low}


def estimate_gap(trained_on: Sequence[np.ndarray], held_out: np.ndarray) -> Estimate:
    """Mean score on tasks that were trained on minus that on held-out ones, with its 95 % interval.

    Each seed is trained on tasks of its own, all play the same held-out ones. As in `estimate` each source of chance
    takes its own t. With several seeds the chance of which tasks were trained on is in the variance of the seeds' gaps:

    half width^2 = t(num_seeds - 1)^2 A + t(num_tasks - 1)^2 B

    with A the variance of the seeds' gaps over num_seeds, and B that of the held-out tasks' means over num_tasks; with
    one seed, the variance of its own tasks' scores over their number in A's place, so that it says nothing of others.

    Args:
      trained_on: of each seed [n] scores.
      held_out: [num_seeds, num_tasks] scores.
    """
    gaps = np.array([scores.mean() for scores in trained_on]) - held_out.mean(axis=1)
    square = _of_mean(held_out.mean(axis=0)) + _of_mean(gaps if len(gaps) > 1 else trained_on[0])
    return Estimate(gaps.mean(), gaps.mean() - np.sqrt(square), gaps.mean() + np.sqrt(square))


def _of_mean(values: np.ndarray) -> float:
    """The square of half the 95 % interval of the mean of [n] values."""
    return float(t_quantile(len(values) - 1) ** 2 * values.var(ddof=1) / len(values))


def _point(
    arm: str, of_runs: Sequence[Mapping[str, Any]], last: Mapping[int, np.ndarray], along: str
) -> dict[str, Any]:
    """Where an arm is, and what its seeds score; `last` has [num_seeds, num_tasks] scores by number of trials."""
    places = [numbers[along] for numbers in of_runs if along in numbers]
    point: dict[str, Any] = {"arm": arm, "at": float(np.mean(places)) if len(places) == len(of_runs) else None}
    point["seeds"] = {
        statistic: {str(k): over_tasks(of_k, statistic).round(4).tolist() for k, of_k in last.items()}
        for statistic in FITTED
    }
    return point


def _gap(by_task: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, Any]:
    """The gap of an arm whose runs have scores on tasks that they were trained on; else nothing."""
    if not all(TRAINED_ON in of_run for of_run in by_task):
        return {}
    trained_on, held_out = ([np.array(of_run[name]) for of_run in by_task] for name in (TRAINED_ON, HELD_OUT))
    return {"gap": as_json(estimate_gap(trained_on, np.stack(held_out)))}


def finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """Numbers that JSON has; None for those that it has not."""
    return {name: round(value, 6) if np.isfinite(value) else None for name, value in values.items()}


def describe_fit(fit: Mapping[str, Any]) -> str:
    """A paragraph of HTML about the fits of a family."""
    words = []
    for statistic, of_k in fit["lines"].items():
        if statistic in fit["at_floor"]:
            words.append(f"The {STATISTIC_NAMES[statistic]} is at the floor: below {_FLOOR} at most points.")
            continue
        slopes = "; ".join(f"{k} trials: {_interval(line['slope'], line)}" for k, line in of_k.items())
        words.append(f"Slope of -log(1 - {STATISTIC_NAMES[statistic]}) over log x: {slopes}.")
        test = fit["test"].get(statistic)
        if test is not None:
            words.append(
                f"The slope of most trials minus that of fewest: {_interval(test['value'], test)}, p = {test['p']:.3f}."
            )
    if next(iter(next(iter(fit["lines"].values())).values()))["low"] is None:
        words.append("One seed: there is no interval. Run more seeds.")
    aic = {name: shape["aic"] for name, shape in fit["shapes"].items()}
    if None in aic.values():
        words.append("Too few points to tell a power law from saturation.")
    else:
        better = min(aic, key=lambda name: aic[name])
        words.append(f"AICc: power law {aic['power']:.1f}, saturation {aic['saturation']:.1f}; {better} is better.")
    gaps = [
        f"{point['arm']} {_interval(point['gap']['value'], point['gap'])}" for point in fit["points"] if "gap" in point
    ]
    if gaps:
        words.append(f"Score on tasks trained on minus held-out score: {', '.join(gaps)}.")
    return f"<p>{html.escape(' '.join(words))}</p>"


def _interval(value: float, of: Mapping[str, float | None]) -> str:
    return f"{value:.3f}" + ("" if of["low"] is None else f" ({of['low']:.3f} to {of['high']:.3f})")


def draw_fits(content: Mapping[str, Any]) -> Figure:
    """Means of seeds and the fitted lines, fewest and most trials: a panel for each family that was fitted."""
    families = {name: of_family["fit"] for name, of_family in content["families"].items() if "fit" in of_family}
    figure = blank_figure(6.4, 4.4 * len(families))
    for row, (family, fit) in enumerate(families.items()):
        axes = add_axes(figure, (0.12, 1 - (row + 1 - 0.16) / len(families), 0.6, 0.64 / len(families)))
        points = [point for point in fit["points"] if point["at"] is not None]
        x = np.array([point["at"] for point in points])
        along = np.geomspace(x.min(), x.max(), 50)
        for colour, (k, line) in zip((ORANGE, BLUE), fit["lines"][DRAWN].items(), strict=False):
            for point in points:
                means = np.array(point["seeds"][DRAWN][k])
                axes.plot(np.full(len(means), point["at"]), to_line(means), "o", color=colour, alpha=0.7)
            label = f"{k} trial{'s' * (k != '1')}: slope {line['slope']:.2f}"
            axes.plot(along, line["intercept"] + line["slope"] * np.log(along), color=colour, label=label)
        axes.set_xscale("log")
        axes.set_xlabel(fit["along"].replace("_", " "))
        axes.set_ylabel("-log(1 - mean score)")
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
        write_title(axes, family, "a point for each seed")
    return figure
