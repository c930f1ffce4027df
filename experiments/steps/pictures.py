"""The pictures beside the tables: confusion matrices and learning curves."""
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402 - the backend is chosen first
import numpy as np  # noqa: E402

from dbn.system.files import atomic_path  # noqa: E402


def save(figure, path, formats=(".png",)):
    """Write a figure at `path` (without suffix) in each format, each beside its place first, and close it."""
    for suffix in formats:
        with atomic_path(path.with_suffix(suffix)) as temporary:
            figure.savefig(temporary, dpi=150, bbox_inches="tight")
    plt.close(figure)


def confusion_matrix(path, true, predicted, classes, title):
    """Songs of each class (rows) by the class they were given (columns).

    Parameters
    ----------
    path : pathlib.Path
        Without suffix; a PNG is written.
    true, predicted : int arrays [n_songs]
        Class numbers.
    classes : sequence of str
        Names of the classes.
    title : str
        What the picture shows.
    """
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(counts, (true, predicted), 1)
    size = 1.6 + 0.42 * len(classes)
    figure, axes = plt.subplots(figsize=(size, size))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            axes.text(column, row, count, ha="center", va="center", fontsize=8,
                      color="white" if shares[row, column] > 0.5 else "black")
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("given")
    axes.set_ylabel("true")
    axes.set_title(title, fontsize=10)
    save(figure, path)


def accuracy_against_cost(path, rows, title):
    """Both accuracies of a question's systems against the seconds until their best epoch.

    Parameters
    ----------
    path : pathlib.Path
        Without suffix; a PNG is written.
    rows : list of dict
        See :mod:`experiments.steps.question`; the first is drawn in black, with its accuracy as a line.
    title : str
        What the picture shows.
    """
    figure, panels = plt.subplots(1, 2, figsize=(11, 2.2 + 0.24 * len(rows)), sharey=True, layout="constrained")
    places = np.arange(len(rows))[::-1]
    for axes, of, name in zip(panels, ("", "network_"), ("All Layers, Table 3's SVM", "the network alone")):
        for place, row in zip(places, rows):
            if row[f"{of}accuracy"] is None:
                continue
            accuracy, bounds = row[f"{of}accuracy"], row[f"{of}ci95"] or [row[f"{of}accuracy"]] * 2
            axes.plot(bounds, [place, place], color="0.75", linewidth=4, solid_capstyle="butt", zorder=1)
            colour = "black" if row is rows[0] else "tab:blue"
            axes.scatter(accuracy, place, s=30, color=colour, zorder=2)
        axes.axvline(rows[0][f"{of}accuracy"], color="black", linewidth=0.8, linestyle=":")
        axes.set(title=name, xlabel="song accuracy, 95 % interval")
    labels = [row["name"] + ("" if row["best_seconds"] is None else f"  ({row['best_seconds']:.3g} s)") for row in rows]
    panels[0].set_yticks(places, labels, fontsize=8)
    figure.suptitle(f"{title}\nin brackets: seconds of training until the best epoch", fontsize=10)
    save(figure, path)


def learning_curves(path, history, best_epoch, title):
    """Pre-training's cost of each layer (CD's reconstruction, PCD's pseudo-likelihood); fine-tuning's cost and error.

    Parameters
    ----------
    path : pathlib.Path
        Without suffix; a PNG is written.
    history : list of dict
        See :class:`dbn.training.running.TrainingResult`.
    best_epoch : int
        Of fine-tuning, whose parameters were kept; 0 where those before it were.
    title : str
        What the picture shows.
    """
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
    layers = sorted({record["layer"] for record in history if record["stage"] == "pretrain"})
    for layer in layers:
        records = [record for record in history if record.get("layer") == layer]
        left.plot([record["epoch"] for record in records], [-record["cost"] for record in records], marker="o",
                  markersize=3, label=f"layer {layer}")
    if layers:
        left.legend(fontsize=8)
    left.set(title="pre-training", xlabel="epoch", ylabel="cost (nats a frame)")
    tuned = [record for record in history if record["stage"] == "finetune"]
    epochs = [record["epoch"] for record in tuned]
    middle.plot(epochs, [record["cost"] for record in tuned], color="tab:green")
    middle.set(title="fine-tuning", xlabel="epoch", ylabel="training cost")
    errors = [record["valid_error"] for record in tuned]
    right.plot(epochs, errors, color="tab:red")
    if best_epoch in epochs:
        error = errors[epochs.index(best_epoch)]
        right.plot(best_epoch, error, "o", color="black", markersize=4, label=f"best: {error:.3f}, epoch {best_epoch}")
        right.legend(fontsize=8)
    right.set(title="early stopping", xlabel="epoch", ylabel="validation frame error")
    figure.suptitle(title, fontsize=10)
    save(figure, path)
