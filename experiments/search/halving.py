"""Random search with successive halving: trains points, keeps their records, goes on after any interruption.

The state of a search is its records and nothing else (:mod:`experiments.search.records`). A start reads them, decides
from them, trains what is missing, and so takes the same decisions as a search that was never interrupted, in whatever
order and by however many processes the points were trained.
"""
import math
from dataclasses import replace

from dbn.system.progress import progress_bar
from experiments.search.records import is_over, read_record, remove_record
from experiments.search.rungs import cost


class Search:
    """The points of a search, and what is known of them.

    Each rung trains its points from the beginning, on its own frames. The best of a rung go on to the next, as many as
    the budget of a rung has room for: wide networks cost fifty times as much as narrow ones, so that a number of
    points would say nothing about the time that they take.

    Parameters
    ----------
    folder : pathlib.Path
        Of the records; all workers can write there.
    points : list of experiments.search.space.Point
    extra : experiments.search.space.Point
        Trained in every rung beside them, without part in the halving: the paper's own setting.
    rungs : list of experiments.search.rungs.Rung
    budget : float
        Seconds of one process that each rung after the first may take, by :func:`experiments.search.rungs.cost`. One
        point goes on in any case.
    train : callable
        ``train(rung, points)`` trains them and yields ``name, record`` as they are done.

    Attributes
    ----------
    records : list of dict of str to dict
        For each rung by the point's name, as far as they are known.
    """

    def __init__(self, folder, points, extra, rungs, budget, train):
        self.folder, self.points, self.extra, self.rungs = folder, points, extra, rungs
        self.budget, self.train = budget, train
        self.records = [{point.name: read_record(folder / rung.name, at_rung(point, rung))
                         for point in [*points, extra]} for rung in rungs]

    def run(self):
        """Train what is missing, rung by rung.

        Raises
        ------
        DBNError
            The disk is full, or workers die again and again. The next start goes on.
        """
        alive = self.points
        with _bar() as bar:
            for i in range(len(self.rungs)):
                self._forget_others(i, alive)
                missing = self._missing(i, alive)
                if missing:
                    self._train(i, missing, bar)
                alive = self._go_on(i, alive)

    def expected_seconds(self):
        """About how long one process needs for what is missing; the points of later rungs are not known yet."""
        alive = self.points
        for i in range(len(self.rungs)):
            missing = self._missing(i, alive)
            if missing:
                return sum(self._cost(i, point) for point in missing) + self._expected_after(i)
            alive = self._go_on(i, alive)
        return 0

    def _forget_others(self, i, alive):
        """Remove the records in rung `i` of points that are not `alive`, which a search of fewer points let through."""
        for point in set(self.points).difference(alive):
            if self.records[i][point.name] is not None:
                remove_record(self.folder / self.rungs[i].name, point)
                self.records[i][point.name] = None

    def _missing(self, i, alive):
        """The points that rung `i` has to train, the longest first."""
        missing = [point for point in [*alive, self.extra] if not is_over(self.records[i][point.name])]
        return sorted(missing, key=lambda point: self._cost(i, point), reverse=True)

    def _cost(self, i, point):
        return cost(point, self.rungs[i].n_frames, self.rungs[i].epochs)

    def _go_on(self, i, alive):
        """The points of rung `i` that the next one trains; none after the last."""
        if i + 1 == len(self.rungs):
            return []
        chosen, left = [], self.budget
        for point in sorted(alive, key=lambda point: (_error(self.records[i][point.name]), point.number)):
            left -= self._cost(i + 1, point)
            if _error(self.records[i][point.name]) == math.inf or (chosen and left < 0):
                break
            chosen.append(point)
        return chosen

    def _train(self, i, missing, bar):
        bar.total = bar.n + sum(self._cost(i, point) for point in missing) + self._expected_after(i)
        costs = {point.name: self._cost(i, point) for point in missing}
        n_done = 0
        for name, record in self.train(self.rungs[i], missing):
            self.records[i][name] = record
            n_done += 1
            bar.set_postfix_str(f"rung {i + 1} of {len(self.rungs)}: {n_done} of {len(missing)} points, "
                                f"best so far {self._best_text(i)}", refresh=False)
            bar.update(costs[name])

    def _expected_after(self, i):
        """Seconds for the rungs after rung `i`: their budget, and the extra point."""
        later = range(i + 1, len(self.rungs))
        return sum(self.budget + self._cost(j, self.extra) for j in later)

    def _best_text(self, i):
        known = [record for name, record in self.records[i].items() if record and name != self.extra.name
                 and record["best_error"] is not None]
        best = min(known, key=lambda record: (record["best_error"], record["point"]), default=None)
        return "none" if best is None else f"{best['best_error']:.4f} (point {best['point']})"


def at_rung(point, rung):
    """A point with the epochs of a rung."""
    return replace(point, settings=replace(point.settings, finetune_epochs=rung.epochs))


def _error(record):
    """By what a rung ranks a point: its lowest validation error, infinite for one that diverged or failed."""
    return math.inf if record["best_error"] is None else record["best_error"]


def _bar():
    return progress_bar("search", unit=" s", smoothing=0,
                        bar_format="{desc}: {percentage:3.0f}%|{bar:20}| {elapsed}, {remaining} left{postfix}")
