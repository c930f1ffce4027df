"""Figure 1: the deep belief network as a stack of RBMs, drawn from the trained model's own layers (§3)."""
from dataclasses import dataclass

import matplotlib.pyplot as plt
from matplotlib.patches import Circle, PathPatch
from matplotlib.path import Path as Curve

from experiments.steps import pictures
from experiments.steps.options import parse, run_script
from experiments.steps.pipeline import prepared_runs
from experiments.steps.reporting import corpus_name, markdown_table, network_text, table_result, write_table

MOST_CIRCLES = 13  # of a row; a layer of more units shows some at both ends and dots between
RADIUS = 0.3       # of a circle; neighbours are 1 apart
STEP = 2.6         # from one layer to the next


@dataclass(frozen=True)
class Layer:
    """One row of circles: its name, the true number of its units, what they are, and their colour."""

    name: str
    units: int
    kind: str
    colour: str


def main(argv=None):
    """Draw the first seed's network, write and print the sizes of its layers."""
    options = parse(__doc__, argv)
    options.repeats = 1  # one network is drawn
    corpora, runs = prepared_runs(options)
    pictures.save(draw(runs[0].model), options.out / "figure1", formats=(".png", ".pdf"))
    rows = [{"name": layer.name, "units": layer.units, "kind": layer.kind} for layer in layers_of(runs[0].model)]
    result = table_result("figure1", options, corpora, runs, rows, corpora.seconds(), runs[0].parts)
    write_table(options.out, result, as_markdown(result))


def as_markdown(result):
    """The layers of the picture as a table."""
    return (f"## Figure 1: the network; {corpus_name(result['dataset'])}, profile {result['profile']}, seed "
            f"{result['seed']}\n\nThe layers from the bottom.{network_text(result)}\n\n"
            + markdown_table(["", "units", ""], [list(row.values()) for row in result["rows"]]))


def layers_of(model):
    """Every layer of a :class:`dbn.trained.model.Model` from the bottom: list of :class:`Layer`."""
    sizes = [len(model.scaling.gain), *(weights.shape[1] for weights in model.weights)]
    visible = "Gaussian" if model.visible == "gaussian" else "binary"
    kind = "rectified" if getattr(model, "activation", "sigmoid") == "relu" else "binary"
    hidden = [Layer(f"Hidden layer {i}", size, f"{kind} units", "tab:blue") for i, size in enumerate(sizes[1:-1], 1)]
    return [Layer("Inputs (DFT magnitudes)", sizes[0], f"{visible} units", "0.8"), *hidden,
            Layer("Classes", sizes[-1], f"{model.output} outputs", "tab:orange")]


def draw(model):
    """The picture.

    Parameters
    ----------
    model : dbn.trained.model.Model
        Whose layers are drawn.

    Returns
    -------
    matplotlib.figure.Figure
    """
    layers = layers_of(model)
    rows = [circle_positions(layer.units) for layer in layers]
    right = max(row[-1] for row in rows) + 1
    pretrained = {record["layer"] for record in model.history if record["stage"] == "pretrain"}
    figure, axes = plt.subplots(figsize=(9, 0.6 + 0.95 * len(layers)), layout="constrained")
    for i, (layer, row) in enumerate(zip(layers, rows)):
        _draw_layer(axes, layer, row, i * STEP, -right)
    for i, (below, above) in enumerate(zip(rows, rows[1:])):
        is_rbm = i + 1 in pretrained
        _draw_weights(axes, below, above, i * STEP, "-" if is_rbm else (0, (4, 3)))
        n_weights = "{:,} × {:,} weights".format(*model.weights[i].shape)  # of bases, their frames one below the other
        name = f"RBM {i + 1}" if is_rbm else f"Layer {i + 1}" if i < model.n_layers else "Output layer"
        note = n_weights if is_rbm else f"{n_weights}, not pre-trained"
        _draw_brace(axes, right, (i + 0.13) * STEP, (i + 0.87) * STEP, name, note)
    axes.set(xlim=(-right - 6, right + 6.5), ylim=(-1, (len(layers) - 1) * STEP + 1), aspect="equal")
    axes.axis("off")
    return figure


def circle_positions(units):
    """Where on a row of `units` circles are drawn: all of them, or the same number at both ends and a gap between.

    Parameters
    ----------
    units : int
        Of the layer, at least 1.

    Returns
    -------
    list of float
        Horizontal positions around 0. Large layers are wider than small ones, up to ``MOST_CIRCLES``.
    """
    if units <= 10:
        return [i - (units - 1) / 2 for i in range(units)]
    width = MOST_CIRCLES if units > 200 else MOST_CIRCLES - 2
    places = [i - (width - 1) / 2 for i in range(width)]
    return [place for place in places if abs(place) > 1]  # three places in the middle are for the dots


def _draw_layer(axes, layer, row, height, left):
    for place in row:
        axes.add_patch(Circle((place, height), RADIUS, facecolor=layer.colour, edgecolor="black", zorder=2))
    if len(row) < layer.units:
        axes.plot([-0.6, 0, 0.6], [height] * 3, "o", color="black", markersize=2.5, zorder=2)
    axes.text(left, height + 0.1, layer.name, ha="right", va="bottom", fontsize=11, weight="bold")
    axes.text(left, height - 0.05, f"{layer.units:,} {layer.kind}", ha="right", va="top", fontsize=9)


def _draw_weights(axes, below, above, height, style):
    """A line for every weight between the circles that are drawn; none between the circles of one layer."""
    for start in below:
        for end in above:
            axes.plot([start, end], [height + RADIUS, height + STEP - RADIUS], linestyle=style, color="0.6",
                      linewidth=0.4, zorder=1)


def _draw_brace(axes, left, bottom, top, name, note):
    """A curly brace from `bottom` to `top` that opens to the left, and its name."""
    middle, half = (bottom + top) / 2, 0.35
    points = [(left, bottom), (left + half, bottom), (left + half, (bottom + middle) / 2),
              (left + half, middle), (left + 2 * half, middle),
              (left + half, middle), (left + half, (middle + top) / 2), (left + half, top), (left, top)]
    codes = [Curve.MOVETO] + [Curve.CURVE3] * 8
    axes.add_patch(PathPatch(Curve(points, codes), facecolor="none", linewidth=1.3))
    axes.text(left + 1, middle + 0.05, name, va="bottom", fontsize=11, weight="bold")
    axes.text(left + 1, middle - 0.1, note, va="top", fontsize=9)


if __name__ == "__main__":
    run_script(main)
