"""How the decisions on test songs become an accuracy with its interval, and a test against another row.

On one split every song is decided once: Wilson's interval, McNemar's exact test. On several splits of the same songs
the decisions on one song are not independent: a bootstrap over songs and flips of the signs of the songs' differences,
or over artists where the artist of every test song is known. The corrected resampled t over the splits stands beside.
"""
from dataclasses import dataclass

import numpy as np

from dbn.evaluation.stats import (accuracy_interval, bootstrap_interval, corrected_resampled_t, holm, mcnemar_exact,
                                  sign_flip_test, sums_by_group, wilson_interval)


@dataclass(frozen=True)
class SplitSongs:
    """The songs of one seed that could be read: names of the test songs in their order, number of training songs."""

    seed: int
    test: tuple
    n_train: int


class Judge:
    """What all rows of a table share: which songs were decided in which split, and by whom they are.

    Wherever decisions are passed, they are a list with a bool array [n_test] for each split: which of its test songs
    were labelled right.

    Parameters
    ----------
    splits : list of SplitSongs
    artists : dict of str to str
        The artist of every song, "" where it is unknown.

    Attributes
    ----------
    unit : str
        What is resampled and whose signs are flipped: "artists" on several splits if all are known, else "songs".
    groups : list of str
        The song, or the artist, of every decision, split after split.
    """

    def __init__(self, splits, artists):
        self.splits = splits
        self.songs = [name for split in splits for name in split.test]
        self.artists = {name: artists[name] for name in sorted(set(self.songs))}
        self.unit = "artists" if self.is_repeated and all(self.artists.values()) else "songs"
        self.groups = [self.artists[name] for name in self.songs] if self.unit == "artists" else self.songs

    @classmethod
    def of_runs(cls, runs):
        """The judge of some :class:`experiments.steps.pipeline.Run` of one corpus."""
        splits = [SplitSongs(run.seed, run.songs("test").names, run.songs("train").n_segments) for run in runs]
        return cls(splits, {track.name: track.artist for track in runs[0].corpora.corpus.tracks})

    @property
    def is_repeated(self):
        """Whether there are several splits, or several seeds of one."""
        return len(self.splits) > 1

    @property
    def has_one_split(self):
        """Whether all seeds have the same test songs."""
        return len({frozenset(split.test) for split in self.splits}) == 1

    def row(self, name, correct, paper=None):
        """The part of a row that every accuracy has.

        Parameters
        ----------
        name : str
            The paper's name of the row.
        correct : list of bool array [n_test]
        paper : float, optional
            The paper's accuracy.

        Returns
        -------
        dict
            ``name``, ``accuracy``, ``ci95`` (or None, if all songs are of one artist), ``ci95_method``, ``n_test``
            (decisions), ``n_songs`` (different ones), ``paper``.
        """
        pooled = np.concatenate(correct)
        if self.is_repeated:
            interval, method = accuracy_interval(pooled, self.groups), f"bootstrap over {self.unit}"
        else:
            interval, method = wilson_interval(int(pooled.sum()), len(pooled)), "Wilson"
        return {"name": name, "accuracy": float(pooled.mean()), "ci95": interval and list(interval),
                "ci95_method": method, "n_test": len(pooled), "n_songs": len(self.artists), "paper": paper}

    def against_mfcc(self, correct, mfcc_correct):
        """The paired tests of a row against the MFCCs, on the same songs.

        Returns
        -------
        dict
            ``p_vs_mfcc``, ``p_vs_mfcc_method``; ``p_resampled_t``, None on one split or where it has no value.
        """
        p, method, resampled_t = self.paired_test(correct, mfcc_correct)
        return {"p_vs_mfcc": p, "p_vs_mfcc_method": method, "p_resampled_t": resampled_t}

    def paired_test(self, correct, others):
        """How likely so large a difference on the same songs is by chance.

        Returns
        -------
        p : float
        method : str
        resampled_t : float or None
            None on one split or where it has no value.
        """
        ours, theirs = np.concatenate(correct), np.concatenate(others)
        if not self.is_repeated:
            return mcnemar_exact(ours, theirs), "McNemar, exact", None
        differences = sums_by_group(self.groups, ours.astype(int) - theirs)
        return sign_flip_test(differences), f"sign flips over {self.unit}", self._resampled_t(correct, others)

    def difference(self, correct, others):
        """Accuracy minus that of others on the same songs, and its 95 % interval.

        Returns
        -------
        float
        (low, high) or None
            By :func:`dbn.evaluation.stats.bootstrap_interval` over the songs, or the artists.
        """
        ours, theirs = np.concatenate(correct), np.concatenate(others)
        differences = sums_by_group(self.groups, ours.astype(int) - theirs)
        interval = bootstrap_interval(differences, sums_by_group(self.groups, np.ones(len(ours), dtype=bool)))
        return float(ours.mean() - theirs.mean()), interval

    def _resampled_t(self, correct, others):
        if self.has_one_split:  # the test is for splits drawn at random
            return None
        differences = [np.mean(ours) - np.mean(theirs) for ours, theirs in zip(correct, others)]
        return corrected_resampled_t(differences, np.mean([split.n_train for split in self.splits]),
                                     np.mean([len(split.test) for split in self.splits]))

    def as_json(self, correct_of):
        """What a result needs so that everything above can be computed anew from it alone.

        Parameters
        ----------
        correct_of : dict of str to list of bool array [n_test]
            By the name of the row.

        Returns
        -------
        dict
            ``judged`` (the ``unit``, ``n_units``, ``n_decisions``, ``n_songs``, and whether there is ``one_split``),
            ``test_songs`` (for each seed its ``songs``, ``n_train``, and ``correct``: for each row a text with a 1 for
            each song that was labelled right, else a 0) and ``artists`` (of each test song, None where songs are the
            unit).
        """
        return {"judged": {"unit": self.unit, "n_units": len(set(self.groups)),
                           "n_decisions": len(self.songs), "n_songs": len(self.artists),
                           "one_split": self.has_one_split},
                "test_songs": [{"seed": split.seed, "n_train": split.n_train, "songs": list(split.test),
                                "correct": {name: "".join("01"[int(right)] for right in correct[i])
                                            for name, correct in correct_of.items()}}
                               for i, split in enumerate(self.splits)],
                "artists": self.artists if self.unit == "artists" else None}


def with_holm(rows, p, corrected):
    """The rows with Holm's correction of their p-values under the key `corrected`, None where `p` is None."""
    values = iter(holm([row[p] for row in rows if row[p] is not None]))
    return [_behind(row, p, corrected, None if row[p] is None else next(values)) for row in rows]


def _behind(row, key, name, value):
    """A dict with one more entry, behind that of `key`: tables show them in this order."""
    place = list(row).index(key) + 1
    entries = list(row.items())
    return dict([*entries[:place], (name, value), *entries[place:]])


def interval_text(row):
    """"0.741 [0.639, 0.822]" of a :meth:`Judge.row`, without the brackets where there is no interval."""
    bounds = "" if row["ci95"] is None else f" [{row['ci95'][0]:.3f}, {row['ci95'][1]:.3f}]"
    return f"{row['accuracy']:.3f}{bounds}"


def p_text(value):
    """A p-value in two digits; "" for None."""
    return "" if value is None else f"{value:.2g}"


def judged_text(result):
    """Which interval the accuracies of a table have, in words."""
    if result["repeats"] == 1:
        return "Accuracy with its 95 % Wilson interval."
    judged = result["judged"]
    of_artists = f" by {judged['n_units']} artists" if judged["unit"] == "artists" else ""
    return (f"Accuracy: the share of right ones among {judged['n_decisions']} decisions on {judged['n_songs']} "
            f"different test songs{of_artists}, with a 95 % interval by a bootstrap over {judged['unit']}.")


def p_values_text(result):
    """Which tests the p-values of Tables 2 and 3 come from, in words."""
    holm_text = "Holm is p corrected for the number of rows that are tested."
    if result["repeats"] == 1:
        return f"p is McNemar's exact test on the same songs. {holm_text}"
    judged = result["judged"]
    resampled = "Resampled t is the p of Nadeau and Bengio's corrected t-test over the splits."
    if judged["one_split"]:
        resampled = "There is no resampled t: it needs splits drawn at random, and all seeds share one."
    return (f"p comes from flipping the signs of the differences of the {judged['unit']}, exactly. {holm_text} "
            f"{resampled}")
