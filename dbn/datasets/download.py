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
import socket
import ssl
import tarfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path, PurePosixPath

from dbn.errors import DatasetError
from dbn.system.files import temporary_folder
from dbn.system.progress import progress_bar

CHUNK = 1 << 18  # bytes read at a time
TIMEOUT = 60  # seconds without a byte before the line counts as broken
PATIENCE = 180  # seconds in which a connection, and then every chunk, must be there: 1.5 kB a second
_SCHEMES = "http://", "https://"
LINE_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)

MAX_HEADER_BYTES = 1 << 16  # of a long name or a comment in an archive, which tarfile reads into memory


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
    if not address.startswith(_SCHEMES):
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
        except DatasetError:
            raise
        except (*LINE_ERRORS, ValueError) as error:  # a ValueError of http.client's: a length that is no number
            reason = getattr(error, "reason", None) or error
    if _size(part) < size:
        raise DatasetError(f"{address}: {reason}, after {attempts} attempts and {_size(part):,} of {size:,} bytes; "
                           f"run it again to go on from there, or give another address")


def _continue(address, part, size, progress):
    """Append what one connection yields; from the start if the server cannot continue."""
    offset = _size(part)
    with _Watch() as watch, _open(address, offset, watch) as response:
        start, total = _offered(response)
        if total not in (None, size):
            raise DatasetError(f"{address}: the file there has {total:,} bytes, not {size:,}; it is another one")
        if start not in (0, offset):
            raise DatasetError(f"{address}: asked for byte {offset}, the server sent from byte {start}")
        with (open(part, "ab" if start else "wb") as file,
              progress_bar(part.stem, None, progress, total=size, initial=start, unit="B", unit_scale=True) as bar):
            buffer = memoryview(bytearray(CHUNK))  # read() would make room for what a server calls a chunk
            while start < size and (n := response.readinto(buffer[:size - start])):
                watch.restart()
                file.write(buffer[:n])
                start += n
                bar.update(n)


class _Watch:
    """Cuts a connection that takes its time over the next chunk, however regularly a byte of it arrives.

    A socket's own limit holds for a single read, and begins anew with every byte.
    """

    def __enter__(self):
        self._sockets, self._timer, self._is_late = [], None, False
        self.restart()
        return self

    def __exit__(self, kind, *_):
        self._timer.cancel()
        if self._is_late and (kind is None or issubclass(kind, LINE_ERRORS)):
            raise TimeoutError(f"fewer than {CHUNK:,} bytes in {PATIENCE} seconds")

    def restart(self):
        """The next chunk may take its time."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(PATIENCE, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def add(self, connected):
        """A socket that the download waits for."""
        self._sockets.append(connected)
        if self._is_late:
            self._cut()

    def _cut(self):
        self._is_late = True
        for connected in self._sockets:
            with suppress(OSError):  # it is closed
                socket.socket.shutdown(connected, socket.SHUT_RDWR)  # and not that of TLS, which takes its time too


def _watched(kind, watch):
    """A class of connections, HTTP's or HTTPS's, whose sockets are watched."""
    class Connection(kind):
        def connect(self):
            super().connect()
            watch.add(self.sock)
    return Connection


class _HTTP(urllib.request.HTTPHandler):
    def __init__(self, watch):
        super().__init__()
        self._connection = _watched(http.client.HTTPConnection, watch)

    def http_open(self, request):
        return self.do_open(self._connection, request)


class _HTTPS(urllib.request.HTTPSHandler):
    def __init__(self, watch):
        super().__init__()
        self._connection = _watched(http.client.HTTPSConnection, watch)

    def https_open(self, request):
        return self.do_open(self._connection, request)


class _Redirect(urllib.request.HTTPRedirectHandler):
    """To HTTP and HTTPS alone; FTP would be followed else, by other rules than those here."""

    def redirect_request(self, request, response, code, reason, headers, address):
        if not address.lower().startswith(_SCHEMES):
            raise urllib.error.HTTPError(address, code, f"{reason}, to {address}", headers, response)
        return super().redirect_request(request, response, code, reason, headers, address)


def _open(address, offset, watch):
    """The server's answer; a refusal that no repetition changes is a DatasetError."""
    headers = {"User-Agent": "dbn"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    opener = urllib.request.build_opener(_HTTP(watch), _HTTPS(watch), _Redirect())
    try:
        return opener.open(urllib.request.Request(address, headers=headers), timeout=TIMEOUT)
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
        found = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]+/([0-9]{1,18}|\*)", response.headers.get("Content-Range", ""))
        if not found:
            raise DatasetError(f"{response.url}: the server sent a part of the file without saying which")
        return int(found[1]), None if found[2] == "*" else int(found[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if re.fullmatch("[0-9]{1,18}", length) else None


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


class _Header(tarfile.TarInfo):
    """The header of an archive's next member, refused before tarfile reads into memory what it announces."""

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        header = super().frombuf(buf, encoding, errors)
        if header.type == tarfile.GNUTYPE_SPARSE:
            cls._refuse_sparse()
        if header.size < 0 or (not header.isreg() and header.size > MAX_HEADER_BYTES):
            raise DatasetError(f"a member that is no plain file has {header.size:,} bytes")
        return header

    @staticmethod
    def _refuse_sparse(*_):
        """A sparse file unpacks to more than it holds, and its map may be as long as the archive."""
        raise DatasetError("a member is a sparse file")

    # where tarfile would read the maps of those whose other header says so
    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


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
    with temporary_folder(target.parent, f".{target.name}") as folder:
        try:
            n_files = _extract(archive, folder, wanted, max_bytes, progress)
            if not n_files:
                raise DatasetError("no track of the data set is in it")
            os.rename(folder / target.name, target)
        except Exception as error:  # of a stranger's bytes: tarfile's readers of headers raise a dozen kinds
            raise DatasetError(f"{archive}: cannot be unpacked: {error}; nothing was put at {target}") from error
    return n_files


def _extract(archive, folder, wanted, max_bytes, progress):
    """Copy the wanted members below `folder` and count them."""
    n_files = 0
    with (gzip.open(archive) as stream,
          tarfile.open(fileobj=_AtMost(stream, max_bytes), mode="r|", tarinfo=_Header) as tar):
        for member in progress_bar("unpack", tar, progress, unit="file"):
            tar.members.clear()  # where tarfile would keep them all
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts or not (member.isdir() or member.isreg()):
                raise DatasetError(f"member {member.name[:100]!r} is no plain file or folder inside it")
            if member.isreg() and wanted.fullmatch(str(name)):
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                # written here and not by tarfile: no owner, mode or time of the archive's choosing
                with tar.extractfile(member) as source, open(path, "xb") as file:
                    shutil.copyfileobj(source, file)
                n_files += 1
    return n_files
