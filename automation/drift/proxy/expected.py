"""Performance that is to be expected of probabilities, without labels.

If probabilities are calibrated, a case with probability p is bad with the chance p, and what would be counted with
labels has an expectation without them (confidence-based performance estimation: Białek et al., Estimating model
performance under covariate shift without labels, 2024, arXiv:2401.08348; the library NannyML's CBPE).
"""

from __future__ import annotations

import numpy as np


def expected_auc(probability: np.ndarray) -> float | None:
    """The AUC to be expected of calibrated probabilities, shape (cases,): wins over pairs, as they are to be expected.

    None if no pair of a bad and a good case is to be expected. Outcomes are taken to be independent given the
    probabilities; a ratio of expectations stands for the expectation of the ratio, which is close for a day's cases.
    """
    bad = np.sort(probability)
    good = 1 - bad
    first, last = np.searchsorted(bad, bad, "left"), np.searchsorted(bad, bad, "right")
    below = np.concatenate([[0.0], np.cumsum(good)])
    # A case is no pair with itself; it is counted as a tie above.
    alone = bad * good
    wins = (bad * (below[first] + below[last]) / 2 - alone / 2).sum()
    pairs = bad.sum() * good.sum() - alone.sum()
    return float(wins / pairs) if pairs > 0 else None


def realised_auc(score: np.ndarray, bad: np.ndarray) -> float:
    """The chance that a bad case outranks a good one; a tie is half of one (Mann and Whitney 1947). There must be both.

    Beside `automation.evaluation.auc`, which needs milliseconds: a year has days by the hundred.
    """
    beside = np.sort(score[~bad])
    below, up_to = (np.searchsorted(beside, score[bad], side) for side in ("left", "right"))
    return float((below + up_to).sum() / (2 * len(beside) * len(below)))
