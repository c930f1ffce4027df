"""A picture of what the network makes of a recording: each layer's activations and the classes' probabilities."""
import numpy as np
from matplotlib.figure import Figure

from dbn.datasets.folder import printable
from dbn.errors import DBNError
from dbn.system.files import atomic_path

FORMATS = (".png", ".pdf", ".svg")


def save_plot(path, rows, model, seconds, title):
    """Draw the layers' activations, and below them the class probabilities, as images over one time axis.

    Parameters
    ----------
    path : path-like
        Ends in one of ``FORMATS``.
    rows : float32 [n, d]
        For each stretch of time the units of all hidden layers from the bottom, then the probabilities.
    model : dbn.trained.model.Model
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
    axes = figure.subplots(len(parts), 1, sharex=True)
    for axis, values in zip(axes, parts):
        image = axis.imshow(values.T, aspect="auto", origin="lower", interpolation="nearest", vmin=0, vmax=1,
                            cmap="magma", extent=(0, len(rows) * seconds, 0.5, values.shape[1] + 0.5))
    for number, axis in enumerate(axes[:-1], start=1):
        axis.set_ylabel(f"layer {number}, unit")
    axes[-1].set_yticks(range(1, len(model.classes) + 1), map(_literal, model.classes), fontsize="small")
    axes[-1].set_xlabel("time in s")
    axes[0].set_title(_literal(title))
    figure.colorbar(image, ax=axes, label="activation, probability")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def check_format(path):
    """Raise a :class:`DBNError` unless the file's name ends as a picture's does."""
    if not str(path).lower().endswith(FORMATS):
        raise DBNError(f"{path}: the name of a plot ends in {', '.join(FORMATS)}")


def _literal(text):
    """Text in which Matplotlib finds no formula."""
    return printable(text).replace("$", r"\$")
