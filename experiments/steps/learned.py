"""What a network has learned, as notebooks draw it: weights as spectra, bases and activations over time, inputs."""
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import CenteredNorm, Normalize, PowerNorm
from matplotlib.ticker import MaxNLocator, NullLocator

from dbn.audio.pooling import frame_rate

DPI = 80  # of the pictures: they are mostly noise, which makes large files
_TICKS = 0, 500, 1000, 2000, 5000, 10000  # Hz, of bases


def bin_frequencies(model):
    """Frequency in Hz of each DFT bin that a model takes; float64 [n_bins]."""
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
    _classes(top, model.predict_proba(frames), model.classes, seconds)
    top.set_title(title)
    for number, axes in enumerate(middle):
        layer = len(layers) - 1 - number
        _image(axes, layers[layer].T, [0, seconds, 0, layers[layer].shape[1]], "viridis", Normalize(0, 1))
        axes.set_ylabel(f"layer {layer + 1}")
    _spectrogram(bottom, model, frames)
    bottom.set_xlabel("time (s)")
    return figure


def base_spectra(model):
    """The bases of layer 1 of a convolutional network on principal components, put back onto the DFT's bins.

    Parameters
    ----------
    model : dbn.trained.convolutional.ConvolutionalModel
        Its scaling has components.

    Returns
    -------
    float32 array [n_hidden, width, n_bins]
        What a hidden unit, when it is on, adds to the mean of each bin as its scaling takes it, before the components:
        to log(1 + magnitude) of ``log-whitened-pca-80``.
    """
    scaling, width = model.scaling, model.widths[0]
    bases = model.weights[0].T.reshape(-1, width, scaling.n_outputs)
    return bases / scaling.gain @ scaling.components.T


def draw_bases(model, units):
    """Bases of a convolutional network as small spectrograms, see :func:`base_spectra`; six a row, a scale each.

    Frequency is linear up to 1 kHz, where most notes are, and logarithmic above.

    Parameters
    ----------
    model : dbn.trained.convolutional.ConvolutionalModel
        Its scaling has components.
    units : sequence of int
        Which bases to draw.
    """
    frequencies, n_rows = bin_frequencies(model), -(-len(units) // 6)
    milliseconds = 1000 / frame_rate(model.frame_settings) * (np.arange(model.widths[0]) + 0.5)
    figure, grid = plt.subplots(n_rows, 6, figsize=(9, 1.9 * n_rows), dpi=DPI, sharex=True, sharey=True, squeeze=False,
                                layout="constrained")
    for axes in grid.flat[len(units):]:
        axes.set_axis_off()
    for axes, unit, base in zip(grid.flat, units, base_spectra(model)[units]):
        axes.pcolormesh(milliseconds, frequencies, base.T, cmap="RdBu_r", shading="nearest",
                        norm=CenteredNorm(halfrange=np.quantile(np.abs(base), 0.99)))
        axes.set_title(f"base {unit + 1}", fontsize=8)
    axes.set_yscale("symlog", linthresh=1000)  # of all, as they share it
    axes.set(yticks=_TICKS, yticklabels=_TICKS)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(0, frequencies[-1])  # at last: ticks beyond would move it
    figure.supxlabel("time (ms)", fontsize=9)
    figure.supylabel("frequency (Hz)", fontsize=9)
    return figure


def draw_pooling(model, frames, means, units, title):
    """A song over its seconds: the spectrum, the hidden units of a few bases, their pooling units.

    A hidden unit is drawn in the middle of the frames that it sees.

    Parameters
    ----------
    model : dbn.trained.convolutional.ConvolutionalModel
        The network.
    frames : float32 [n, n_bins]
        Unscaled DFT magnitudes of consecutive frames.
    means : float array [n_positions, n_hidden]
        Probabilities that the hidden units of layer 1 are on.
    units : sequence of int
        Bases to draw, a row each.
    title : str
        Which song.
    """
    rate, pool = frame_rate(model.frame_settings), model.pools[0]
    begin, rows = (model.widths[0] - 1) / 2 / rate, [0, len(units)]
    figure, [top, *panels] = _rows(3, 1.9)
    _spectrogram(top, model, frames)
    top.set_title(title)
    for axes, (name, values, step) in zip(panels, (("hidden units", means, 1),
                                                   ("pooled", model.features(frames)[0], pool))):
        end = begin + len(values) * step / rate
        _image(axes, values[:, units].T[::-1], [begin, end, *rows], "viridis", Normalize(0, 1))
        axes.set_yticks(np.arange(*rows) + 0.5, [f"base {unit + 1}" for unit in units][::-1], fontsize=7)
        axes.set_ylabel(name)
    panels[-1].set(xlabel="time (s)", xlim=(0, len(frames) / rate))
    return figure


def draw_answers(models, frames, title):
    """The class probabilities of each of some networks along a song, and their answers: the highest mean (§4.1).

    Parameters
    ----------
    models : dict of str to dbn.trained.model.Model or dbn.trained.convolutional.ConvolutionalModel
        By what a network is called; all have the same classes and frames.
    frames : float32 [n, n_bins]
        Unscaled DFT magnitudes of the whole song.
    title : str
        Which song.
    """
    figure, [top, *panels] = _rows(1 + len(models), 1.9)
    for axes, (name, model) in zip(panels, models.items()):
        probabilities = model.predict_proba(frames)
        means = probabilities.mean(axis=0)
        _classes(axes, probabilities, model.classes, len(frames) / frame_rate(model.frame_settings))
        axes.set_title(f"{name}: {model.classes[means.argmax()]}, mean probability {means.max():.2f}", fontsize=9)
    _spectrogram(top, model, frames)
    top.set_title(title)
    panels[-1].set_xlabel("time (s)")
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


def _spectrogram(axes, model, frames):
    """DFT magnitudes of consecutive frames in decibels, over their seconds."""
    decibels = 20 * np.log10(np.maximum(frames, 1e-5 * frames.max()))
    seconds = len(frames) / frame_rate(model.frame_settings)
    _image(axes, decibels.T, [0, seconds, 0, bin_frequencies(model)[-1]], "magma",
           Normalize(decibels.max() - 80, decibels.max()))
    axes.set_ylabel("DFT (Hz)")


def _classes(axes, probabilities, classes, seconds):
    """Probabilities [n, n_classes] of the classes over a song's seconds, a row a class."""
    _image(axes, probabilities.T, [0, seconds, len(classes), 0], "viridis", Normalize(0, 1))
    axes.set_yticks(np.arange(len(classes)) + 0.5, classes, fontsize=6)
    axes.set_ylabel("class")


def _image(axes, x, extent, colours, norm):
    """`x` [rows, columns], row 0 at the bottom unless `extent` turns it, and its colour bar."""
    origin = "upper" if extent[2] > extent[3] else "lower"
    image = axes.imshow(x, aspect="auto", origin=origin, extent=extent, cmap=colours, norm=norm,
                        interpolation="nearest")
    axes.figure.colorbar(image, ax=axes, pad=0.01)
