"""What is written takes the place of what its name stands for, and of nothing else."""
import errno
import os
import re
import subprocess
import sys

import pytest

from dbn.system.files import UNFINISHED, atomic_folder, atomic_path, move_into_place, sole_writer, temporary_folder


def write(path, text="new"):
    with atomic_path(path) as temporary:
        temporary.write_text(text)


@pytest.mark.parametrize("old", [None, "old"])
def test_a_link_stays_and_its_target_is_written(tmp_path, old):
    (tmp_path / "deep").mkdir()
    target = tmp_path / "deep" / "target.txt"
    if old:
        target.write_text(old)
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to("deep/target.txt")
    write(tmp_path / "one")
    assert target.read_text() == "new" and sorted(os.listdir(tmp_path)) == ["deep", "one", "two"]
    assert (tmp_path / "one").is_symlink() and (tmp_path / "two").is_symlink()


def test_links_that_lead_to_each_other(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write(tmp_path / "a")
    assert os.readlink(tmp_path / "a") == "b"


def test_the_mode_is_kept_and_nobody_reads_meanwhile(tmp_path):
    (tmp_path / "a").write_text("secret")
    (tmp_path / "a").chmod(0o600)
    with atomic_path(tmp_path / "a") as temporary:
        temporary.write_text("another secret")
        assert temporary.stat().st_mode & 0o077 == 0
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    (tmp_path / "a").chmod(0o664)
    write(tmp_path / "a")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o664


def test_half_a_file_is_known_by_its_name(tmp_path):
    with atomic_path(tmp_path / "means-3.npy") as temporary:
        temporary.touch()
    assert re.fullmatch(rf"\.means-3{UNFINISHED}\.npy", temporary.name)


@pytest.mark.parametrize("name", ["a" * 250 + ".json", "\u00e9" * 125 + ".json", "a." + "b" * 253])
def test_a_name_as_long_as_names_may_be(tmp_path, name):
    write(tmp_path / name)
    assert os.listdir(tmp_path) == [name]


KILLED = """
import os, sys
from dbn.system.files import atomic_path, sole_writer, temporary_folder
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX's signals")
def test_what_a_killed_process_left_half_written_goes_with_the_next_one(tmp_path):
    """Of the same file alone, and not while its process runs."""
    for name in ("x.csv", "x [1].csv", "other.csv"):
        subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / name)], check=False)
    assert len(list(tmp_path.iterdir())) == 3
    with atomic_path(tmp_path / "x.csv") as running:
        running.write_text("of a process that runs")
        with atomic_path(tmp_path / "x.csv") as temporary:
            temporary.write_text("whole")
        assert running.exists()
    with atomic_path(tmp_path / "x [1].csv") as temporary:
        temporary.write_text("whole")
    names = {path.name[:6] for path in tmp_path.iterdir()}
    assert names == {"x.csv", "x [1].", ".other"} and len(list(tmp_path.iterdir())) == 3


SPOOLING = """
import os, sys
from dbn.system.files import temporary_folder
with temporary_folder(sys.argv[1], sys.argv[2]) as folder:
    (folder / "spool").write_text("much")
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX's signals")
def test_temporary_folders_of_killed_processes_go_with_the_next_one(tmp_path):
    """Of the same name alone, and not while their process runs."""
    for name in ("dbn", "other"):
        subprocess.run([sys.executable, "-c", SPOOLING, str(tmp_path), name], check=False)
    assert len(list(tmp_path.glob("*/spool"))) == 2
    with temporary_folder(tmp_path) as running, temporary_folder(tmp_path) as folder:
        assert running.is_dir() and folder.is_dir() and not list(folder.iterdir())
        assert {path.parent.name.split("-")[0] for path in tmp_path.glob("*/spool")} == {"other"}
    assert [path.name.split("-")[0] for path in tmp_path.iterdir()] == ["other"]


def test_a_folder_that_is_gone_is_made_again_for_who_waits(tmp_path):
    """As `dbn train` removes its work folder, with the lock in it, that another one waits for."""
    folder = tmp_path / "work"
    with sole_writer(folder):
        assert folder.is_dir()
        (folder / ".lock").unlink()
        folder.rmdir()
    with sole_writer(folder):
        assert (folder / ".lock").exists()


@pytest.mark.parametrize("old", [None, "old"])
def test_a_file_from_another_disk_is_copied(tmp_path, monkeypatch, old):
    replace = os.replace

    def replace_on_one_disk(source, target):
        if os.path.dirname(source) != os.path.dirname(target):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_on_one_disk)
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    source, target = tmp_path / "there" / "new.txt", tmp_path / "here" / "file.txt"
    source.write_text("new")
    if old:
        target.write_text(old)
        target.chmod(0o600)
    move_into_place(source, target)
    assert target.read_text() == "new" and os.listdir(tmp_path / "here") == ["file.txt"] and not source.exists()
    assert old is None or target.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_a_killed_process_left_half_filled_is_filled_anew(tmp_path):
    (tmp_path / "max.partial").mkdir()
    (tmp_path / "max.partial" / "half").write_text("half")
    with atomic_folder(tmp_path / "max") as folder:
        (folder / "whole").write_text("whole")
    assert os.listdir(tmp_path) == ["max"] and os.listdir(tmp_path / "max") == ["whole"]


def test_what_somebody_else_calls_partial_stays(tmp_path):
    (tmp_path / "mine.partial").mkdir()
    (tmp_path / "own-1.partial").mkdir()
    (tmp_path / "file.partial").write_text("mine")
    for pattern in (None, "own-*.partial"):
        with sole_writer(tmp_path, pattern) if pattern else sole_writer(tmp_path):
            assert {"mine.partial", "file.partial"} < set(os.listdir(tmp_path))
            assert (tmp_path / "own-1.partial").exists() == (pattern is None)
