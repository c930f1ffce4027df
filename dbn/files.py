"""Files that are there whole or not at all."""
import os
import secrets
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path):
    """Write a file beside its place and rename it into it, so that a reader never meets half a file.

    Yields a path in the same folder with the same suffix, to be written and closed inside the ``with`` block. On
    success the file is flushed to the disk and takes the place of `path`, if need be of an older file; on any error,
    an interrupt included, it is removed and `path` stays as it was.

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
    path = Path(path)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        flush_to_disk(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush_to_disk(path.parent)  # the new name itself


def flush_to_disk(path):
    """Wait until a file's contents, or a folder's list of names, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
