"""Figure 2: t-SNE of the inputs, the MFCCs and the learned features of the same test frames (§4.1).

The paper says in words that the hidden layers cluster more definitely. Beside the picture stands a number that
measures it: the share of a point's nearest neighbours which are of its own genre, in the original space and in the
plane. Frames of one song are near duplicates of each other, so it is given a second time with them left out.
"""
import time
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from scipy.spatial.distance import cdist

from dbn.audio.scaling import Scaling
from dbn.errors import DBNError
from dbn.explorer.plane import embed, frames_a_song
from dbn.system.workers import in_parallel
from experiments.steps import pictures
from experiments.steps.features import FeatureSets, mfcc_rows, mfcc_versions
from experiments.steps.options import parse, run_script
from experiments.steps.pipeline import prepared_runs
from experiments.steps.reporting import corpus_name, markdown_table, network_text, table_result, write_table

# Ten colours of different lightness and hue (Tol's muted scheme, black for its pale grey), ten markers of different
# outline: a reader who confuses two colours still tells the genres apart.
COLOURS = ("#332288", "#DDCC77", "#117733", "#CC6677", "#88CCEE", "#882255", "#44AA99", "#AA4499", "#999933", "#000000")
MARKERS = ("P", "s", "^", "X", "v", "D", "o", "<", "*", ">")
SIZES = {"D": 0.85, "*": 1.4, "P": 1.15, "X": 1.1}  # beside 1 of the others, so that all look equally large

_BLOCK_ROWS = 512  # of the distance matrix at a time


@dataclass(frozen=True)
class Drawn:
    """The frames that every panel shows.

    Attributes
    ----------
    rows : int array [n]
        Of the frame store, increasing.
    labels : int array [n]
        Class numbers.
    songs : int array [n]
        Which song a frame is of.
    """

    rows: np.ndarray
    labels: np.ndarray
    songs: np.ndarray


@dataclass(frozen=True)
class Panel:
    """One representation of the drawn frames.

    Attributes
    ----------
    name : str
        The paper's name of it.
    points : float32 [n, 2]
        In the plane.
    row : dict
        ``name``, ``dimensions``, and the shares ``neighbour_share_space``, ``neighbour_share_plane``,
        ``other_songs_share_space``, ``other_songs_share_plane`` of :func:`neighbour_shares`.
    """

    name: str
    points: np.ndarray
    row: dict


def main(argv=None):
    """Make the panels of the first seed's network, draw them, write and print their numbers."""
    options = parse(__doc__.splitlines()[0], argv)
    options.repeats = 1  # one network is drawn
    print(f"Figure 2: {options.dataset}, profile {options.profile_name}; results go to {options.out}", flush=True)
    corpora, runs = prepared_runs(options)
    started = time.monotonic()
    drawn = draw_frames(runs[0])
    panels = make_panels(runs[0], drawn, options.jobs)
    seconds = corpora.seconds() | {"figure2": time.monotonic() - started}
    parts = [*runs[0].parts, ("MFCCs", mfcc_versions(corpora, corpora.profile))]
    result = table_result("figure2", options, corpora, runs, [panel.row for panel in panels], seconds, parts)
    result |= {"n_frames": len(drawn.rows), "n_songs_drawn": len(np.unique(drawn.songs)), "chance": chance(drawn)}
    figure = draw(panels, drawn, corpora.corpus.classes, title(result))
    pictures.save(figure, options.out / "figure2", formats=(".png", ".pdf"))
    write_table(options.out, result, as_markdown(result))


def draw_frames(run):
    """Draw ``figure2_frames`` frames of the test songs, as many of each song, at random with the run's seed.

    Parameters
    ----------
    run : experiments.steps.pipeline.Run
        The run.

    Returns
    -------
    Drawn

    Raises
    ------
    DBNError
        A number that is not above 0; too few frames or songs for the perplexity or the neighbours.
    """
    for name in ("frames", "perplexity", "neighbours"):
        if getattr(run.profile, f"figure2_{name}") <= 0:
            raise DBNError(f"--figure2-{name} is {getattr(run.profile, f'figure2_{name}')}: give a number above 0")
    by_name = {song.name: song for song in run.corpora.store.songs}
    songs = [by_name[name] for name in run.split.test if name in by_name]
    rng = np.random.default_rng([run.seed, 3])
    quotas = frames_a_song(run.profile.figure2_frames, len(songs), rng)
    chosen = [np.sort(rng.permutation(np.arange(song.start, song.stop))[:quota]) for song, quota in zip(songs, quotas)]
    numbers = np.repeat(np.arange(len(songs)), [len(rows) for rows in chosen])
    drawn = Drawn(np.concatenate(chosen), np.array([song.label for song in songs])[numbers], numbers)
    _check_enough(drawn, run.profile)
    order = np.argsort(drawn.rows)  # the store is read from front to back
    return Drawn(drawn.rows[order], drawn.labels[order], drawn.songs[order])


def _check_enough(drawn, profile):
    n, neighbours = len(drawn.rows), profile.figure2_neighbours
    others = n - np.bincount(drawn.songs).max()
    if n <= profile.figure2_perplexity or others < neighbours:
        raise DBNError(f"Figure 2 has {n} frames of {len(np.unique(drawn.songs))} test songs, too few for a "
                       f"perplexity of {profile.figure2_perplexity:g} and {neighbours} neighbours in other songs: "
                       "raise --figure2-frames or lower --figure2-perplexity or --figure2-neighbours")


def representations(run, drawn):
    """What the panels show: the inputs as the network sees them, standardised MFCCs, the activations.

    Parameters
    ----------
    run : experiments.steps.pipeline.Run
        The run.
    drawn : Drawn
        Its frames.

    Returns
    -------
    dict of str to float32 [n, d]
        By the panel's name.
    """
    features = FeatureSets(run)
    at_rows = features.at(drawn.rows)
    training = features.songs(run.split.train)
    mfccs = mfcc_rows(run.corpora, run.profile)
    scaling = Scaling("standardize").fit(mfccs[song.start:song.stop] for song in training)
    at_rows["MFCCs"] = scaling.transform(at_rows["MFCCs"])
    return {"Inputs (DFTs)": run.model.scaling.transform(features.store.frames[drawn.rows])} | at_rows


def make_panels(run, drawn, jobs=1):
    """Embed and measure every representation, `jobs` of them at a time: list of :class:`Panel`."""
    profile = run.profile
    return list(in_parallel(make_panel, (
        (name, x, drawn, profile.figure2_perplexity, profile.figure2_neighbours, run.seed)
        for name, x in representations(run, drawn).items()), jobs))


def make_panel(name, x, drawn, perplexity, n_neighbours, seed):
    """The :class:`Panel` of one representation `x` float32 [n, d] of the `drawn` frames."""
    points = embed(x, perplexity, seed)
    row = {"name": name, "dimensions": x.shape[1]}
    for where, coordinates in (("space", x), ("plane", points)):
        row[f"neighbour_share_{where}"] = neighbour_share(coordinates, drawn.labels, n_neighbours)
        row[f"other_songs_share_{where}"] = neighbour_share(coordinates, drawn.labels, n_neighbours, drawn.songs)
    return Panel(name, points, row)


def neighbour_share(x, labels, n_neighbours, songs=None):
    """Share of a point's nearest neighbours (Euclidean) that are of its own class, mean over the points.

    Parameters
    ----------
    x : float array [n, d]
        Points.
    labels : int array [n]
        Classes.
    n_neighbours : int
        How many neighbours; the point itself is none.
    songs : int array [n], optional
        Points of the same song are no neighbours either.

    Returns
    -------
    float
        Between 0 and 1.
    """
    x = np.asarray(x, dtype=np.float64)
    own = np.arange(len(x)) if songs is None else songs
    n_same = 0
    for start in range(0, len(x), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        distances = cdist(x[rows], x)
        distances[own[rows, None] == own] = np.inf
        nearest = np.argpartition(distances, n_neighbours - 1, axis=1)[:, :n_neighbours]
        n_same += (labels[nearest] == labels[rows, None]).sum()
    return float(n_same / (len(x) * n_neighbours))


def chance(drawn):
    """What :func:`neighbour_share` is on average where neighbours are drawn blindly: dict of two shares."""
    same_class = drawn.labels[:, None] == drawn.labels
    shares = {}
    for name, own in (("neighbour_share", np.arange(len(drawn.rows))), ("other_songs_share", drawn.songs)):
        may_be = own[:, None] != own
        shares[name] = float(((same_class & may_be).sum(axis=1) / may_be.sum(axis=1)).mean())
    return shares


def title(result):
    """What the picture shows, in one line that says so where the corpus is synthetic."""
    return (f"t-SNE of {result['n_frames']:,} frames of {result['n_songs_drawn']} test songs "
            f"({corpus_name(result['dataset'])}, profile {result['profile']}, seed {result['seed']})")


def draw(panels, drawn, classes, heading):
    """The picture.

    Parameters
    ----------
    panels : list of Panel
        One a representation.
    drawn : Drawn
        Their frames.
    classes : sequence of str
        Names of the classes.
    heading : str
        Stands above the panels.

    Returns
    -------
    matplotlib.figure.Figure
    """
    n_columns = 2 if len(panels) == 4 else min(len(panels), 3)
    n_rows = -(-len(panels) // n_columns)
    figure, grid = plt.subplots(n_rows, n_columns, figsize=(3.6 * n_columns, 0.9 + 4.1 * n_rows),
                                layout="constrained", squeeze=False)
    for axes in grid.flat[len(panels):]:
        axes.axis("off")
    order = np.random.default_rng(0).permutation(len(drawn.rows))  # no genre lies on top of all others
    for axes, panel in zip(grid.flat, panels):
        _draw_points(axes, panel.points, drawn.labels, order)
        axes.set_title(panel.name, fontsize=11)
        axes.set_xlabel(_shares_text(panel.row), fontsize=8.5)
    shown = np.unique(drawn.labels)
    handles = [Line2D([], [], linestyle="", label=classes[label], **style(label, 7)) for label in shown]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(5, len(handles)), frameon=False)
    blind = chance(drawn)
    figure.suptitle(f"{heading}\nBelow each panel: share of a frame's nearest neighbours that are of its genre; "
                    f"by chance {blind['neighbour_share']:.2f}, in other songs {blind['other_songs_share']:.2f}",
                    fontsize=10)
    return figure


def style(label, size):
    """Colour and marker, of `size` in points, of a class number: different for the first hundred classes."""
    marker = MARKERS[(label + label // len(COLOURS)) % len(MARKERS)]
    return {"color": COLOURS[label % len(COLOURS)], "marker": marker, "markersize": size * SIZES.get(marker, 1),
            "markeredgewidth": 0.04 * size, "markeredgecolor": "white"}


def _draw_points(axes, points, labels, order):
    """Points in `order`, in parts so that each part of a class lies among the others."""
    size = float(np.clip(130 / np.sqrt(len(points)), 3, 6))
    for part in np.array_split(order, 10):
        for label in np.unique(labels[part]):
            x, y = points[part[labels[part] == label]].T
            axes.plot(x, y, linestyle="", **style(label, size))
    axes.set(xticks=[], yticks=[])
    axes.margins(0.03)


def _shares_text(row):
    return "\n".join(f"{what}: {row[f'{kind}_space']:.2f} (in this plane {row[f'{kind}_plane']:.2f})" for what, kind in
                     (("all songs", "neighbour_share"), ("other songs only", "other_songs_share")))


def as_markdown(result):
    """The numbers below the panels as a table."""
    rows = [[row["name"], row["dimensions"], *(f"{row[f'{kind}_{where}']:.3f}"
                                               for kind in ("neighbour_share", "other_songs_share")
                                               for where in ("space", "plane"))] for row in result["rows"]]
    blind = [f"{result['chance'][kind]:.3f}" for kind in ("neighbour_share", "other_songs_share")]
    rows.append(["by chance", "", blind[0], blind[0], blind[1], blind[1]])
    table = markdown_table(["", "dimensions", "original space", "plane", "other songs, space", "other songs, plane"],
                           rows)
    return (f"## Figure 2: {title(result)}\n\nShare of a point's {result['settings']['figure2_neighbours']} nearest "
            "neighbours that are of its own genre, in the original space and in the plane of t-SNE. Frames of one song "
            f"are near duplicates: \"other songs\" leaves them out.{network_text(result)}\n\n{table}")


if __name__ == "__main__":
    run_script(main)
