"""Which songs train, which choose, which are scored: 50/20/30 by song (§4.1).

Conventions. A split names tracks, never frames: all frames of a song are on one side. A split is written as a CSV file
with the columns ``track,part``, so that every result can be repeated on the same songs. The paper does not say whether
its split was stratified, nor gives the songs; :func:`split_by_class` draws the fractions within every class.
"""
from __future__ import annotations

import csv
import math
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dbn.datasets.corpus import PARTS
from dbn.datasets.gtzan import read_index
from dbn.errors import DatasetError
from dbn.system.files import atomic_path, lines_of, require_plain_file

FRACTIONS = (0.5, 0.2, 0.3)
ORDERS = 50  # random orders of the artists that split_by_artist tries


@dataclass(frozen=True)
class Split:
    """Track names of each part; no name is in two of them.

    Attributes
    ----------
    train, valid, test : tuple of str
        Track names.
    excluded : tuple of str
        Tracks left out on purpose; a track in no field at all is one that the split does not know.

    Raises
    ------
    DatasetError
        If a name stands twice.
    """

    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]
    excluded: tuple[str, ...] = ()

    def __post_init__(self):
        parts = {}
        for name, part in self.rows():
            if name in parts:
                raise DatasetError(f"track {name!r} is in {parts[name]} and again in {part}")
            parts[name] = part

    def rows(self):
        """``(track, part)`` pairs in the order of the parts."""
        return [(name, part) for part in (*PARTS, "excluded") for name in getattr(self, part)]


def split_by_class(tracks, seed=0, fractions=FRACTIONS):
    """Draw the same fractions of every class (§4.1).

    The tracks of class number ``i`` (in sorted order) are shuffled by ``np.random.default_rng([seed, i])`` and cut. Of
    ``n`` songs each part gets the whole number below its share of ``n``; the songs left over go one each to the parts
    whose shares lost most (the earlier part if equal), and an empty part takes a song from the largest. 100 songs are
    cut 50/20/30, 10 are cut 5/2/3.

    Parameters
    ----------
    tracks : sequence of Track
        In any order.
    seed : int
        Not negative; the same seed gives the same split.
    fractions : (float, float, float)
        Shares of train, valid and test: positive, with sum 1.

    Returns
    -------
    Split
        Each part sorted.

    Raises
    ------
    DatasetError
        If a class has fewer than three songs, or the seed or the fractions are none.
    """
    _check_draw(tracks, seed, fractions)
    parts = ([], [], [])
    for number, (label, names) in enumerate(_names_by_class(tracks).items()):
        if len(names) < len(PARTS):
            raise DatasetError(f"class {label!r} has {len(names)} song(s), and train, valid and test need one each; "
                               f"add songs or remove the class")
        order = np.random.default_rng([seed, number]).permutation(len(names))
        cuts = np.cumsum(_whole_shares(len(names), fractions))[:-1]
        for part, chosen in zip(parts, np.split(order, cuts)):
            part += [names[i] for i in chosen]
    return Split(*(tuple(sorted(part)) for part in parts))


def _whole_shares(n, fractions):
    """Whole numbers with sum `n` near ``n * fractions``, none of them zero (largest remainder; needs n >= 3)."""
    shares = n * np.asarray(fractions, dtype=np.float64)
    whole = np.floor(shares + 1e-9).astype(int)  # 0.3 * 10 may come out a rounding error below 3
    lost_most = np.argsort(-np.round(shares - whole, 9), kind="stable")
    whole[lost_most[:n - whole.sum()]] += 1
    while whole.min() == 0:
        whole[whole.argmax()] -= 1
        whole[whole.argmin()] += 1
    return whole


def split_by_artist(tracks, seed=0, fractions=FRACTIONS):
    """Draw about the same fractions of every class, with no artist in two parts.

    The paper's split knows no artists, and a system can score by recognising them. Here the artists are taken in a
    random order, and each goes to the part that leaves the class counts nearest (in squared difference, summed over
    classes and parts) to the wished ones, unless another part would then find no artist any more for some class. Of
    ``ORDERS`` such orders the one that ends nearest is kept. Songs whose artist is unknown could be anybody's: they
    are excluded.

    Parameters
    ----------
    tracks, seed, fractions
        As for :func:`split_by_class`.

    Returns
    -------
    Split
        Each part sorted; `excluded` holds the songs of unknown artists.

    Raises
    ------
    DatasetError
        If a class has fewer than three known artists, or artists shared between classes leave a part without songs
        of some class.
    """
    _check_draw(tracks, seed, fractions)
    labels = sorted({track.label for track in tracks})
    artists = sorted({track.artist for track in tracks if track.artist})
    songs = np.zeros((len(artists), len(labels)), dtype=int)  # of every artist in every class
    for track in tracks:
        if track.artist:
            songs[artists.index(track.artist), labels.index(track.label)] += 1
    for label, n_artists in zip(labels, (songs > 0).sum(axis=0)):
        if n_artists < len(PARTS):
            raise DatasetError(f"class {label!r} has {n_artists} known artist(s), and train, valid and test need one "
                               f"each; split by class instead, or add songs by other artists")
    wished = np.outer(fractions, songs.sum(axis=0))
    rng = np.random.default_rng(seed)
    drawn = [_place(songs, wished, rng.permutation(len(artists))) for _ in range(ORDERS)]
    n_empty, _, part_of = min(drawn, key=lambda result: result[:2])
    if n_empty:
        raise DatasetError("no split by artist found that has songs of every class in train, valid and test: too many "
                           "artists are in several classes; split by class instead")
    parts = dict(zip(artists, part_of))
    chosen = [tuple(sorted(track.name for track in tracks if parts.get(track.artist) == number))
              for number in range(len(PARTS))]
    return Split(*chosen, excluded=tuple(sorted(track.name for track in tracks if not track.artist)))


def _place(songs, wished, order):
    """One greedy pass of :func:`split_by_artist`.

    Parameters
    ----------
    songs : int [n_artists, n_classes]
    wished : float [3, n_classes]
        Songs wanted in each part.
    order : int [n_artists]

    Returns
    -------
    (int, float, int [n_artists])
        Parts left without a class, summed over the classes; the squared difference; the part of every artist.
    """
    part_of = np.empty(len(songs), dtype=int)
    counts = np.zeros(wished.shape, dtype=int)
    to_come = (songs > 0).sum(axis=0)  # artists of every class not yet placed
    for artist in order:
        to_come -= songs[artist] > 0
        choices = counts + np.eye(len(PARTS), dtype=int)[:, :, np.newaxis] * songs[artist]  # [choice, part, class]
        n_empty = np.maximum((choices == 0).sum(axis=1) - to_come, 0).sum(axis=1)  # that nobody can fill any more
        distance = ((choices - wished) ** 2).sum(axis=(1, 2))
        best = np.lexsort((distance, n_empty))[0]
        part_of[artist], counts = best, choices[best]
    return int(n_empty[best]), float(distance[best]), part_of


def sturm_split(tracks, index_path=None):
    """The Sturm-filtered split of GTZAN: copies, distorted clips and artists in two parts taken out.

    Parameters
    ----------
    tracks : sequence of Track
        GTZAN tracks, all or some.
    index_path : path-like, optional
        Another track list than the project's.

    Returns
    -------
    Split
        443/197/290 songs of the whole data set, and 70 in `excluded`; of these, the ones among `tracks`.

    Raises
    ------
    DatasetError
        If a track is none of GTZAN's, or a part would be empty.

    References
    ----------
    C. Kereliuk, B. L. Sturm and J. Larsen. Deep learning and music adversaries. IEEE Transactions on Multimedia
    17(11), 2015: the fault-filtered partition.
    """
    entries = read_index(index_path)
    parts = defaultdict(list)
    for name in sorted(track.name for track in tracks):
        if name not in entries:
            raise DatasetError(f"track {name!r} is not in GTZAN's list; the Sturm-filtered split is for GTZAN alone")
        parts[entries[name].part].append(name)
    empty = [part for part in PARTS if not parts[part]]
    if empty:
        raise DatasetError(f"none of these {len(tracks)} tracks is in {' or '.join(empty)} of the Sturm-filtered "
                           f"split; use more of GTZAN, or split by class")
    return Split(*(tuple(parts[part]) for part in (*PARTS, "excluded")))


def write_split(split, path):
    """Write a split as CSV (UTF-8, columns ``track,part``), whole or not at all.

    Raises
    ------
    DatasetError
        If the file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([("track", "part"), *split.rows()])
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written: {error.strerror}") from error


def read_split(path, tracks=None):
    """Read a split that :func:`write_split`, or a person, wrote.

    Parameters
    ----------
    path : path-like
        CSV with the header ``track,part``; a part is train, valid, test or excluded.
    tracks : sequence of Track, optional
        The corpus; then a name that it does not have is an error.

    Returns
    -------
    Split
        Names in the file's order.

    Raises
    ------
    DatasetError
        With the file and the line: another header, a line that is not two fields, an unknown part, a name twice, a
        name that is not among `tracks`; or a file that cannot be read.
    """
    require_plain_file(path, DatasetError)
    known = None if tracks is None else {track.name for track in tracks}
    parts = {part: {} for part in (*PARTS, "excluded")}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:  # spreadsheets begin with a byte-order mark
            rows = csv.reader(lines_of(file))
            if next(rows, None) != ["track", "part"]:
                raise DatasetError(f"{path}, line 1: the header must be track,part")
            for row in rows:
                why = _row_error(row, parts, known)
                if why:
                    raise DatasetError(f"{path}, line {rows.line_num}: {why}")
                parts[row[1]][row[0]] = rows.line_num
    except DatasetError:
        raise
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(f"{path}: not a readable split: {error}") from error
    return Split(*map(tuple, parts.values()))


def _row_error(row, parts, known):
    """What is wrong with a row of a split file; None if nothing."""
    if len(row) != 2:
        return f"{len(row)} fields, expected track,part"
    name, part = row
    if part not in parts:
        return f"unknown part {part!r}, expected one of {', '.join(parts)}"
    for earlier in parts.values():
        if name in earlier:
            return f"track {name!r} is in line {earlier[name]} already"
    if known is not None and name not in known:
        return f"track {name!r} is not in the corpus"
    return None


def check_split(split, tracks):
    """How a split fits a corpus.

    Returns
    -------
    missing : list of str
        Names in train, valid or test that are not among `tracks`.
    unused : list of str
        Tracks that the split does not name at all.
    """
    names = {track.name for track in tracks}
    placed = {name for name, part in split.rows() if part in PARTS}
    return sorted(placed - names), sorted(names - placed - set(split.excluded))


def identical_across(split, pairs):
    """Those of `pairs` whose tracks are in two different parts.

    Parameters
    ----------
    split : Split
    pairs : iterable of (str, str)
        Names of identical tracks, from :func:`dbn.datasets.gtzan.identical_pairs` or
        :func:`dbn.datasets.identical.identical_files`.

    Returns
    -------
    list of (str, str)
    """
    part_of = {name: part for name, part in split.rows() if part in PARTS}
    return [(one, other) for one, other in pairs
            if one in part_of and other in part_of and part_of[one] != part_of[other]]


def identical_text(split, pairs):
    """What :func:`identical_across` finds, in words: each pair with its parts; "" if there is none."""
    part_of = dict(split.rows())
    found = [f"{one} ({part_of[one]}) = {other} ({part_of[other]})" for one, other in identical_across(split, pairs)]
    if not found:
        return ""
    return f"{len(found)} pair(s) of identical files are on two sides of the split: {', '.join(found)}"


def warn_identical(split, pairs):
    """One warning (UserWarning) that names the identical tracks on two sides of the split; none if there are none."""
    text = identical_text(split, pairs)
    if text:
        warnings.warn(text, stacklevel=2)


def _names_by_class(tracks):
    """Sorted track names of every class, classes in sorted order."""
    return {label: sorted(track.name for track in tracks if track.label == label)
            for label in sorted({track.label for track in tracks})}


def _check_draw(tracks, seed, fractions):
    """Raise unless a split can be drawn with this seed and these fractions."""
    if not tracks:
        raise DatasetError("no tracks to split")
    if seed < 0:
        raise DatasetError(f"seed {seed}: must not be negative")
    check_fractions(fractions)


def check_fractions(fractions, name="fractions"):
    """Raise a :class:`DatasetError` unless these are shares of train, valid and test; `name` is for its message."""
    if len(fractions) != len(PARTS) or not min(fractions) > 0 or not math.isclose(sum(fractions), 1, abs_tol=1e-9):
        raise DatasetError(f"{name} {fractions}: must be three positive numbers with sum 1, "
                           f"for train, valid and test")
