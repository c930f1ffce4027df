"""CSV tables of one's own, in UTF-8, whose files are paths from a folder with ``/``."""
import csv
from pathlib import PurePosixPath

from dbn.errors import DatasetError
from dbn.system.files import lines_of, require_plain_file


def csv_rows(path, what):
    """The rows of a table, its header first.

    Parameters
    ----------
    path : path-like
        The table.
    what : str
        What it is a table of, for the messages.

    Yields
    ------
    line : int
        Number of the row's last line, from 1.
    row : list of str
        Its fields. The header's is empty where the first line is; other empty lines are left out.

    Raises
    ------
    DatasetError
        A table that cannot be read, is not CSV, or has no rows below the header.
    """
    require_plain_file(path, DatasetError)
    is_empty = True
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(lines_of(file), strict=True)
            yield 1, next(reader, [])
            for row in filter(None, reader):
                yield reader.line_num, row
                is_empty = False
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(f"{path}: not a readable table of {what}: {error}") from error
    if is_empty:
        raise DatasetError(f"{path}: no rows below the header")


def inner_path(text):
    """A path within a folder in its plain form: ``blues//a.wav`` is ``blues/a.wav``.

    Raises
    ------
    ValueError
        Nothing but blanks, or a path that leads out of the folder.
    """
    path = PurePosixPath(text)
    if not text.strip() or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{text!r} is not a path within the folder")
    return path.as_posix()
