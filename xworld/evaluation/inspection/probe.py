"""A linear probe: can what made the goal be read from an agent's memory?"""

import numpy as np

FOLDS = 5
PENALTY = 1.0  # of ridge regression, on standardised features


def probe(features: np.ndarray, labels: np.ndarray, candidates: np.ndarray, seed: int = 0) -> np.ndarray:
    """[N] bool: whether the label of each row was found from its features.

    A regression with a penalty from features to one-hot labels (linear, in closed form); of a row's candidates the one
    with the highest value is taken. Each fifth of the rows is told by what was learned from the other four.

    Args:
      features: [N, M].
      labels: [N] int.
      candidates: [N, C] int, with the label among them; 0 is none.
      seed: of the folds.
    """
    classes = np.unique(labels)
    fold = np.random.default_rng(seed).permutation(len(labels)) % FOLDS
    is_found = np.zeros(len(labels), bool)
    wanted = (labels[:, None] == classes).astype(np.float64)
    for number in range(FOLDS):
        held_out = fold == number
        if held_out.all() or not held_out.any():
            continue
        inputs = _standardised(features.astype(np.float64), ~held_out)
        seen = inputs[~held_out]
        square = seen.T @ seen + PENALTY * np.eye(seen.shape[1])
        values = inputs[held_out] @ np.linalg.solve(square, seen.T @ wanted[~held_out])
        index = np.minimum(np.searchsorted(classes, candidates[held_out]), len(classes) - 1)
        is_class = classes[index] == candidates[held_out]
        of_candidates = np.where(is_class, np.take_along_axis(values, index, axis=1), -np.inf)
        chosen = np.take_along_axis(candidates[held_out], of_candidates.argmax(1)[:, None], axis=1)[:, 0]
        is_found[held_out] = chosen == labels[held_out]
    return is_found


def chance(candidates: np.ndarray) -> float:
    """What guessing finds: the mean over rows of one in as many as there are different candidates."""
    return float(np.mean([1 / len(set(row[row > 0].tolist())) for row in candidates]))


def _standardised(features: np.ndarray, is_seen: np.ndarray) -> np.ndarray:
    """[N, M + 1] features of mean 0 and deviation 1 over the rows that are learned from, and a constant."""
    mean, deviation = features[is_seen].mean(0), features[is_seen].std(0)
    return np.concatenate([(features - mean) / np.maximum(deviation, 1e-6), np.ones((len(features), 1))], axis=1)
