"""A picture of what the network makes of a recording: each layer's activations and the classes' probabilities."""
import numpy as np
from matplotlib.figure import Figure

from dbn.datasets.folder import printable
from dbn.errors import DBNError
from dbn.files import atomic_path

FORMATS = (".png", ".pdf", ".svg")


def save_plot(path, rows, model, seconds, title):
    """Draw the layers' activations as images and the class probabilities as lines, over one time axis.

    Parameters
    ----------
    path : path-like
        Ends in one of ``FORMATS``.
    rows : float32 [n, d]
        For each stretch of time the units of all hidden layers from the bottom, then the probabilities.
    model : dbn.model_io.Model
    seconds : float
        From one row to the next.
    title : str

    Raises
    ------
    DBNError
        Another ending.
    """
    check_format(path)
    sizes = [len(bias) for bias in model.biases]
    parts = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
    figure = Figure(figsize=(10, 2 * len(parts) + 1), layout="constrained")
    axes = figure.subplots(len(parts), 1, sharex=True, squeeze=False)[:, 0]
    duration = len(rows) * seconds
    for number, (axis, activations) in enumerate(zip(axes[:-1], parts[:-1]), start=1):
        image = axis.imshow(activations.T, aspect="auto", origin="lower", interpolation="nearest", vmin=0, vmax=1,
                            cmap="magma", extent=(0, duration, 0.5, activations.shape[1] + 0.5))
        axis.set_ylabel(f"layer {number}, unit")
    figure.colorbar(image, ax=axes[:-1], label="activation")
    middles = (np.arange(len(rows)) + 0.5) * seconds
    for label, probability in zip(model.classes, parts[-1].T):
        axes[-1].plot(middles, probability, label=_literal(label), linewidth=0.8)
    axes[-1].set(xlabel="time in s", ylabel="probability", ylim=(0, 1), xlim=(0, duration))
    axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")
    axes[0].set_title(_literal(title))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def check_format(path):
    """Raise a :class:`DBNError` unless the file's name ends as a picture's does."""
    if not str(path).lower().endswith(FORMATS):
        raise DBNError(f"{path}: the name of a plot ends in {', '.join(FORMATS)}")


def _literal(text):
    """Text in which Matplotlib finds no formula."""
    return printable(text).replace("$", r"\$")
