"""What a network has learned, as the notebook draws it: weights as spectra, activations over time, blocks of inputs."""
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import CenteredNorm, Normalize, PowerNorm
from matplotlib.ticker import MaxNLocator

from dbn.audio.pooling import frame_rate

DPI = 80  # of the pictures: they are mostly noise, which makes large files


def bin_frequencies(model):
    """Frequency in Hz of each input of a :class:`dbn.trained.model.Model`; float64 [n_ins]."""
    return np.fft.rfftfreq(model.frame_settings["frame_length"], 1 / model.frame_settings["sample_rate"])


def draw_weights(weights, frequencies, title):
    """Weights [n_ins, n_units] of layer 1, or what was added to them, as an image: a row a unit.

    The units are ordered by the frequency around which their weights are largest.
    """
    smooth = np.apply_along_axis(np.convolve, 0, weights, np.ones(15) / 15, "same")
    order = np.argsort(smooth.argmax(axis=0))
    figure, [axes] = _rows(1, 3.5)
    _image(axes, weights[:, order].T, [0, frequencies[-1], 0, len(order)], "RdBu_r",
           CenteredNorm(halfrange=np.quantile(np.abs(weights), 0.995)))
    axes.set(xlabel="frequency (Hz)", ylabel="unit, ordered", title=title)
    return figure


def draw_units(stages, frequencies, units):
    """Weights of a few units over the frequency, a panel a unit and a line a stage.

    Parameters
    ----------
    stages : dict of str to float32 [n_ins, n_units]
        The same network's weights, or what was added to them, at different times; by what a line is called.
    frequencies : float array [n_ins]
        In Hz.
    units : sequence of int
        Which to draw.
    """
    figure, rows = _rows(len(units), 1.5)
    for axes, unit in zip(rows, units):
        for (stage, weights), colour in zip(stages.items(), ("tab:blue", "tab:red", "black")):
            axes.plot(frequencies, weights[:, unit], color=colour, linewidth=0.8, label=stage)
        axes.set_ylabel(f"unit {unit + 1}")
    figure.legend(*rows[0].get_legend_handles_labels(), fontsize=8, ncols=len(stages), loc="outside upper right")
    rows[-1].set_xlabel("frequency (Hz)")
    return figure


def draw_activations(model, frames, title):
    """A song from bottom to top over its seconds: the spectrum, every layer's activations, the classes.

    Parameters
    ----------
    model : dbn.trained.model.Model
        The network.
    frames : float32 [n, n_ins]
        Unscaled DFT magnitudes of consecutive frames.
    title : str
        Which song.
    """
    seconds = len(frames) / frame_rate(model.frame_settings)
    layers = model.activations(frames)
    figure, [top, *middle, bottom] = _rows(len(layers) + 2, 1.6)
    _image(top, model.predict_proba(frames).T, [0, seconds, len(model.classes), 0], "viridis", Normalize(0, 1))
    top.set_yticks(np.arange(len(model.classes)) + 0.5, model.classes, fontsize=6)
    top.set(title=title, ylabel="class")
    for number, axes in enumerate(middle):
        layer = len(layers) - 1 - number
        _image(axes, layers[layer].T, [0, seconds, 0, layers[layer].shape[1]], "viridis", Normalize(0, 1))
        axes.set_ylabel(f"layer {layer + 1}")
    decibels = 20 * np.log10(np.maximum(frames, 1e-5 * frames.max()))
    _image(bottom, decibels.T, [0, seconds, 0, bin_frequencies(model)[-1]], "magma",
           Normalize(decibels.max() - 80, decibels.max()))
    bottom.set(xlabel="time (s)", ylabel="DFT (Hz)")
    return figure


def draw_inputs(inputs, frequencies, columns):
    """Blocks of scaled inputs [n, n_ins] in [0, 1] by name as images below each other.

    Frequency goes upwards; the colour scale follows the square root, so that quiet bins are seen; `columns` says what a
    column is.
    """
    figure, rows = _rows(len(inputs), 1.5)
    for axes, (name, x) in zip(rows, inputs.items()):
        _image(axes, x.T, [0, len(x), 0, frequencies[-1]], "magma", PowerNorm(0.5, 0, 1, clip=True))
        axes.set_ylabel("Hz")
        axes.set_title(name, fontsize=9)
    rows[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    rows[-1].set_xlabel(columns)
    return figure


def draw_error_curves(histories):
    """Validation frame error after each epoch of fine-tuning; the ``history`` of each model by what it is called."""
    figure, [axes] = _rows(1, 3.2)
    for (name, history), marker in zip(histories.items(), "os^v"):
        tuned = [record for record in history if record["stage"] == "finetune"]
        axes.plot([record["epoch"] for record in tuned], [record["valid_error"] for record in tuned], marker=marker,
                  markersize=4, label=name)
    axes.set(xlabel="epoch of fine-tuning", ylabel="validation frame error")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    return figure


def _rows(n, height):
    """A figure and its `n` rows of the same horizontal axis, each `height` inches high."""
    figure, grid = plt.subplots(n, 1, figsize=(9, n * height), dpi=DPI, sharex=True, squeeze=False,
                                layout="constrained")
    return figure, grid[:, 0]


def _image(axes, x, extent, colours, norm):
    """`x` [rows, columns], row 0 at the bottom unless `extent` turns it, and its colour bar."""
    origin = "upper" if extent[2] > extent[3] else "lower"
    image = axes.imshow(x, aspect="auto", origin=origin, extent=extent, cmap=colours, norm=norm,
                        interpolation="nearest")
    axes.figure.colorbar(image, ax=axes, pad=0.01)
