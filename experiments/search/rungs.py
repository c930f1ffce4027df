"""The rungs of a search: on how many frames and for how many epochs its points are trained and compared.

Every rung has a few times the frames of the one before, and as many epochs or more: on few frames a setting that learns
slowly can have its epochs for little, and few epochs would tell how fast a setting begins rather than what it reaches.
"""
import math
from dataclasses import dataclass

from dbn.errors import DBNError

LEAST_FRAMES = {"train": 1000, "valid": 3000}  # of the first rung: fewer compare luck
MOST_RUNGS = 4
PER_FINALIST = 40  # the last rung has epochs for one point in so many, if these are neither narrow nor wide
MEASURED = 1.6, 2.8  # times its estimate a search took on the machines of RESULTS.md, with a process on each core


@dataclass(frozen=True)
class Rung:
    """One size of training.

    Attributes
    ----------
    name : str
        "rung-1" for the first.
    n_frames : dict of str to int
        Of "train" and "valid".
    epochs : int
        The most of fine-tuning.
    """

    name: str
    n_frames: dict
    epochs: int


def rungs(n_frames, epochs, divisor, seconds, points):
    """The rungs that a budget allows, each of which may cost as much as any other.

    All points have their epochs in the first; from there they grow evenly to those of the last, which is as long as a
    few points can afford, and at most as long as a training.

    Parameters
    ----------
    n_frames : dict of str to int
        All frames of "train" and "valid": those of the last rung.
    epochs : int
        The most of fine-tuning.
    divisor : int
        So many times fewer training frames has a rung than the next one; with 0 or 1 there is one rung, of all frames
        and epochs.
    seconds : float
        Of one process, that a point may take on the average of all points and over all rungs, by :func:`cost`.
    points : list of experiments.search.space.Point
        On whose average the first rung keeps its share of `seconds`.

    Returns
    -------
    list of Rung
        The first has the fewest frames.

    Raises
    ------
    DBNError
        The first rung's share is not enough for one epoch.
    """
    if divisor < 2:
        return [Rung("rung-1", n_frames, epochs)]
    shares = [divisor ** i for i in range(1, MOST_RUNGS) if n_frames["train"] >= LEAST_FRAMES["train"] * divisor ** i]
    sizes = [{part: max(-(-n // share), min(n, LEAST_FRAMES[part])) for part, n in n_frames.items()}
             for share in [*reversed(shares), 1]]
    share = seconds / len(sizes)
    first = _affordable(points, sizes[0], share)
    if first < 1:
        one = _mean_cost(points, sizes[0], 1)
        least = one * len(sizes)
        step = 10.0 ** (math.floor(math.log10(least)) - 1)
        raise DBNError(f"--sweep-seconds {seconds:g}: one epoch of the first of {len(sizes)} rungs, on "
                       f"{sizes[0]['train']:,} frames, takes {one:.2g} s a point: give "
                       f"{math.ceil(least / step + 1e-6) * step:.2g} or more")
    last = max(first, _affordable(points, sizes[-1], share * PER_FINALIST))
    growth = (last / first) ** (1 / max(1, len(sizes) - 1))
    return [Rung(f"rung-{i}", size, min(epochs, round(first * growth ** (i - 1)))) for i, size in enumerate(sizes, 1)]


def _affordable(points, n_frames, seconds):
    """The epochs that points of their average cost can have for so many seconds."""
    none, one = (_mean_cost(points, n_frames, epochs) for epochs in (0, 1))
    return int((seconds - none) / (one - none))


def _mean_cost(points, n_frames, epochs):
    return sum(cost(point, n_frames, epochs) for point in points) / len(points)


def cost(point, n_frames, epochs):
    """About how many seconds a process needs for a point.

    By what one free core took once: every weight costs, more so in small minibatches, and every frame costs something
    that does not depend on the weights. Decisions rest on this estimate and not on what was measured, so that they are
    the same on every machine; :data:`MEASURED` says how it compares.

    Parameters
    ----------
    point : experiments.search.space.Point
    n_frames : dict of str to int
        Of "train" and "valid".
    epochs : int
        Of fine-tuning; the point's own epochs of pre-training come before them.
    """
    settings = point.settings
    sizes = settings.hidden_layers_sizes
    n_weights = 513 * sizes[0] + sum(below * above for below, above in zip(sizes, sizes[1:]))
    per_frame = 1.2e-6 + n_weights * (4.5e-11 + 6e-10 / settings.batch_size)
    pretraining = settings.pretrain_epochs * n_frames["train"] * (2 * per_frame + 1e-6 * len(sizes))
    return pretraining + epochs * (n_frames["train"] + n_frames["valid"] / 4) * per_frame
