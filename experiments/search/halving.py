"""Random search with successive halving: trains points, keeps their records, goes on after any interruption.

The state of a search is its records and nothing else (:mod:`experiments.search.records`). A start reads them, decides
from them, trains what is missing, and so takes the same decisions as a search that was never interrupted, in whatever
order and by however many processes the points were trained.
"""
import math

from dbn.system.progress import progress_bar
from experiments.search.records import halved, has_reached, read_record, score, write_record


def rungs(epochs, divisor, n_rungs=3):
    """The epochs of fine-tuning after which points are compared; the last is `epochs`.

    Parameters
    ----------
    epochs : int
        The most that a point may take.
    divisor : int
        The best 1/divisor of the points of a rung go on to the next, which has `divisor` times its epochs; 0 or 1 is no
        halving.
    n_rungs : int
        The most rungs.

    Returns
    -------
    list of int
        Ascending, for example [3, 9, 27].
    """
    if divisor < 2:
        return [epochs]
    return sorted({-(-epochs // divisor ** i) for i in range(n_rungs)})


class Search:
    """The points of a search, and what is known of them.

    Parameters
    ----------
    folder : pathlib.Path
        Of the records; all workers can write there.
    points : list of experiments.search.space.Point
    extra : experiments.search.space.Point
        Trained to its end beside them, without part in the halving: the paper's own setting.
    divisor : int
        See :func:`rungs`.
    train : callable
        ``train(tasks)`` trains ``{name: (point, epochs)}`` and yields ``name, record`` as they are done.
    cost : callable
        ``cost(point, first, last)``: about how many seconds a process needs for these epochs of fine-tuning and, where
        `first` is 0, pre-training.

    Attributes
    ----------
    records : dict of str to dict
        By the point's name, as far as they are known.
    """

    def __init__(self, folder, points, extra, divisor, train, cost):
        self.folder, self.points, self.extra, self.train, self.cost = folder, points, extra, train, cost
        self.divisor = divisor
        self.rungs = rungs(extra.settings.finetune_epochs, divisor)
        self.records = {point.name: read_record(folder, point) for point in [*points, extra]}

    def run(self):
        """Train what is missing, rung by rung.

        Raises
        ------
        DBNError
            The disk is full, or workers die again and again. The next start goes on.
        """
        alive = self.points
        with _bar() as bar:
            for i, epochs in enumerate(self.rungs):
                self._train(self._tasks(i, alive), bar, later=self._expected_after(i, alive))
                stay = self._best(alive, epochs)
                if epochs != self.rungs[-1]:
                    for point in alive:
                        if point not in stay:
                            self._stop(point, epochs)
                alive = stay

    def expected_seconds(self):
        """About how long one process needs for what is missing; the points of later rungs are not known yet."""
        alive = self.points
        for i, epochs in enumerate(self.rungs):
            costs = self._costs(self._tasks(i, alive))
            if costs:
                return sum(costs.values()) + self._expected_after(i, alive)
            alive = self._best(alive, epochs)
        return 0

    def _tasks(self, i, alive):
        """What rung `i` trains, and to which epoch: a dict by name."""
        tasks = {point.name: (point, self.rungs[i]) for point in alive}
        return tasks if i else tasks | {self.extra.name: (self.extra, self.rungs[-1])}

    def _best(self, alive, epochs):
        """The points that go on to the next rung."""
        scores = {point: score(self.records[point.name], epochs) for point in alive}
        ranked = sorted(alive, key=lambda point: (scores[point], point.number))
        return [point for point in ranked[:self._n_kept(len(alive))] if scores[point] < math.inf]

    def _n_kept(self, n_points):
        return -(-n_points // max(1, self.divisor))

    def _train(self, tasks, bar, later):
        """Train what has not come so far."""
        costs = self._costs(tasks)
        bar.total = bar.n + sum(costs.values()) + later
        n_done = len(tasks) - len(costs)
        longest_first = sorted(costs, key=costs.get, reverse=True)
        for name, record in self.train({name: tasks[name] for name in longest_first}):
            self.records[name] = record
            n_done += 1
            bar.set_postfix_str(f"{n_done} of {len(tasks)} points to epoch {min(last for _, last in tasks.values())}, "
                                f"best so far {self._best_text()}", refresh=False)
            bar.update(costs[name])

    def _costs(self, tasks):
        """Seconds for each of the tasks that is not done: a dict by name."""
        costs = {}
        for name, (point, epochs) in tasks.items():
            record = self.records[name]
            if not has_reached(record, epochs):
                paused = record is not None and record["status"] == "paused"
                costs[name] = self.cost(point, record["epochs"] if paused else 0, epochs)
        return costs

    def _expected_after(self, i, alive):
        """Seconds for the rungs after rung `i`, as if the points that stay were like all that are alive."""
        n_points, seconds = len(alive), 0.0
        for first, last in zip(self.rungs[i:], self.rungs[i + 1:]):
            n_points = self._n_kept(n_points)
            seconds += n_points * sum(self.cost(point, first, last) for point in alive) / max(1, len(alive))
        return seconds

    def _best_text(self):
        known = [record for name, record in self.records.items() if record and name != self.extra.name
                 and record["best_error"] is not None]
        best = min(known, key=lambda record: (record["best_error"], record["point"]), default=None)
        return "none" if best is None else f"{best['best_error']:.4f} (point {best['point']})"

    def _stop(self, point, epochs):
        record = halved(self.records[point.name], epochs)
        if record != self.records[point.name]:
            write_record(self.folder, point, record)
            self.records[point.name] = record


def _bar():
    return progress_bar("search", unit=" s", smoothing=0,
                        bar_format="{desc}: {percentage:3.0f}%|{bar:20}| {elapsed}, {remaining} left{postfix}")
