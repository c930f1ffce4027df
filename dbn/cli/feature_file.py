"""Features of many recordings in one file, put together from one part a recording, or a file for each of them.

A part is a ``.npy`` file of a recording's rows, float32 [n, d]; it goes away as its rows are taken, so that all of them
are on the disk once. What is written, by the name of the output:

``.npz``, to be read with ``numpy.load(path)``:

=========  ==================  ==========================================================================
array      dtype and shape     content
=========  ==================  ==========================================================================
names      str [n_files]       the files, in the order given; odd characters escaped, "-" is standard input
starts     int64 [n_files]     first row of each file
lengths    int64 [n_files]     rows of each file
times      float64 [n_rows]    start of each row's frame or window in its recording, in seconds
columns    str [d]             ``layer1_unit0`` ..., with ``_mean`` and ``_variance`` for windows
features   float32 [n_rows, d]
=========  ==================  ==========================================================================

``.npy``: the features alone, which ``numpy.load(path, mmap_mode="r")`` maps into memory, and beside them
``<name>.json`` with "names", "starts", "lengths", "columns", and "hop", the seconds from one row to the next.

``.csv``: the columns ``file``, ``time`` and then those; nine digits, which give each float32 back.

A folder: a ``.npy`` for each recording, and ``index.json`` with "columns", "hop" and "files", a list of objects with
"name", "file" and "rows".

The same features give the same bytes.
"""
import csv
import io
import json
import os
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dbn.errors import DBNError
from dbn.system.files import atomic_path, disk_errors, npy_header, rename

INDEX = "index.json"  # of a folder of features

_BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Features:
    """What is to be written.

    Attributes
    ----------
    names : list of str
        Of the recordings.
    parts : list of pathlib.Path
        Of each recording's rows.
    columns : list of str, [d]
    hop : float
        Seconds from one row's start to the next one's.
    """

    names: list
    parts: list
    columns: list
    hop: float

    @cached_property
    def lengths(self):
        """Rows of each recording: int64 [n_files]."""
        return np.array([part_length(part, len(self.columns)) for part in self.parts], dtype=np.int64)

    @property
    def starts(self):
        """First row of each recording: int64 [n_files]."""
        lengths = self.lengths
        return np.cumsum(lengths) - lengths

    def about(self):
        """What ``.npz`` and ``.json`` say beside the rows: a dict of arrays."""
        return {"names": np.array(self.names, dtype=str), "starts": self.starts, "lengths": self.lengths,
                "columns": np.array(self.columns)}

    def blocks(self):
        """Each recording's number, its rows block by block, float32 [m, d], and the times float64 [m] of these."""
        width = len(self.columns)
        for number, (part, length) in enumerate(zip(self.parts, self.lengths.tolist())):
            with open(part, "rb") as file:
                file.seek(len(npy_header(0, width)))
                for start in range(0, length, _BLOCK_ROWS):
                    n = min(_BLOCK_ROWS, length - start)
                    rows = np.fromfile(file, "<f4", n * width).reshape(n, width)
                    yield number, rows, np.arange(start, start + n) * self.hop
            part.unlink()


def part_length(path, width):
    """Rows of a whole part of so many columns; None if there is none.

    Its header is compared, not read: NumPy takes a third of a millisecond to read one.
    """
    header = npy_header(0, width)
    try:
        with open(path, "rb") as file:
            n, rest = divmod(os.fstat(file.fileno()).st_size - len(header), 4 * width)
            is_whole = n >= 0 and not rest and file.read(len(header)) == npy_header(n, width)
    except OSError:
        return None
    return n if is_whole else None


def writer_of(path):
    """The function ``write(path, features)`` that an output's name asks for.

    Raises
    ------
    DBNError
        Another ending than ``.npz``, ``.npy`` and ``.csv``.
    """
    writers = {".npz": _write_npz, ".npy": _write_npy, ".csv": _write_csv}
    writer = writers.get(Path(path).suffix.lower())
    if writer is None:
        raise DBNError(f"{path}: the name of a file of features ends in .npz, .npy or .csv; a file for each recording "
                       "is what --one-file-each writes")
    return writer


def files_of(path):
    """The files that the features are written to, given the output's name: a list of paths."""
    path = Path(path)
    return [path, path.with_suffix(".json")] if path.suffix.lower() == ".npy" else [path]


def _write_npz(path, features):
    about = features.about()
    about["times"] = np.concatenate([np.empty(0), *(np.arange(n) * features.hop for n in about["lengths"])])
    with _new(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in ("names", "starts", "lengths", "times", "columns"):
            with _member(archive, name) as member:
                np.lib.format.write_array(member, about[name], allow_pickle=False)
        with _member(archive, "features") as member:
            _write_rows(member, features)


def _member(archive, name):
    """Open an array of the archive for writing; its date is fixed, so that the same arrays give the same bytes."""
    return archive.open(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), "w", force_zip64=True)


def _write_npy(path, features):
    about = {name: array.tolist() for name, array in features.about().items()}
    rows, beside = files_of(path)
    with _new(rows) as temporary, open(temporary, "wb") as file:
        _write_rows(file, features)
    _write_json(beside, about | {"hop": features.hop})


def _write_rows(file, features):
    """All rows as a ``.npy`` file."""
    file.write(npy_header(int(features.lengths.sum()), len(features.columns)))
    for _, rows, _ in features.blocks():
        file.write(rows.data)


def _write_csv(path, features):
    row_format = "%s,%.6f" + ",%.9g" * len(features.columns) + "\n"
    starts_of_rows = [_csv_line([name])[:-1] for name in features.names]
    with _new(path) as temporary, open(temporary, "wb") as file:
        file.write(_csv_line(["file", "time", *features.columns]).encode())
        for number, rows, times in features.blocks():
            file.write("".join(row_format % (starts_of_rows[number], time, *row)
                               for time, row in zip(times.tolist(), rows.tolist())).encode())


def _csv_line(fields):
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(fields)
    return line.getvalue()


def write_folder(folder, features, files):
    """Move the parts into a folder, each under its name of `files`, paths from there, and write the index.

    Until all are there, the index names none: after a kill it shows whose folder it is, and that it is not whole.
    """
    about = {"columns": features.columns, "hop": features.hop}
    entries = [{"name": name, "file": file.as_posix(), "rows": int(n)}
               for name, file, n in zip(features.names, files, features.lengths)]
    _write_json(folder / INDEX, about | {"files": []})
    with disk_errors(folder):
        for part, file in zip(features.parts, files):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            rename(part, folder / file)
    _write_json(folder / INDEX, about | {"files": entries})


def _write_json(path, content):
    with _new(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


@contextmanager
def _new(path):
    with disk_errors(path), atomic_path(path) as temporary:
        yield temporary
