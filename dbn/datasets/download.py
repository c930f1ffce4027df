"""Fetch a large archive over HTTP and unpack it, trusting neither the line nor the archive.

A download goes into ``<file>.part`` and is continued there after a broken line or a second start. Only a file whose
size and SHA-256 are right loses that suffix, and only such a file is unpacked.
"""
import gzip
import hashlib
import http.client
import os
import re
import shutil
import ssl
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path, PurePosixPath

from dbn.errors import DatasetError
from dbn.system.progress import progress_bar

CHUNK = 1 << 18  # bytes read at a time
TIMEOUT = 60  # seconds without a byte before the line counts as broken
LINE_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)


def fetch(address, path, size, sha256, spare=0, attempts=6, pause=1.0, progress=True):
    """Download a file whose size and checksum are known.

    A file already at `path` is only verified.

    Parameters
    ----------
    address : str
        ``http://`` or ``https://`` address.
    path : path-like
        Where the verified file is put.
    size : int
        Its length in bytes.
    sha256 : str
        Its SHA-256, 64 hexadecimal digits.
    spare : int
        Bytes that must be free on the disk beside the file itself, to unpack it.
    attempts : int
        Connections tried, each continuing where the last one broke.
    pause : float
        Seconds before the second connection; doubled for each further one.
    progress : bool
        Show a progress bar where standard error is a terminal.

    Raises
    ------
    DatasetError
        If the address has no such file, the line breaks on every attempt (what arrived is kept as ``<path>.part`` and
        the next call goes on from there), the disk is too small, or the bytes are not those expected (the file is
        kept aside as ``<path>.bad``, and the next call starts afresh).
    """
    path = Path(path)
    if not address.startswith(("http://", "https://")):
        raise DatasetError(f"{address}: not an http:// or https:// address")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _verify(path, path, size, sha256)
            return
        part = _with_suffix(path, ".part")
        if _size(part) > size:
            part.unlink()
        _check_space(path.parent, size - _size(part) + spare)
        _download(address, part, size, attempts, pause, progress)
        _verify(part, path, size, sha256)
        os.replace(part, path)
    except OSError as error:
        raise DatasetError(f"{error.filename or path}: {error.strerror or error}") from error


def _download(address, part, size, attempts, pause, progress):
    """Connect until `part` is `size` bytes long."""
    for attempt in range(attempts):
        if _size(part) == size:
            return
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        reason = "the connection was cut"
        try:
            _continue(address, part, size, progress)
        except LINE_ERRORS as error:
            reason = getattr(error, "reason", None) or error
    if _size(part) < size:
        raise DatasetError(f"{address}: {reason}, after {attempts} attempts and {_size(part):,} of {size:,} bytes; "
                           f"run it again to go on from there, or give another address")


def _continue(address, part, size, progress):
    """Append what one connection yields; from the start if the server cannot continue."""
    offset = _size(part)
    with _open(address, offset) as response:
        start, total = _offered(response)
        if total not in (None, size):
            raise DatasetError(f"{address}: the file there has {total:,} bytes, not {size:,}; it is another one")
        if start not in (0, offset):
            raise DatasetError(f"{address}: asked for byte {offset}, the server sent from byte {start}")
        with (open(part, "ab" if start else "wb") as file,
              progress_bar(part.stem, None, progress, total=size, initial=start, unit="B", unit_scale=True) as bar):
            while start < size and (chunk := response.read(min(CHUNK, size - start))):
                file.write(chunk)
                start += len(chunk)
                bar.update(len(chunk))


def _open(address, offset):
    """The server's answer; a refusal that no repetition changes is a DatasetError."""
    headers = {"User-Agent": "dbn"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        return urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code >= 500 or error.code in (408, 429):  # time-out, too many requests
            raise
        raise DatasetError(f"{address}: HTTP {error.code} {error.reason}; give another address") from error
    except (ValueError, http.client.InvalidURL) as error:
        raise DatasetError(f"{address}: not an address: {error}") from error


def _offered(response):
    """First byte that the answer holds, and the whole file's length (None where the server does not say)."""
    if response.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not found:
            raise DatasetError(f"{response.url}: the server sent a part of the file without saying which")
        return int(found[1]), None if found[2] == "*" else int(found[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _verify(file, path, size, sha256):
    """Raise, and keep `file` aside as ``<path>.bad``, unless it has the size and the checksum."""
    found = _sha256(file) if _size(file) == size else f"not computed, as it has {_size(file):,} bytes"
    if found != sha256.lower():
        bad = _with_suffix(path, ".bad")
        os.replace(file, bad)
        raise DatasetError(f"{path}: expected {size:,} bytes with SHA-256 {sha256}, found {found}; the file is not "
                           f"unpacked and is kept aside as {bad.name}; try again, or another address")


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DatasetError(f"{folder}: {needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free; "
                           f"make room or choose another folder")


def _size(path):
    return path.stat().st_size if path.exists() else 0


def _with_suffix(path, suffix):
    return path.with_name(path.name + suffix)


class _AtMost:
    """A stream that gives no more than `limit` bytes: a small archive cannot unpack to a full disk."""

    def __init__(self, stream, limit):
        self.stream = stream
        self.left = limit

    def read(self, n):
        data = self.stream.read(n)
        self.left -= len(data)
        if self.left < 0:
            raise DatasetError("it unpacks to more bytes than the data set has")
        return data


def unpack(archive, target, wanted, max_bytes, progress=True):
    """Unpack the files of a tar archive that are wanted, all or nothing.

    Every file is written under a name that `wanted` matched in full, into a temporary folder beside `target` that is
    renamed at the end. Links, devices and names that lead outside make the archive a foreign one; plain files with
    other names are passed over.

    Parameters
    ----------
    archive : path-like
        A ``.tar.gz`` file.
    target : path-like
        The folder to make. It must not exist.
    wanted : re.Pattern
        Names to unpack, with ``/`` and with `target`'s own name as their first folder.
    max_bytes : int
        The most that the archive may hold uncompressed; also the room asked for on the disk, so keep it near the truth.
    progress : bool
        Show a progress bar where standard error is a terminal.

    Returns
    -------
    int
        Number of files.

    Raises
    ------
    DatasetError
        If the archive is damaged, foreign, too large or without any wanted file, or the disk is too small.
    """
    archive, target = Path(archive), Path(target)
    _check_space(target.parent, max_bytes)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
        try:
            n_files = _extract(archive, Path(folder), wanted, max_bytes, progress)
            if not n_files:
                raise DatasetError("no track of the data set is in it")
            os.rename(Path(folder) / target.name, target)
        except (tarfile.TarError, zlib.error, EOFError, OSError, DatasetError) as error:
            raise DatasetError(f"{archive}: cannot be unpacked: {error}; nothing was put at {target}") from error
    return n_files


def _extract(archive, folder, wanted, max_bytes, progress):
    """Copy the wanted members below `folder` and count them."""
    n_files = 0
    with (gzip.open(archive) as stream, tarfile.open(fileobj=_AtMost(stream, max_bytes), mode="r|") as tar):
        for member in progress_bar("unpack", tar, progress, unit="file"):
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts or not (member.isdir() or _is_plain(member)):
                raise DatasetError(f"member {member.name!r} is no plain file or folder inside it")
            if _is_plain(member) and wanted.fullmatch(str(name)):
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                # written here and not by tarfile: no owner, mode or time of the archive's choosing
                with tar.extractfile(member) as source, open(path, "xb") as file:
                    shutil.copyfileobj(source, file)
                n_files += 1
    return n_files


def _is_plain(member):
    return member.isreg() and not member.issparse()  # a sparse file unpacks to more than it holds
