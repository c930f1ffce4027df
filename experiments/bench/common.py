"""How the benchmarks measure: contestants in turn, a ratio for every round, and rows that hold their spread.

A contestant is a function without arguments that does the whole of the work once. The machine's speed changes from
one second to the next, by its clock and by what else runs; two contestants that follow each other meet nearly the same
machine. So a ratio is taken within each round, and a row holds the median of the rounds and their extremes.
"""
import time
from dataclasses import dataclass

import numpy as np

from dbn.system.progress import progress_bar


@dataclass(frozen=True)
class Sizes:
    """How much work the benchmarks do.

    Attributes
    ----------
    rounds, slow_rounds : int
        How often each contestant runs, after once that is not timed; the second where one run takes many seconds.
    n_frames, call_frames : int
        Frames in memory, and those of them that a contestant of a training row uses in one round.
    clips, clip_seconds : int, float
        Files that the frame store is built from, and their length.
    svm_train, svm_frames, svm_peer_frames : int
        Frames that the SVM is fitted to, that it decides in all rounds together, and that ``SVC.predict`` decides.
    corpus_clips : tuple of int
        Sizes of the corpora that a network is trained on; half of the clips are training songs, a fifth validation
        songs (paper §4.1).
    paper_clips : int
        Which of them is the paper's.
    pretrain_epochs, finetune_epochs : int
        Epochs of such a training run, the first of each kind not counted where there are several.
    units, batch_sizes : tuple of int
        Points of the curves of cost against the width of the layers and the size of a minibatch.
    starts : int
        Fresh processes of each kind, for the times of start-up.
    """

    rounds: int = 15
    slow_rounds: int = 5
    n_frames: int = 131_072
    call_frames: int = 32_768
    clips: int = 1000
    clip_seconds: float = 30.0
    svm_train: int = 10_000
    svm_frames: int = 387_000
    svm_peer_frames: int = 9_000
    corpus_clips: tuple = (100, 300, 1000, 3000, 10_000)
    paper_clips: int = 1000
    pretrain_epochs: int = 2
    finetune_epochs: int = 6
    units: tuple = (25, 50, 100, 200, 500, 1000)
    batch_sizes: tuple = (10, 20, 50, 128, 300, 1000, 2000)
    starts: int = 7


FULL = Sizes()

# shows that every part works; its numbers mean nothing
QUICK = Sizes(rounds=2, slow_rounds=1, n_frames=2000, call_frames=1000, clips=4, clip_seconds=2.0, svm_train=200,
              svm_frames=400, svm_peer_frames=100, corpus_clips=(4, 8), paper_clips=4, pretrain_epochs=1,
              finetune_epochs=1, units=(5,), batch_sizes=(20, 100), starts=1)


def alternate(contestants, rounds, description, clock=time.perf_counter):
    """Seconds of every contestant in every round, the contestants taking turns.

    Parameters
    ----------
    contestants : dict of str to callable
        Each is called once before the clock starts: functions are compiled, files and memory have been touched.
    rounds : int
    description : str
        Of the progress bar.
    clock : callable
        Gives the seconds; by default those that a user waits.

    Returns
    -------
    dict of str to float array [rounds]
    """
    seconds = {name: np.empty(rounds) for name in contestants}
    for number in progress_bar(description, range(-1, rounds), unit="round"):
        for name, contestant in contestants.items():
            began = clock()
            contestant()
            if number >= 0:
                seconds[name][number] = clock() - began
    return seconds


def row(work, against, values, unit, target=None, at_most=False, note=""):
    """One line of the report.

    Parameters
    ----------
    work : str
        What was done.
    against : str
        What it was measured against; "" for an absolute value.
    values : sequence of float
        One for every round.
    unit : str
        Of the values; "x" for a ratio.
    target : float, optional
        What the median should be at the least, or `at_most`.
    note : str
        What a reader must know to take the number for what it is.

    Returns
    -------
    dict
        The arguments, ``median``, ``low``, ``high`` and ``met``: whether the target is, None without one.
    """
    median = float(np.median(values))
    met = None if target is None else bool(median <= target if at_most else median >= target)
    return {"work": work, "against": against, "values": [float(value) for value in values], "median": median,
            "low": float(np.min(values)), "high": float(np.max(values)), "unit": unit, "target": target,
            "at_most": at_most, "met": met, "note": note}


def skipped(work, against, why):
    """The line of a comparison that could not be made, so that nobody takes its absence for a result."""
    return {"work": work, "against": against, "skipped": why}


def times_faster(work, seconds, ours, targets, n_items, unit, note=""):
    """Rows of one contestant against the others.

    Parameters
    ----------
    work : str
    seconds : dict of str to array [rounds]
        Of :func:`alternate`, or already divided by each contestant's own number of items.
    ours : str
        Which of them is the library.
    targets : dict of str to (float or None)
        For every peer, how many times as fast the library should be.
    n_items, unit : int, str
        How many of what a contestant works off in a round, for the rates in the note.

    Returns
    -------
    list of dict
    """
    def rate(name):
        return f"{n_items / np.median(seconds[name]):,.0f}"

    return [row(work, peer, seconds[peer] / seconds[ours], "x", target,
                note=f"{rate(ours)} against {rate(peer)} {unit}" + (f"; {note}" if note else ""))
            for peer, target in targets.items()]
