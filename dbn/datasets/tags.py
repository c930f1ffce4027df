"""Tags of one's own: a folder of recordings and a table of what holds for each (§5.2).

Conventions. The table is CSV in UTF-8; its files are paths from the folder with ``/``. Two forms are told apart by the
header, and in both there may be a column ``artist``, whose recordings stay on one side of a fold:

- ``file,tag``: a row for each tag that holds for a file;
- ``file`` and a column for each tag, which holds 1 or 0.
"""
from pathlib import Path

import numpy as np

from dbn.datasets.folder import printable, why_unusable
from dbn.datasets.majorminer import Clip, TagCorpus
from dbn.datasets.table import csv_rows, inner_path
from dbn.errors import DatasetError


def load(root, table):
    """The recordings that a table names, with their tags.

    Parameters
    ----------
    root : path-like
        The folder.
    table : path-like
        The CSV file.

    Returns
    -------
    corpus : dbn.datasets.majorminer.TagCorpus
        Clips and tags in the order of the table, no clip without audio.
    skipped : list of (str, str)
        Files that are not there or cannot be used, and why.

    Raises
    ------
    DatasetError
        With the file and the line: another header, an empty field, a field too many or too few, a value that is neither
        0 nor 1, a tag given twice, a file outside the folder, two artists of one file; a table that cannot be read or
        whose files are all unusable.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"{root}: not a folder; give the one that the paths in {table} begin in")
    tags, artists = _read(table)
    clips, skipped = [], []
    for name in artists:
        why = why_unusable(root / name, name)
        if why:
            skipped.append((printable(name), why))
        else:
            clips.append(Clip(name, root / name, artist=artists[name]))
    if not clips:
        raise DatasetError(f"{table}: none of its {len(artists)} files can be used; the first: {': '.join(skipped[0])}")
    matrix = np.array([[clip.id in files for files in tags.values()] for clip in clips])
    return TagCorpus(tuple(clips), tuple(tags), matrix, matrix.sum(axis=0)), skipped


def _read(table):
    """The files of each tag, a dict of sets, and the artist of each file, "" where there is no such column."""
    lines = csv_rows(table, "tags")
    _, header = next(lines)
    names = [name for name in header[1:] if name != "artist"]
    if header[:1] != ["file"] or not names or len(set(header)) < len(header) or not all(map(_is_name, header)):
        raise DatasetError(f"{table}, line 1: the header must be file,tag or file and a column for each tag, and may "
                           "have a column artist")
    is_long = names == ["tag"]
    tags, artists = {} if is_long else {name: set() for name in names}, {}
    for line, row in lines:
        try:
            _add(dict(zip(header, row, strict=True)), names, is_long, tags, artists)
        except ValueError as error:
            why = f"{len(row)} field(s), expected {len(header)}" if len(row) != len(header) else error
            raise DatasetError(f"{table}, line {line}: {why}") from None
    return tags, artists


def _is_name(text):
    return bool(text.strip()) and text == printable(text)


def _add(row, names, is_long, tags, artists):
    """Take a row, a dict; ValueError says what is wrong with it."""
    file, artist = inner_path(row["file"]), row.get("artist", "")
    if not is_long and file in artists:
        raise ValueError(f"file {file!r} has a row already")
    if artists.setdefault(file, artist) != artist:
        raise ValueError(f"file {file!r} has another artist than in a row before")
    if is_long:
        if not _is_name(row["tag"]):
            raise ValueError("the tag is empty, or has a line break or a control character in it")
        given = tags.setdefault(row["tag"], set())
        if file in given:
            raise ValueError(f"file {file!r} has the tag {row['tag']!r} already")
        given.add(file)
        return
    for name in names:
        if row[name] not in ("0", "1"):
            raise ValueError(f"{name} is {row[name]!r}, expected 0 or 1")
        if row[name] == "1":
            tags[name].add(file)
