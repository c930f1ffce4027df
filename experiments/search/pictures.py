"""The pictures of the search: validation error against every hyper-parameter, and the points' learning curves."""
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from experiments.steps import pictures

# of different lightness and hue, told apart by every kind of colour-blindness (Okabe and Ito's scheme); and marker,
# edge alone or filled, name, of each status of a point
STATUSES = {"finished": ("#0072B2", "o", True, "reached the last rung"),
            "halved": ("#8A8A8A", "o", False, "stopped before it"),
            "diverged": ("#D55E00", "x", True, "diverged"),
            "failed": ("#000000", "+", True, "failed")}


def marginals(path, points, paper, names, title):
    """A panel for every hyper-parameter: the points' validation error against its value.

    Parameters
    ----------
    path : pathlib.Path
        Without suffix; a PNG is written.
    points : list of dict
        Records of the search, with ``choices``: the value of each hyper-parameter by name.
    paper : dict or None
        That of the paper's own setting, or of the profile's, with ``called``, its name.
    names : list of str
        The hyper-parameters that were searched. Real numbers go on a logarithmic axis, all others are categories.
    title : str
        Of which corpus.
    """
    n_columns = min(3, max(1, len(names)))
    n_rows = max(1, -(-len(names) // n_columns))
    figure, grid = plt.subplots(n_rows, n_columns, figsize=(1 + 3.2 * n_columns, 1.2 + 2.4 * n_rows), sharey=True,
                                layout="constrained", squeeze=False)
    for axes in grid.flat[len(names):]:
        axes.axis("off")
    bottom, top = _error_range([*points, *([paper] if paper else [])])
    for axes, name in zip(grid.flat, names):
        _draw_marginal(axes, name, points, paper, top)
        axes.set(xlabel=name, ylim=(bottom, top + 0.06 * (top - bottom)))
    for row in grid:
        row[0].set_ylabel("validation frame error")
    handles = {label: handle for axes in grid.flat for handle, label in zip(*axes.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(f"{len(points)} points of the search: {title}", fontsize=11)
    pictures.save(figure, path)


def _error_range(records):
    """Lowest and highest place of the vertical axis; a little room for what has no error is on top."""
    errors = [record["best_error"] for record in records if record["best_error"] is not None] or [0.0, 1.0]
    room = max(0.08 * (max(errors) - min(errors)), 0.005)
    return min(errors) - room, max(errors) + 2 * room


def _draw_marginal(axes, name, points, paper, top):
    values = [record["choices"][name] for record in points]
    paper_value = paper and paper["choices"][name]
    if all(isinstance(value, float) for value in values):
        axes.set_xscale("log")
        place_of = {value: value for value in [*values, paper_value]}
    else:
        known = set(values) | ({paper_value} if paper else set())
        categories = sorted(known, key=lambda value: (isinstance(value, str), value))
        place_of = {value: place for place, value in enumerate(categories)}
        axes.set_xticks(range(len(categories)), [str(value).replace(", ", ",\n") for value in categories],
                        fontsize=8 if isinstance(categories[-1], str) else None)
        axes.set_xlim(-0.6, len(categories) - 0.4)
        _draw_medians(axes, categories, values, points)
    for status, (colour, marker, filled, label) in STATUSES.items():
        of_status = [(place_of[value], top if record["best_error"] is None else record["best_error"])
                     for value, record in zip(values, points) if record["status"] == status]
        if of_status:
            axes.plot(*zip(*of_status), linestyle="", marker=marker, markersize=5, color=colour, alpha=0.75,
                      markerfacecolor=colour if filled else "none", markeredgewidth=1, label=label,
                      zorder=3 if status == "finished" else 2)
    if paper:
        axes.axvline(place_of[paper_value], color="black", linewidth=0.8, linestyle=":", zorder=1)
        if paper["best_error"] is not None:
            axes.plot(place_of[paper_value], paper["best_error"], linestyle="", marker="D", markersize=7,
                      color="#F0E442", markeredgecolor="black", label=paper["called"], zorder=4)


def _draw_medians(axes, categories, values, points):
    """A bar at the median error of each category's points."""
    for place, category in enumerate(categories):
        errors = [record["best_error"] for value, record in zip(values, points)
                  if value == category and record["best_error"] is not None]
        if errors:
            axes.hlines(np.median(errors), place - 0.32, place + 0.32, color="black", linewidth=2,
                        label="median", zorder=3)


def learning_curves(path, points, paper, n_best, title):
    """Validation error against the epoch of fine-tuning: the best points in colour, the others grey.

    Parameters
    ----------
    path : pathlib.Path
        Without suffix; a PNG is written.
    points : list of dict
        Records of the search, best first.
    paper : dict or None
        That of the paper's own setting, drawn in black.
    n_best : int
        How many are in colour.
    title : str
        Of which corpus.
    """
    figure, axes = plt.subplots(figsize=(8.5, 4.8), layout="constrained")
    best = [record for record in points if record["best_error"] is not None][:n_best]
    others = [record for record in points if record not in best]
    for record in others:
        _draw_curve(axes, record, color="0.8", linewidth=0.7, zorder=1)
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, max(len(best), 1)))
    for rank, (record, colour) in enumerate(zip(best, colours), 1):
        _draw_curve(axes, record, color=colour, linewidth=1.5, label=f"{rank}: point {record['point']}",
                    zorder=4 - rank / 100)
    if paper:
        _draw_curve(axes, paper, color="black", linewidth=1.5, linestyle="--", label=paper["called"], zorder=5)
    axes.set(xlabel="epoch of fine-tuning", ylabel="validation frame error")
    if max((record["epochs"] for record in points), default=0) > 20:
        axes.set_xscale("log")
        axes.xaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), major_formatter="{x:g}", minor_locator=NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    if others:
        handles.append(plt.Line2D([], [], color="0.8"))
        labels.append(f"{len(others)} others")
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=9)
    axes.set_title(f"Learning curves of the search: {title}", fontsize=11)
    pictures.save(figure, path)


def _draw_curve(axes, record, **style):
    """The errors after each epoch; a dot where training ended."""
    tuned = [entry for entry in record["history"] if entry["stage"] == "finetune"]
    axes.plot([entry["epoch"] for entry in tuned], [entry["valid_error"] for entry in tuned], marker="o",
              markersize=3, markevery=[len(tuned) - 1] if tuned else None, **style)
