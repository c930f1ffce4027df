"""Simulate repeated splits on which two classifiers are equally good: how often tests and intervals are wrong.

    python -m experiments.bench.statistics

The design is that of ``--repeats 10`` on 100 songs: 10 splits, each with 3 test songs of each of 10 classes. A song is
labelled right with a chance of its own, drawn anew for each classifier from the same Beta distribution; its variance
says how unequally difficult the songs are. A test at 5 % should raise a false alarm in at most 6 of 100 such
experiments, and a 95 % interval should hold the mean chance in 93 to 97 of 100.
"""
import argparse

import numpy as np
from scipy.special import ndtri
from scipy.stats import norm

from dbn.evaluation.stats import (bootstrap_interval, corrected_resampled_t, mcnemar_exact, sign_flip_test,
                                  sums_by_group, wilson_interval)
from experiments.steps.options import run_script
from experiments.steps.reporting import markdown_table

N_CLASSES, SONGS_A_CLASS, TRAIN_SONGS, TEST_SONGS, N_SPLITS = 10, 10, 50, 30, 10
ACCURACY = 0.7
# the Beta distribution's sum of parameters, c: the variance of a song's chance is p (1 - p) / (c + 1)
DIFFICULTIES = {"equal": np.inf, "unequal": 2.0, "very unequal": 0.2}
TESTS = ("McNemar, pooled", "sign flips", "resampled t")
INTERVALS = ("Wilson, pooled", "bootstrap")


def main(argv=None):
    """Simulate all difficulties and print the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments.bench.statistics", description=__doc__.split("\n")[0],
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--trials", type=int, default=4000, help="experiments a line of the table")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation")
    options = parser.parse_args(argv)
    rows = []
    for split_sd in (0.0, 0.02, 0.05):
        for name, concentration in DIFFICULTIES.items():
            rates = simulate(concentration, options.trials, options.seed, split_sd)
            rows.append([name, f"{variance(concentration):.3f}", f"{split_sd:.2f}",
                         *(f"{rates[column]:.1%}" for column in (*TESTS, *INTERVALS))])
    print(f"{options.trials} experiments a line, seed {options.seed}, accuracy {ACCURACY}. \"Pooled\" takes every "
          "decision for a song of its own.\n")
    print(markdown_table(["songs' difficulty", "variance", "sd of a split", *(f"false alarms: {x}" for x in TESTS),
                          *(f"coverage: {x}" for x in INTERVALS)], rows))


def variance(concentration):
    """Variance of the songs' chances of being labelled right."""
    return ACCURACY * (1 - ACCURACY) / (concentration + 1)


def simulate(concentration, n_trials, seed, split_sd=0.0, n_resamples=1000):
    """Repeat the experiment and count.

    Parameters
    ----------
    concentration : float
        One of :data:`DIFFICULTIES`.
    n_trials : int
    seed : int
    split_sd : float
        Standard deviation of a split's expected accuracy: a classifier may train well or badly on a split, which all
        its test songs share.
    n_resamples : int
        Of each bootstrap.

    Returns
    -------
    dict of str to float
        For each of :data:`TESTS` the share of false alarms at 5 %, for each of :data:`INTERVALS` the share of 95 %
        intervals that hold the mean chance.
    """
    rng = np.random.default_rng(seed)
    alarms, covered = np.zeros(len(TESTS)), np.zeros(len(INTERVALS))
    for _ in range(n_trials):
        is_test, correct = draw_decisions(rng, concentration, split_sd)
        songs = np.nonzero(is_test)[1]
        counts = sums_by_group(songs, np.ones(len(songs), dtype=bool))
        right = [sums_by_group(songs, decisions[is_test]) for decisions in correct]
        accuracies = (correct & is_test).sum(axis=2) / TEST_SONGS
        p_values = [mcnemar_exact(*(decisions[is_test] for decisions in correct)), sign_flip_test(right[0] - right[1]),
                    corrected_resampled_t(accuracies[0] - accuracies[1], TRAIN_SONGS, TEST_SONGS)]
        alarms += [p is not None and p <= 0.05 for p in p_values]
        for sums in right:
            intervals = wilson_interval(sums.sum(), counts.sum()), bootstrap_interval(sums, counts,
                                                                                      n_resamples=n_resamples)
            covered += [low <= ACCURACY <= high for low, high in intervals]
    return dict(zip((*TESTS, *INTERVALS), [*(alarms / n_trials).tolist(), *(covered / (2 * n_trials)).tolist()]))


def draw_decisions(rng, concentration, split_sd):
    """Which songs each split tests, bool [n_splits, n_songs], and which each classifier gets right, [2, ...]."""
    n_songs = N_CLASSES * SONGS_A_CLASS
    order = rng.random((N_SPLITS, N_CLASSES, SONGS_A_CLASS)).argsort(axis=2)
    is_test = (order < TEST_SONGS // N_CLASSES).reshape(N_SPLITS, n_songs)
    chances = np.full((2, 1, n_songs), ACCURACY)
    if np.isfinite(concentration):
        chances = rng.beta(concentration * ACCURACY, concentration * (1 - ACCURACY), chances.shape)
    # a standard normal number in two parts: every song keeps its chance, and those of a split go up and down together
    shared = split_sd / norm.pdf(ndtri(ACCURACY))
    luck = (shared * rng.standard_normal((2, N_SPLITS, 1))
            + np.sqrt(1 - shared ** 2) * rng.standard_normal((2, N_SPLITS, n_songs)))
    return is_test, luck < ndtri(chances)


if __name__ == "__main__":
    run_script(main)
