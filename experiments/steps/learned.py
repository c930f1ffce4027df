"""What a network has learned, for the notebook: weights as spectra, activations over time, reconstructions, samples."""
import matplotlib.pyplot as plt
import numpy as np
import pytensor.tensor as pt
from matplotlib.colors import CenteredNorm, Normalize, PowerNorm
from matplotlib.ticker import MaxNLocator

from dbn.graph.compile import function
from dbn.graph.streams import RandomStreams
from dbn.rbm import RBM, GaussianRBM

DPI = 80  # of the pictures: they are mostly noise, which makes large files


def bin_frequencies(model):
    """Frequency in Hz of each input of a :class:`dbn.trained.model.Model`; float64 [n_ins]."""
    return np.fft.rfftfreq(model.frame_settings["frame_length"], 1 / model.frame_settings["sample_rate"])


def rebuild_rbm(model, layer=0, seed=0):
    """The RBM of one layer, from 0, of a :class:`dbn.trained.model.Model`, as :class:`dbn.rbm.RBM` for its equations.

    What it models is the data as pre-training left it: fine-tuning changes W and the hidden biases for the labels and
    leaves the visible biases alone.
    """
    n_visible, n_hidden = model.weights[layer].shape
    kind = GaussianRBM if layer == 0 and model.visible == "gaussian" else RBM
    return kind(n_visible=n_visible, n_hidden=n_hidden, W=model.weights[layer], hbias=model.biases[layer],
                vbias=model.visible_biases[layer], theano_rng=RandomStreams(seed), dtype="float32")


def gibbs_means(rbm, start, steps):
    """Run a Gibbs chain from each row of `start` and look at it now and then (§3).

    Parameters
    ----------
    rbm : dbn.rbm.RBM
        Its generator draws the samples.
    start : float32 [n, n_visible]
        Visible units that the chains begin at.
    steps : sequence of int
        Numbers of steps, increasing, after which the chains are looked at.

    Returns
    -------
    list of float32 [n, n_visible]
        The means that the visible units were drawn from last, one array for each of `steps`.
    """
    v, k = pt.matrix("v", dtype=rbm.dtype), pt.lscalar("k")
    (_, _, _, _, mean, sample), updates = rbm.gibbs_chain(rbm.gibbs_vhv, v, k)
    run = function([v, k], [mean, sample], updates=updates)
    means, state = [], np.asarray(start, dtype=rbm.dtype)
    for n_steps in np.diff([0, *steps]):
        mean, state = run(state, n_steps)
        means.append(mean)
    return means


def reconstruct(model, frames, n_layers):
    """Frames sent up through `n_layers` RBMs and down again, by means and without draws.

    Parameters
    ----------
    model : dbn.trained.model.Model
        Pre-trained; after fine-tuning its weights serve the labels.
    frames : float32 [n, n_ins]
        Unscaled DFT magnitudes.
    n_layers : int
        How far up, from 1.

    Returns
    -------
    float32 [n, n_ins]
        Inputs as the network sees them, that is scaled.
    """
    x = model.activations(frames)[n_layers - 1]
    for layer in reversed(range(n_layers)):
        x = x @ model.weights[layer].T + model.visible_biases[layer]
        if layer > 0 or model.visible == "bernoulli":
            x = (1 + np.tanh(x / 2)) / 2
    return x


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
    seconds = len(frames) * model.frame_settings["hop_length"] / model.frame_settings["sample_rate"]
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
