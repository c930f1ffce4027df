"""Any corpus that is a folder and a table of labels.

Conventions. The table is CSV in UTF-8 with the header ``file,label`` or ``file,label,part``; a file is a path from the
folder with ``/``, and it is the track's name. The part is train, valid, test or excluded, and where the column is there
every row has one.
"""
import csv
from pathlib import Path, PurePosixPath

from dbn.datasets.corpus import PARTS, Corpus, Track
from dbn.datasets.folder import printable, why_unusable
from dbn.errors import DatasetError
from dbn.system.files import lines_of, require_plain_file

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
    require_plain_file(table, DatasetError)
    rows, line_of = {}, {}
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(lines_of(file), strict=True)
            header = next(reader, None)
            if header not in HEADERS:
                raise DatasetError(f"{table}, line 1: the header must be file,label or file,label,part")
            for row in filter(None, reader):
                row[0] = PurePosixPath(row[0]).as_posix() if row[0] else ""  # blues//a.wav is blues/a.wav
                why = _row_error(row, header, line_of)
                if why:
                    raise DatasetError(f"{table}, line {reader.line_num}: {why}")
                rows[row[0]], line_of[row[0]] = row, reader.line_num
    except DatasetError:
        raise
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(f"{table}: not a readable table of labels: {error}") from error
    if not rows:
        raise DatasetError(f"{table}: no rows below the header")
    return rows


def _row_error(row, header, line_of):
    """What is wrong with a row; None if nothing."""
    if len(row) != len(header):
        return f"{len(row)} field(s), expected {','.join(header)}"
    if not all(field.strip() for field in row):
        return "an empty field"
    if not all(field == printable(field) for field in row[1:]):
        return "a line break or a control character in its label"
    name = PurePosixPath(row[0])
    if name.is_absolute() or ".." in name.parts:
        return f"{row[0]!r} is not a path within the folder"
    if row[0] in line_of:
        return f"file {row[0]!r} is in line {line_of[row[0]]} already"
    if len(row) == 3 and row[2] not in ALL_PARTS:
        return f"unknown part {row[2]!r}, expected one of {', '.join(ALL_PARTS)}"
    return None
