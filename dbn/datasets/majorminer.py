"""MajorMiner: 10 s clips with the tags that players of a game gave them (§5.2, Mandel and Ellis 2008).

Conventions. A list of tags is UTF-8 text with one line for each clip and tag, its columns separated by tabs, without
a heading. Two public forms are read, told apart by the first line:

- seven columns: clip id, title, artist, album, offset in the track (``"3:20"``), tag, count;
- three columns: tag, count, path of the clip. Title, artist, album and offset are unknown then, and the path is the id.

`count` is the number of players who gave the clip the tag. Apostrophes may stand behind a backslash (``Let\\'s``), as
databases write them. The audio is not public; who has it puts it into one folder, in any format that libsndfile
reads: named by clip id for the first form, by the list's path or by its file name alone for the second.

References
----------
M. I. Mandel and D. P. W. Ellis. A web-based game for collecting music metadata. Journal of New Music Research 37(2),
2008.
"""
from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from dbn.datasets.folder import READABLE, UNREADABLE
from dbn.errors import DatasetError
from dbn.system.files import lines_of, require_plain_file

COLUMNS = {7: "clip, title, artist, album, offset, tag, count", 3: "tag, count, path"}


@dataclass(frozen=True)
class Clip:
    """One clip; `path` is None where there is no audio, what a list does not say is ""."""

    id: str
    path: Path | None = None
    title: str = ""
    artist: str = ""
    album: str = ""
    offset: str = ""


@dataclass(frozen=True)
class TagCorpus:
    """Clips and the tags that hold for them.

    Attributes
    ----------
    clips : tuple of Clip
        All clips of the list, in its order, with or without audio.
    tags : tuple of str
        The most popular tags, the most popular one first; equally popular ones by name.
    matrix : bool array [n_clips, n_tags]
        Whether a tag holds for a clip: enough players gave it.
    popularity : int array [n_tags]
        For how many clips of the whole list, with or without audio, each tag holds.
    missing : tuple of str
        Ids of the clips without audio.
    skipped : tuple of (int, str)
        Lines that do not count, by number, and why.
    """

    clips: tuple[Clip, ...]
    tags: tuple[str, ...]
    matrix: np.ndarray
    popularity: np.ndarray
    missing: tuple[str, ...] = ()
    skipped: tuple[tuple[int, str], ...] = ()


def load(tags_path, audio=None, min_count=2, n_tags=25):
    """Read a list of tags, and find the clips' audio.

    Nothing is decoded here: a damaged file shows when its features are computed.

    Parameters
    ----------
    tags_path : path-like
        The list, in either form.
    audio : path-like, optional
        Folder of the audio files, searched at any depth. Without it every clip is missing.
    min_count : int
        A tag holds for a clip from so many players on; one player alone may err.
    n_tags : int
        How many tags to keep, the most popular ones. A list with fewer gives all that it has.

    Returns
    -------
    TagCorpus

    Raises
    ------
    DatasetError
        Options below 1; a list that cannot be read, is empty or has a malformed line (named by its number); a tag
        that holds for no clip left; an audio folder that is none, or with two files for one clip.

    Examples
    --------
    >>> corpus = load("data/majorminer/clips.tsv", audio="data/majorminer/audio")  # doctest: +SKIP
    >>> corpus.tags[:3], corpus.popularity[:3]  # doctest: +SKIP
    (('drums', 'guitar', 'male'), array([1095,  883,  684]))
    """
    for name, value in (("min_count", min_count), ("n_tags", n_tags)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise DatasetError(f"{name}={value!r}: give a whole number from 1 on")
    clips, counts, skipped = _read(Path(tags_path))
    holding = [pair for pair, count in counts.items() if count >= min_count]
    clips_with = Counter(tag for _, tag in holding)
    if not clips_with:
        raise DatasetError(f"{tags_path}: no tag was given to any clip by {min_count} players; lower min_count")
    tags = tuple(sorted(clips_with, key=lambda tag: (-clips_with[tag], tag))[:n_tags])
    row = {clip: i for i, clip in enumerate(clips)}
    column = {tag: i for i, tag in enumerate(tags)}
    matrix = np.zeros((len(clips), len(tags)), dtype=bool)
    for clip, tag in holding:
        if tag in column:
            matrix[row[clip], column[tag]] = True
    files = ({}, {}) if audio is None else _audio_files(Path(audio))
    placed = tuple(Clip(name, _audio_of(name, *files), *about) for name, about in clips.items())
    return TagCorpus(placed, tags, matrix, matrix.sum(axis=0),
                     tuple(clip.id for clip in placed if clip.path is None), tuple(skipped))


# --- the list ---

def _read(path):
    """The list: dict of id to (title, artist, album, offset), dict of (id, tag) to count, lines that do not count."""
    clips, counts, lines, skipped = {}, {}, {}, []
    n_columns = None
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        cells = [cell.strip().replace("\\'", "'") for cell in line.split("\t")]
        n_columns = n_columns or len(cells)
        if len(cells) != n_columns or n_columns not in COLUMNS:
            raise DatasetError(f"{path}, line {number}: {len(cells)} columns separated by tabs; every line must have "
                               f"seven ({COLUMNS[7]}), or every line three ({COLUMNS[3]})")
        clip, about, tag, count = _row(cells, f"{path}, line {number}")
        if clips.setdefault(clip, about) != about:
            raise DatasetError(f"{path}, line {number}: clip {clip} has another title, artist, album or offset than "
                               "in a line before")
        if (clip, tag) in counts:
            skipped.append((number, f"clip {clip} and tag {tag!r} again; line {lines[clip, tag]} counts"))
        else:
            counts[clip, tag], lines[clip, tag] = count, number
    if not clips:
        raise DatasetError(f"{path}: an empty list of tags")
    return clips, counts, skipped


def _lines(path):
    require_plain_file(path, DatasetError)
    try:
        with open(path, encoding="utf-8-sig") as file:
            yield from lines_of(file)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: not a readable list of tags: {error}; see data/README.md for its form") from error


def _row(cells, place):
    """One line as (clip, (title, artist, album, offset), tag, count)."""
    if len(cells) == 7:
        clip, *about, tag, count = cells
    else:
        tag, count, clip = cells
        about = []
    if not clip or not tag:
        raise DatasetError(f"{place}: the {'tag' if clip else 'clip'} is empty")
    if not re.fullmatch("[0-9]{1,9}", count):
        raise DatasetError(f"{place}: the count of players is {count[:20]!r}, not a whole number below a billion")
    return clip, tuple(about), tag, int(count)


# --- the audio ---

def _audio_files(folder):
    """Audio files below a folder by their paths from it, and by their bare names, both without suffix: two dicts."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; name the one that holds the clips' audio files")
    by_path, by_name = {}, {}
    for directory, subfolders, names in os.walk(folder):
        subfolders.sort()
        for name in sorted(names):
            path = Path(directory, name)
            if not name.startswith(".") and path.suffix.lower() in READABLE:
                by_path.setdefault(path.relative_to(folder).with_suffix("").as_posix(), []).append(path)
                by_name.setdefault(path.stem, []).append(path)
    return by_path, by_name


def _audio_of(clip, by_path, by_name):
    """The file of a clip, None if there is none; of one clip in two formats the first by name is taken."""
    name = PurePosixPath(clip)
    if name.suffix.lower() in READABLE | UNREADABLE:
        name = name.with_suffix("")
    found = by_path.get(name.as_posix()) or by_name.get(name.name) or [None]
    if found[0] and len({path.parent for path in found}) > 1:
        raise DatasetError(f"clip {clip}: two files have its name, {found[0]} and {found[-1]}; take one of them away, "
                           "or keep both at the paths that the list gives")
    return found[0]
