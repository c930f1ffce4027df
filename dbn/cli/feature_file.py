"""Features of many recordings in one file, ``.npz`` or ``.csv``, written row by row in bounded memory.

The ``.npz`` holds plain arrays, to be read with ``numpy.load(path)``:

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

The ``.csv`` has the columns ``file``, ``time`` and then those; nine digits, which give each float32 back. The same
features give the same bytes.
"""
import csv
import io
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from dbn.errors import DBNError
from dbn.system.files import atomic_path, disk_errors, npy_header

_COPY_BYTES = 2**20


def feature_file(path, columns):
    """The writer that a file's name asks for.

    Parameters
    ----------
    path : path-like
        Ends in ``.npz`` or ``.csv``.
    columns : list of str

    Returns
    -------
    FeatureFile

    Raises
    ------
    DBNError
        Another ending, or a folder that cannot be written.
    """
    kinds = {".npz": NpzFeatures, ".csv": CsvFeatures}
    kind = kinds.get(Path(path).suffix.lower())
    if kind is None:
        raise DBNError(f"{path}: the name of a file of features ends in .npz or .csv")
    return kind(path, columns)


class FeatureFile:
    """Rows wait in a temporary file beside `path` until all are there; a recording that turns out bad leaves none.

    Use it as a context, and in it ``begin(name)``, then ``add(times, rows)`` for each block, then ``end()`` or
    ``abandon()``; at last ``save()``.
    """

    def __init__(self, path, columns):
        self.path, self.columns = Path(path), columns
        self.names, self.lengths = [], []
        with disk_errors(self.path):
            self._spool = tempfile.TemporaryFile(dir=self.path.parent)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._spool.close()

    @property
    def n_rows(self):
        """Rows of all recordings that ended well."""
        return sum(self.lengths)

    def begin(self, name):
        """What is added now belongs to the recording of this name."""
        self._name, self._length, self._mark = name, 0, self._spool.tell()

    def add(self, times, rows):
        """Append rows float32 [m, d] and the times float64 [m] in seconds at which they begin."""
        with disk_errors(self.path):
            self._spool.write(self._encode(times, rows))
        self._length += len(rows)

    def end(self):
        """The recording is complete."""
        self.names.append(self._name)
        self.lengths.append(self._length)

    def abandon(self):
        """The recording is bad: take its rows back."""
        self._spool.seek(self._mark)
        self._spool.truncate()

    def save(self):
        """Write the file beside its place and rename it into it."""
        self._spool.seek(0)
        with disk_errors(self.path), atomic_path(self.path) as temporary:
            self._write(temporary)


class NpzFeatures(FeatureFile):
    """See the module for the layout."""

    def begin(self, name):
        super().begin(name)
        self._times = []

    def __init__(self, path, columns):
        super().__init__(path, columns)
        self._all_times = [np.empty(0)]

    def end(self):
        super().end()
        self._all_times += self._times

    def _encode(self, times, rows):
        self._times.append(np.asarray(times, dtype=np.float64))
        return np.ascontiguousarray(rows, dtype="<f4").tobytes()

    def _write(self, path):
        lengths = np.array(self.lengths, dtype=np.int64)
        arrays = {"names": np.array(self.names, dtype=str), "starts": np.cumsum(lengths) - lengths,
                  "lengths": lengths, "times": np.concatenate(self._all_times), "columns": np.array(self.columns)}
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in arrays.items():
                with _member(archive, name) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
            with _member(archive, "features") as member:
                member.write(npy_header(self.n_rows, len(self.columns)))
                shutil.copyfileobj(self._spool, member, _COPY_BYTES)


def _member(archive, name):
    """Open an array of the archive for writing; its date is fixed, so that the same arrays give the same bytes."""
    return archive.open(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), "w", force_zip64=True)


class CsvFeatures(FeatureFile):
    """See the module for the layout."""

    def begin(self, name):
        super().begin(name)
        self._start_of_row = _csv_line([name])[:-1]
        self._row_format = "%s,%.6f" + ",%.9g" * len(self.columns) + "\n"

    def _encode(self, times, rows):
        lines = [self._row_format % (self._start_of_row, time, *row)
                 for time, row in zip(times.tolist(), rows.tolist())]
        return "".join(lines).encode()

    def _write(self, path):
        with open(path, "wb") as file:
            file.write(_csv_line(["file", "time", *self.columns]).encode())
            shutil.copyfileobj(self._spool, file, _COPY_BYTES)


def _csv_line(fields):
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(fields)
    return line.getvalue()
