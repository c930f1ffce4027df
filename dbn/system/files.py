"""Files that are there whole or not at all, .npy files of rows, and errors of the disk in words."""
import errno
import glob
import io
import mmap
import os
import platform
import re
import secrets
import shutil
import stat
import sys
import tempfile
import zlib
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from dbn.errors import DBNError

MAX_LINE = 2**20  # characters of a line of a table

_OF_PROCESS = r"(\d{1,9})-[0-9a-z_]{8}"  # its number, and what is drawn at random
# what stands between the name and the suffix of the hidden file that atomic_path writes to: machine and process
UNFINISHED = f"-[0-9a-f]{{8}}-{_OF_PROCESS}"


@contextmanager
def atomic_path(path):
    """Write a file beside its place and rename it into it, so that a reader never meets half a file.

    Yields a path in the same folder with the same suffix, to be written and closed inside the ``with`` block. On
    success the file is flushed to the disk and takes the place of `path`, if need be of an older file, whose mode it
    keeps; on any error, an interrupt included, it is removed and `path` stays as it was. A link stays a link: what it
    leads to is written.

    Parameters
    ----------
    path : str or path-like
        Where the file belongs. Its folder must exist.

    Yields
    ------
    temporary : pathlib.Path

    Examples
    --------
    >>> with atomic_path("result.json") as temporary:  # doctest: +SKIP
    ...     temporary.write_text("{}")
    """
    path = link_target(path)
    suffix = path.suffix if len(path.suffix) < 10 else ""
    # a name as long as the system allows leaves no room for more
    stem = f".{path.stem[:40]}-{zlib.crc32(platform.node().encode()):08x}-"
    _remove_leftovers(path.parent, stem, suffix)
    temporary = path.with_name(f"{stem}{os.getpid()}-{secrets.token_hex(4)}{suffix}")
    try:
        if path.is_file():  # what is written may be as private as what it replaces, from its first byte on
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield temporary
        flush_to_disk(temporary)
        move_into_place(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _remove_leftovers(folder, stem, suffix, remove=partial(Path.unlink, missing_ok=True)):
    """Remove what processes of this machine that were killed have left under such names."""
    for path in folder.glob(f"{glob.escape(stem)}*{glob.escape(suffix)}"):
        found = re.fullmatch(_OF_PROCESS, path.name[len(stem):len(path.name) - len(suffix)])
        if found and not _is_running(int(found[1])):
            remove(path)


def _is_running(process):
    if sys.platform == "win32":
        return True  # there os.kill would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # somebody else's
    return True


def link_target(path):
    """Where what is written to `path` belongs: where its links lead to, whether there is a file or not, or itself.

    Raises
    ------
    OSError
        Links that lead to each other.
    """
    path = Path(path)
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def move_into_place(temporary, path):
    """Rename a finished file to `path`; a file that is there is replaced and hands on its mode."""
    if path.is_file():
        shutil.copymode(path, temporary)
    rename(temporary, path)
    flush_to_disk(path.parent)  # the new name itself


def rename(source, path):
    """Give a finished file another name, be it on another disk; a file of that name is replaced."""
    try:
        os.replace(source, path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with atomic_path(path) as copy:
            shutil.copyfile(source, copy)
        os.unlink(source)


def flush_to_disk(path):
    """Wait until a file's contents, or a folder's list of names, have reached the disk."""
    if os.name == "nt" and os.path.isdir(path):
        return  # Windows opens no folders, and flushes only what is open for writing
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_folder(path):
    """Fill a folder beside its place and rename it into it; the folder's counterpart of :func:`atomic_path`.

    Yields the folder ``<path>.partial``, new and empty. The caller holds a lock that keeps others out, such as
    :func:`sole_writer` of the parent folder: what is there under that name was left by a process that was killed.
    """
    unfinished = Path(f"{path}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        yield unfinished
        flush_to_disk(unfinished)
        os.rename(unfinished, path)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    flush_to_disk(unfinished.parent)


@contextmanager
def sole_writer(directory, unfinished=None):
    """Wait until no other process writes into a folder, then remove what a killed one has left behind half-written.

    The lock is that of the file ``.lock``: it ends with its process, however that ends. Readers need none. Who has a
    folder may ask for it again, in the same thread, and may remove it; who has waited finds it made again.

    Parameters
    ----------
    directory : path
    unfinished : str, optional
        Pattern of the names, as of :meth:`pathlib.Path.glob`, that :func:`atomic_folder` gives the caller's folders
        until they are whole. Whatever else is there may be somebody's own.
    """
    # one object for each file: a second one of the same thread would wait for the first for ever
    lock = FileLock(Path(directory).absolute() / ".lock", is_singleton=True)
    try:
        _acquire(lock, blocking=False)
    except Timeout:
        print(f"{directory}: waiting for another process that writes here", file=sys.stderr)
        _acquire(lock, blocking=True)
    try:
        if unfinished and lock.lock_counter == 1:  # else they are the caller's
            for folder in Path(directory).glob(unfinished):
                shutil.rmtree(folder)
        yield
    finally:
        lock.release()


def _acquire(lock, blocking):
    folder = Path(lock.lock_file).parent
    while True:
        try:
            lock.acquire(blocking=blocking)
            return
        except FileNotFoundError:
            folder.mkdir(exist_ok=True)


@contextmanager
def temporary_folder(directory=None, name="dbn"):
    """A new folder that is gone at the end; after a kill, the next one of that name removes it.

    Parameters
    ----------
    directory : path, optional
        Where it lies; by default where the system keeps such folders.
    name : str
        What its own name begins with.

    Yields
    ------
    folder : pathlib.Path
    """
    directory = Path(tempfile.gettempdir() if directory is None else directory)
    stem = f"{name}-{zlib.crc32(platform.node().encode()):08x}-"
    _remove_leftovers(directory, stem, "", remove=partial(shutil.rmtree, ignore_errors=True))
    with tempfile.TemporaryDirectory(dir=directory, prefix=f"{stem}{os.getpid()}-", ignore_cleanup_errors=True) as made:
        yield Path(made)


def file_stamp(path):
    """A file's size in bytes and the time of its last change in ns, which tell it from another; None if there is none.

    What was written anew has another stamp, be it the same bytes: to compare those would mean to read them.
    """
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def require_plain_file(path, error_class):
    """Raise `error_class` with one message if `path` is there and no plain file: a pipe would be waited for forever."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return  # to open it says why
    if not stat.S_ISREG(mode):
        what = "a directory" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise error_class(f"{path}: is {what}, not a plain file")


def lines_of(file):
    """The lines of an open text file; ValueError before more of one is in memory than any table's line has."""
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE:
            raise ValueError(f"line {number} is longer than {MAX_LINE:,} characters")
        yield line


@contextmanager
def disk_errors(path, n_bytes=None):
    """Turn the system's error on writing into a :class:`~dbn.errors.DBNError` that says how much room is needed."""
    try:
        yield
    except OSError as error:
        needed = "" if n_bytes is None else f", {n_bytes:,} bytes are needed there"
        raise DBNError(f"{path}: cannot be written{needed}: {error.strerror or error}") from error


def npy_header(n_rows, n_columns):
    """The first bytes of a ``.npy`` file of float32 [shape=(n_rows, n_columns)]; the rows follow, without gaps.

    NumPy pads it so that it has the same length for any number of rows.
    """
    header = io.BytesIO()
    description = {"descr": "<f4", "fortran_order": False, "shape": (n_rows, n_columns)}
    np.lib.format.write_array_header_1_0(header, description)
    return header.getvalue()


def write_rows(path, n_rows, n_columns, blocks):
    """Write float32 rows that come in blocks to a ``.npy`` file, and map it into memory.

    The trainer keeps a layer's hidden means so, which are the next layer's inputs.

    Parameters
    ----------
    path : path
        A file that exists is replaced when the new one is complete.
    n_rows, n_columns : int
    blocks : iterable of ndarray [shape=(m, n_columns)]
        `n_rows` rows in all.

    Returns
    -------
    rows : memmap of float32 [shape=(n_rows, n_columns)]
        Of this process's own: what is written to it does not reach the file.

    Raises
    ------
    DBNError
        The disk is full, or the blocks do not add up.
    """
    header = npy_header(n_rows, n_columns)
    written = 0
    with disk_errors(path, len(header) + 4 * n_rows * n_columns), atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            file.write(header)
            for block in blocks:
                if block.ndim != 2 or block.shape[1] != n_columns:
                    raise DBNError(f"{path}: a block of shape {block.shape} in a file of {n_columns} columns")
                file.write(np.ascontiguousarray(block, dtype="<f4").data)
                written += len(block)
        if written != n_rows:
            raise DBNError(f"{path}: {written} rows were written where {n_rows} were announced")
    return open_rows(path)


def open_rows(path):
    """Map a file of :func:`write_rows` into memory again."""
    return np.load(path, mmap_mode="c")


def release_pages(array):
    """Take what was read from a mapped array out of this process's memory; the system still caches it while it can."""
    while isinstance(array, np.ndarray):
        array = array.base
    if isinstance(array, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        array.madvise(mmap.MADV_DONTNEED)
