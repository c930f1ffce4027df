"""Cost of fine-tuning against the width of the layers and the size of a minibatch, and the picture of all curves."""
from functools import partial

import numpy as np

from experiments.bench.common import alternate
from experiments.bench.library import FINETUNE_LR, Library, frames
from experiments.steps.pictures import plt, save


def width_curve(sizes):
    """For each number of units of the three layers: ``units``, ``n_weights``, ``seconds`` for a million frames."""
    x, y = frames(sizes.call_frames)
    order = np.random.default_rng(1).permutation(len(x) // 4)  # a thousand units cost a hundred times as much as 25
    libraries = {units: Library(x, y, (units,) * 3) for units in sizes.units}
    trainers = {units: partial(library.finetuning(), order, 20, FINETUNE_LR) for units, library in libraries.items()}
    seconds = _seconds_a_million(trainers, len(order), sizes, "widths")
    return [{"units": units, "n_weights": sum(param.size for param in libraries[units].params),
             "seconds": seconds[units]} for units in sizes.units]


def minibatch_curve(sizes):
    """For each size of minibatch: ``batch_size`` and ``seconds`` for a million frames."""
    x, y = frames(sizes.call_frames)
    order, train = np.random.default_rng(1).permutation(len(x)), Library(x, y).finetuning()
    trainers = {batch_size: partial(train, order, batch_size, FINETUNE_LR) for batch_size in sizes.batch_sizes}
    seconds = _seconds_a_million(trainers, len(order), sizes, "minibatches")
    return [{"batch_size": batch_size, "seconds": seconds[batch_size]} for batch_size in sizes.batch_sizes]


def _seconds_a_million(trainers, n_frames, sizes, description):
    """Median of the rounds for each point of a curve, the points taking turns."""
    seconds = alternate(trainers, sizes.slow_rounds, description)
    return {point: float(np.median(values)) * 1e6 / n_frames for point, values in seconds.items()}


def draw(path, curves):
    """Cost against size, a panel for each measure.

    Parameters
    ----------
    path : pathlib.Path
        Without suffix; a PNG is written.
    curves : dict
        ``clips`` of :func:`experiments.bench.runs.run_rows`, ``units`` of :func:`width_curve`, ``batch_sizes`` of
        :func:`minibatch_curve`: those that were measured.
    """
    panels = []
    if "clips" in curves:
        runs = curves["clips"]
        seconds = {"pre-training of all layers": [run["pretrain_seconds"] for run in runs],
                   "fine-tuning, with validation": [run["finetune_seconds"] for run in runs]}
        memory = {"training process": [run["peak_bytes"] / 1e9 for run in runs]}
        clips, label = [run["clips"] for run in runs], "clips, half of them for training"
        panels += [(label, "seconds an epoch", clips, seconds, True), (label, "peak memory (GB)", clips, memory, False)]
    for name, size, label, proportional in (("units", "n_weights", "weights, three layers of equal width", True),
                                            ("batch_sizes", "batch_size", "frames of a minibatch", False)):
        if name in curves:
            panels.append((label, "seconds for a million frames", [point[size] for point in curves[name]],
                           {"fine-tuning": [point["seconds"] for point in curves[name]]}, proportional))
    figure, grid = plt.subplots(-(-len(panels) // 2), 2, figsize=(9, 1 + 3 * -(-len(panels) // 2)), squeeze=False,
                                layout="constrained")
    for axes, panel in zip(grid.flat, panels):
        _panel(axes, *panel)
    save(figure, path)


def _panel(axes, x_label, y_label, x, lines, proportional):
    """Lines over a logarithmic axis; where cost should be in proportion, beside the line that would be."""
    for label, y in lines.items():
        drawn, = axes.plot(x, y, marker="o", markersize=4, label=label)
        if proportional:
            axes.plot(x, np.array(x) * y[-1] / x[-1], linestyle=":", color=drawn.get_color())
    axes.set(xscale="log", xlabel=x_label, ylabel=y_label, title="dotted: in proportion" if proportional else "")
    axes.set_xticks(x, [f"{value:,}" for value in x], rotation=30, fontsize=8)
    axes.minorticks_off()
    if proportional:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.2 * max(max(y) for y in lines.values()))
    axes.legend(fontsize=8)
