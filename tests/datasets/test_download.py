"""Downloads against a server on this machine that misbehaves in the ways real ones do; archives that are hostile."""
import gzip
import hashlib
import io
import re
import tarfile
import threading
import tracemalloc
from collections import namedtuple
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from dbn.datasets import download
from dbn.datasets.download import fetch, unpack
from dbn.errors import DatasetError

BODY = np.random.default_rng(0).bytes(700_001)
SHA256 = hashlib.sha256(BODY).hexdigest()
MEMBER = re.compile(r"genres/(a|b)/\1\.\d\.au")


# Answers that no honest server gives; the first two hold the file all the same.
LIES = {"a length of ²": b"Content-Length: \xb2\r\n\r\n" + BODY,
        "a length of 5,000 digits": b"Content-Length: " + 5000 * b"1" + b"\r\n\r\n" + BODY,
        "a chunk of -5 bytes": b"Transfer-Encoding: chunked\r\n\r\n-5\r\n" + BODY,
        "a chunk of xyz bytes": b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n" + BODY}
# What is sent again and again, and before: a byte each time, or something that promises more.
ENDLESS = {"drops": (b"HTTP/1.1 200 OK\r\n\r\n", b"x"), "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
           "headers": (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x")}


class Handler(BaseHTTPRequestHandler):
    """Serves ``server.body``; ``server.modes`` says how the next requests are answered, the last one for ever."""

    def do_GET(self):
        modes = self.server.modes
        mode = modes.pop(0) if len(modes) > 1 else modes[0]
        wanted = self.headers["Range"]
        self.server.ranges.append(wanted)
        if mode.isdigit():
            self.send_error(int(mode))
            return
        if mode in LIES:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n" + LIES[mode])
            return
        if mode in ENDLESS:
            self.send_for_ever(*ENDLESS[mode])
            return
        if "://" in mode:
            self.send_response(302)
            self.send_header("Location", mode)
            self.end_headers()
            return
        body = self.server.body
        start = int(wanted[len("bytes="):-1]) if wanted and mode != "no range" else 0
        if mode == "wrong range":
            start //= 2
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if mode != "no length":
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        rest = body[start:]
        self.wfile.write(rest[:len(rest) // 2] if mode == "drop" else rest)

    def send_for_ever(self, first, again):
        with suppress(OSError):
            self.wfile.write(first)
            while not self.server.stopped.wait(0.02):
                self.wfile.write(again)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.body, running.modes, running.ranges = BODY, ["good"], []
        running.stopped = threading.Event()
        running.address = f"http://127.0.0.1:{running.server_port}/genres.tar.gz"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.stopped.set()
        running.shutdown()
        thread.join()


def get(server, path, **options):
    fetch(server.address, path, **{"size": len(BODY), "sha256": SHA256, "pause": 0, "progress": False} | options)


@pytest.mark.parametrize("mode", ["good", "no length"])
def test_a_whole_file_arrives_and_leaves_no_part(server, tmp_path, mode):
    server.modes = [mode]
    get(server, tmp_path / "new" / "x.gz")
    assert (tmp_path / "new" / "x.gz").read_bytes() == BODY
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["x.gz"]


def test_a_dropped_connection_is_continued_from_where_it_broke(server, tmp_path):
    server.modes = ["drop", "drop", "good"]
    get(server, tmp_path / "x.gz")
    half = len(BODY) // 2
    assert server.ranges == [None, f"bytes={half}-", f"bytes={half + (len(BODY) - half) // 2}-"]
    assert (tmp_path / "x.gz").read_bytes() == BODY


def test_a_second_call_goes_on_after_every_attempt_failed(server, tmp_path):
    server.modes = ["drop"]
    with pytest.raises(DatasetError, match="cut, after 2 attempts and .* run it again"):
        get(server, tmp_path / "x.gz", attempts=2)
    assert not (tmp_path / "x.gz").exists()
    had = (tmp_path / "x.gz.part").stat().st_size
    server.modes, server.ranges = ["good"], []
    get(server, tmp_path / "x.gz")
    assert server.ranges == [f"bytes={had}-"]
    assert (tmp_path / "x.gz").read_bytes() == BODY


def test_a_part_that_is_too_long_is_given_up(server, tmp_path):
    (tmp_path / "x.gz.part").write_bytes(BODY + b"of another file")
    get(server, tmp_path / "x.gz")
    assert server.ranges == [None]
    assert (tmp_path / "x.gz").read_bytes() == BODY


def test_a_server_without_ranges_starts_again(server, tmp_path):
    server.modes = ["drop", "no range"]
    get(server, tmp_path / "x.gz")
    assert (tmp_path / "x.gz").read_bytes() == BODY


@pytest.mark.parametrize("mode", LIES)
def test_lengths_that_are_none(server, tmp_path, mode):
    server.modes = [mode]
    if "length" in mode:
        get(server, tmp_path / "x.gz")
        assert (tmp_path / "x.gz").read_bytes() == BODY
    else:
        with pytest.raises(DatasetError, match="after 2 attempts|SHA-256"):
            get(server, tmp_path / "x.gz", attempts=2)


@pytest.mark.parametrize("mode", ENDLESS)
def test_a_server_that_always_sends_a_little_more(server, tmp_path, monkeypatch, mode):
    monkeypatch.setattr(download, "PATIENCE", 0.3)
    server.modes = [mode]
    with pytest.raises(DatasetError, match="fewer than 262,144 bytes in 0.3 seconds, after 2 attempts"):
        get(server, tmp_path / "x.gz", attempts=2)
    server.modes = ["good"]
    (tmp_path / "x.gz.part").unlink(missing_ok=True)
    get(server, tmp_path / "x.gz")
    assert (tmp_path / "x.gz").read_bytes() == BODY


@pytest.mark.parametrize("leads_to", ["ftp://127.0.0.1:9/x.gz", "file:///etc/passwd"])
def test_a_server_that_leads_elsewhere(server, tmp_path, leads_to):
    server.modes = [leads_to]
    with pytest.raises(DatasetError, match="HTTP 302 .*give another address"):
        get(server, tmp_path / "x.gz")
    assert len(server.ranges) == 1
    server.modes = [server.address, "good"]
    get(server, tmp_path / "x.gz")


def test_a_range_that_was_not_asked_for_is_refused(server, tmp_path):
    server.modes = ["drop", "wrong range"]
    with pytest.raises(DatasetError, match="the server sent from byte"):
        get(server, tmp_path / "x.gz")


def test_a_busy_server_is_asked_again_but_not_one_without_the_file(server, tmp_path):
    server.modes = ["503", "429", "good"]
    get(server, tmp_path / "x.gz")
    assert len(server.ranges) == 3
    server.modes, server.ranges = ["404"], []
    with pytest.raises(DatasetError, match="HTTP 404.*another address"):
        get(server, tmp_path / "y.gz")
    assert len(server.ranges) == 1


def test_corrupt_bytes_are_kept_aside_and_the_next_call_starts_afresh(server, tmp_path):
    server.body = BODY[:-1] + bytes([BODY[-1] ^ 1])
    with pytest.raises(DatasetError, match=f"SHA-256 {SHA256}, found .* kept aside as x.gz.bad"):
        get(server, tmp_path / "x.gz")
    assert [file.name for file in tmp_path.iterdir()] == ["x.gz.bad"]
    server.body, server.ranges = BODY, []
    get(server, tmp_path / "x.gz")
    assert server.ranges == [None]
    assert (tmp_path / "x.gz").read_bytes() == BODY


def test_another_file_at_the_address_is_refused_before_it_is_fetched(server, tmp_path):
    server.body = b"<html>moved</html>"
    with pytest.raises(DatasetError, match="has 18 bytes, not 700,001"):
        get(server, tmp_path / "x.gz")
    assert not list(tmp_path.iterdir())


def test_an_endless_answer_is_not_read_past_the_size(server, tmp_path):
    server.body, server.modes = BODY + b"more", ["no length"]
    get(server, tmp_path / "x.gz")
    assert (tmp_path / "x.gz").read_bytes() == BODY


def test_a_file_got_by_hand_is_verified_without_the_network(tmp_path):
    (tmp_path / "x.gz").write_bytes(BODY)
    nowhere = "http://127.0.0.1:9/x.gz"
    fetch(nowhere, tmp_path / "x.gz", len(BODY), SHA256)
    with pytest.raises(DatasetError, match="x.gz: expected 700,000 bytes"):
        fetch(nowhere, tmp_path / "x.gz", len(BODY) - 1, SHA256)
    assert (tmp_path / "x.gz.bad").read_bytes() == BODY


@pytest.mark.parametrize("address, message", [
    ("file:///etc/passwd", "not an http"), ("genres.tar.gz", "not an http"), ("http://", "no host|not an address"),
    ("http://127.0.0.1:port/x", "not an address"), ("http://127.0.0.1:9/x", "after 2 attempts and 0 of")])
def test_useless_addresses(tmp_path, address, message):
    with pytest.raises(DatasetError, match=message):
        fetch(address, tmp_path / "x.gz", len(BODY), SHA256, attempts=2, pause=0)


def test_a_full_disk_is_seen_before_anything_is_fetched(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: usage(len(BODY) + 99))
    with pytest.raises(DatasetError, match="make room"):
        get(server, tmp_path / "x.gz", spare=100)
    assert server.ranges == []
    get(server, tmp_path / "x.gz", spare=99)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="file"):
        fetch("http://127.0.0.1:9/x", tmp_path / "file" / "x.gz", 1, SHA256)


def make_archive(path, members):
    """A .tar.gz of ``name -> bytes``, or ``name -> TarInfo type`` (a link leads to /etc/passwd)."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes) and len(content) != 1:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content, "/etc/passwd"
                tar.addfile(info)


GOOD = [("genres", tarfile.DIRTYPE), ("genres/a/a.0.au", b"first"), ("genres/b/b.0.au", b"second"),
        ("genres/a/._a.0.au", b"junk"), ("genres/b/a.0.au", b"wrong folder"), ("elsewhere/a.0.au", b"other")]


def test_unpack_writes_the_wanted_files_alone(tmp_path):
    make_archive(tmp_path / "x.gz", GOOD)
    assert unpack(tmp_path / "x.gz", tmp_path / "genres", MEMBER, 10**5, progress=False) == 2
    files = {file.relative_to(tmp_path).as_posix(): file.read_bytes() for file in tmp_path.rglob("*.au")}
    assert files == {"genres/a/a.0.au": b"first", "genres/b/b.0.au": b"second"}
    assert {file.name for file in tmp_path.iterdir()} == {"x.gz", "genres"}


@pytest.mark.parametrize("name, content", [
    ("../outside.au", b"out"), ("genres/a/../../../outside.au", b"out"), ("/tmp/outside.au", b"out"),
    ("genres/a/a.1.au", tarfile.SYMTYPE), ("genres/a/a.1.au", tarfile.LNKTYPE), ("genres/a/a.1.au", tarfile.CHRTYPE),
    ("genres/a/a.1.au", tarfile.BLKTYPE), ("genres/a/a.1.au", tarfile.FIFOTYPE), ("genres/a", tarfile.SYMTYPE),
    ("genres/a/a.1.au", tarfile.GNUTYPE_SPARSE),
    ("genres/a/a.0.au", b"the same name again")])
def test_hostile_archives_put_nothing_anywhere(tmp_path, name, content):
    inside = tmp_path / "deep" / "inside"
    inside.mkdir(parents=True)
    make_archive(inside / "x.gz", [*GOOD, (name, content)])
    with pytest.raises(DatasetError, match="x.gz: cannot be unpacked: .*nothing was put"):
        unpack(inside / "x.gz", inside / "genres", MEMBER, 10**5, progress=False)
    assert [file.name for file in tmp_path.rglob("*")] == ["deep", "inside", "x.gz"]


def gnu_header(kind, size):
    """A member's header, and nothing of what it announces."""
    info = tarfile.TarInfo("genres/a/a.1.au")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def pax_member(records):
    info = tarfile.TarInfo("genres/a/a.1.au")
    info.pax_headers = records
    return info.tobuf(tarfile.PAX_FORMAT)


@pytest.mark.parametrize("members, why", [
    (gnu_header(tarfile.GNUTYPE_LONGNAME, 10**9), "has 1,000,000,000 bytes"),
    (gnu_header(tarfile.XHDTYPE, 10**9), "has 1,000,000,000 bytes"),
    (gnu_header(tarfile.REGTYPE, -512), "bytes"),
    (gnu_header(tarfile.GNUTYPE_SPARSE, 512) + 512 * b"\xff", "sparse"),
    (pax_member({"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}) + 512 * b"x", "sparse"),
    (pax_member({"GNU.sparse.map": "1,x"}), "sparse"),
    (pax_member({"size": "-99999"}), "backwards")])
def test_headers_that_announce_too_much(tmp_path, members, why):
    """What tarfile would take into memory, or stumble over, before it hands out the member."""
    with gzip.open(tmp_path / "x.gz", "wb") as file:
        file.write(members + 10**6 * b"\0")
    tracemalloc.start()
    with pytest.raises(DatasetError, match=f"x.gz: cannot be unpacked: .*{why}"):
        unpack(tmp_path / "x.gz", tmp_path / "genres", MEMBER, 2 * 10**9, progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**6
    assert [file.name for file in tmp_path.iterdir()] == ["x.gz"]


@pytest.mark.parametrize("name", ["genres/a/a.1.au", "unwanted"])
def test_an_archive_cannot_unpack_to_more_than_it_may(tmp_path, name):
    make_archive(tmp_path / "x.gz", [*GOOD, (name, bytes(10**6))])
    assert (tmp_path / "x.gz").stat().st_size < 10**4
    with pytest.raises(DatasetError, match="more bytes than the data set"):
        unpack(tmp_path / "x.gz", tmp_path / "genres", MEMBER, 10**6, progress=False)
    assert unpack(tmp_path / "x.gz", tmp_path / "genres", MEMBER, 2 * 10**6, progress=False) >= 2


def test_damaged_foreign_and_empty_archives(tmp_path):
    make_archive(tmp_path / "x.gz", [*GOOD, ("genres/a/a.1.au", BODY)])
    whole = (tmp_path / "x.gz").read_bytes()
    make_archive(tmp_path / "none.gz", GOOD[3:])
    (tmp_path / "cut.gz").write_bytes(whole[:len(whole) // 2])
    (tmp_path / "text.gz").write_bytes(b"<html></html>")
    for name in ("none.gz", "cut.gz", "text.gz"):
        with pytest.raises(DatasetError, match=f"{name}: cannot be unpacked"):
            unpack(tmp_path / name, tmp_path / "genres", MEMBER, 2 * 10**6, progress=False)
    assert not (tmp_path / "genres").exists()
