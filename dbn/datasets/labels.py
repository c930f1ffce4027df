"""Any corpus that is a folder and a table of labels.

Conventions. The table is CSV in UTF-8 with the header ``file,label`` or ``file,label,part``; a file is a path from the
folder with ``/``, and it is the track's name. The part is train, valid, test or excluded, and where the column is there
every row has one.
"""
from pathlib import Path

from dbn.datasets.corpus import PARTS, Corpus, Track
from dbn.datasets.folder import printable, why_unusable
from dbn.datasets.table import csv_rows, inner_path
from dbn.errors import DatasetError

HEADERS = (["file", "label"], ["file", "label", "part"])
ALL_PARTS = (*PARTS, "excluded")


def load(root, table):
    """The audio files that a table names, with its labels.

    Parameters
    ----------
    root : path-like
        The folder.
    table : path-like
        The CSV file.

    Returns
    -------
    corpus : Corpus
        Named ``"folder"``; artists are unknown. `skipped` names the files that are not there or have no usable name.
    parts : dict of str to str, or None
        The part of every track that is not skipped, if the table has that column.

    Raises
    ------
    DatasetError
        With the file and the line: another header, an empty field, a field too many or too few, an unknown part, a
        file twice or outside the folder; a table that cannot be read, or one with fewer than two labels.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"{root}: not a folder; give the one that the paths in {table} begin in")
    rows = _rows(table)
    tracks, skipped = [], []
    for name, label, *_ in rows.values():
        why = why_unusable(root / name, name)
        if why:
            skipped.append((printable(name), why))
        else:
            tracks.append(Track(name, root / name, label))
    labels = tuple(sorted({track.label for track in tracks}))
    if len(labels) < 2:
        why = f", as {len(skipped)} files cannot be used; the first: {': '.join(skipped[0])}" if skipped else ""
        raise DatasetError(f"{table}: {len(labels)} label(s); two are needed{why}")
    corpus = Corpus("folder", labels, tuple(sorted(tracks, key=lambda track: track.name)), tuple(sorted(skipped)))
    if any(len(row) < 3 for row in rows.values()):
        return corpus, None
    return corpus, {track.name: rows[track.name][2] for track in corpus.tracks}


def _rows(table):
    """The table's rows by file, checked."""
    lines = csv_rows(table, "labels")
    _, header = next(lines)
    if header not in HEADERS:
        raise DatasetError(f"{table}, line 1: the header must be file,label or file,label,part")
    rows, line_of = {}, {}
    for line, row in lines:
        try:
            name = _checked_name(row, header)
            if name in rows:
                raise ValueError(f"file {name!r} is in line {line_of[name]} already")
        except ValueError as error:
            raise DatasetError(f"{table}, line {line}: {error}") from None
        rows[name], line_of[name] = [name, *row[1:]], line
    return rows


def _checked_name(row, header):
    """The file of a row; ValueError says what is wrong with the row."""
    if len(row) != len(header):
        raise ValueError(f"{len(row)} field(s), expected {','.join(header)}")
    if not all(field.strip() for field in row):
        raise ValueError("an empty field")
    if not all(field == printable(field) for field in row[1:]):
        raise ValueError("a line break or a control character in its label")
    if len(row) == 3 and row[2] not in ALL_PARTS:
        raise ValueError(f"unknown part {row[2]!r}, expected one of {', '.join(ALL_PARTS)}")
    return inner_path(row[0])
