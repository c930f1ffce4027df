"""Intervals and tests of rows: which unit, which method, what stands where a number does not exist."""
import json

import numpy as np
import pytest

from dbn.evaluation.stats import (accuracy_interval, corrected_resampled_t, mcnemar_exact, sign_flip_test,
                                  wilson_interval)
from experiments.steps.judging import Judge, SplitSongs, interval_text, judged_text, p_values_text, with_holm
from experiments.steps.reporting import range_text

SONGS = [f"song {i}" for i in range(8)]
UNKNOWN = dict.fromkeys(SONGS, "")
KNOWN = {name: f"artist {i // 2}" for i, name in enumerate(SONGS)}
# songs 2 to 4 are decided twice
TWICE = [SplitSongs(0, tuple(SONGS[:5]), 10), SplitSongs(1, tuple(SONGS[2:7]), 10)]
OURS = [np.array([True, True, True, True, False]), np.array([True, True, False, False, True])]
MFCCS = [np.array([True, False, True, False, False]), np.array([True, False, False, True, True])]


def test_one_split():
    judge = Judge(TWICE[:1], KNOWN)
    row = judge.row("Layer 1", OURS[:1], 0.8) | judge.against_mfcc(OURS[:1], MFCCS[:1])
    assert row == {"name": "Layer 1", "accuracy": 0.8, "ci95": list(wilson_interval(4, 5)), "ci95_method": "Wilson",
                   "n_test": 5, "n_songs": 5, "paper": 0.8, "p_vs_mfcc": mcnemar_exact(OURS[0], MFCCS[0]),
                   "p_vs_mfcc_method": "McNemar, exact", "p_resampled_t": None}
    assert judge.as_json({})["judged"]["unit"] == "songs" and judge.as_json({})["artists"] is None


@pytest.mark.parametrize("artists, unit, differences", [
    (UNKNOWN, "songs", [0, 1, 0, 2, 0, -1, 0]), (KNOWN, "artists", [1, 2, -1, 0]),
    (KNOWN | {"song 7": ""}, "artists", [1, 2, -1, 0]), (KNOWN | {"song 3": ""}, "songs", [0, 1, 0, 2, 0, -1, 0])])
def test_two_splits(artists, unit, differences):
    """Artists are the unit where those of all test songs are known; song 7 is in no test set."""
    judge = Judge(TWICE, artists)
    row = judge.row("Layer 1", OURS) | judge.against_mfcc(OURS, MFCCS)
    assert (row["accuracy"], row["n_test"], row["n_songs"]) == (0.7, 10, 7)
    assert row["p_vs_mfcc"] == sign_flip_test(differences)
    assert row["p_resampled_t"] == corrected_resampled_t([0.4, 0.0], 10, 5)
    groups = [artists[name] if unit == "artists" else name for split in TWICE for name in split.test]
    assert row["ci95"] == list(accuracy_interval(np.concatenate(OURS), groups))
    assert (row["ci95_method"], row["p_vs_mfcc_method"]) == (f"bootstrap over {unit}", f"sign flips over {unit}")
    kept = judge.as_json({"Layer 1": OURS, "MFCCs": MFCCS})
    assert kept["judged"] == {"unit": unit, "n_units": len(set(groups)), "n_decisions": 10, "n_songs": 7,
                              "one_split": False}
    assert kept["test_songs"][1] == {"seed": 1, "n_train": 10, "songs": SONGS[2:7],
                                     "correct": {"Layer 1": "11001", "MFCCs": "10011"}}


def test_seeds_of_one_split_have_no_resampled_t():
    judge = Judge([TWICE[0], SplitSongs(1, tuple(SONGS[:5]), 10)], UNKNOWN)
    row = judge.row("Layer 1", OURS) | judge.against_mfcc(OURS, MFCCS)
    assert row["p_resampled_t"] is None and row["n_songs"] == 5
    result = {"repeats": 2, "judged": judge.as_json({})["judged"]}
    assert "10 decisions on 5 different test songs, with" in judged_text(result)
    assert "There is no resampled t" in p_values_text(result)


def test_songs_of_one_artist_have_no_interval():
    row = Judge(TWICE, dict.fromkeys(SONGS, "somebody")).row("Layer 1", OURS)
    assert row["ci95"] is None and interval_text(row) == "0.700"
    json.dumps(row, allow_nan=False)


def test_holm_among_rows():
    rows = [{"p": None}, {"p": 0.01}, {"p": 0.04}, {"p": 0.03, "C": 1}]
    assert list(with_holm(rows, "p", "holm")[-1]) == ["p", "holm", "C"]
    assert [row["holm"] for row in with_holm(rows, "p", "holm")] == [None, *map(pytest.approx, (0.03, 0.06, 0.06))]


@pytest.mark.parametrize("values, text", [([1.0, 10.0, 1.0], "1–10"), ([0.05, 0.05], "0.05"), (0.00075, "0.00075")])
def test_ranges(values, text):
    assert range_text(values) == text
