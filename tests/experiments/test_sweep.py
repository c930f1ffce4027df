"""Searches that really train: in one process, in two, on a Dask cluster; killed, and on a full disk."""
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import small_search
from dbn.audio.frames import FrameStore
from dbn.datasets.splits import read_split
from dbn.errors import DBNError
from experiments import sweep
from small_search import folder_like, inodes, options, records

TESTS = Path(__file__).parents[1]


def searched(out, *arguments, **more):
    """The records of a search in this process."""
    return records(small_search.search(options(out, *arguments, **more)))


@pytest.fixture(scope="module")
def expected(smoke_run, tmp_path_factory):
    """The records of an undisturbed search in one process."""
    found = searched(folder_like(smoke_run, tmp_path_factory.mktemp("undisturbed") / "out"))
    assert Counter((name.split("/")[0], record["epochs"]) for name, record in found.items()) == {
        ("rung-1", 14): 7, ("rung-2", 16): 3, ("rung-3", 16): 2}  # the paper's setting is in each
    assert len({record["parameters"] for record in found.values()}) == 12
    return found


def process(out, *arguments, **popen):
    """The same search in a process of its own."""
    environment = os.environ | {"PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"}
    return subprocess.Popen([sys.executable, small_search.__file__, str(out), *arguments], env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen)


def test_nothing_is_left_but_plan_and_records(smoke_run, expected, tmp_path):
    out = folder_like(smoke_run, tmp_path / "out")
    assert searched(out) == expected
    rungs = ["rung-1", "rung-2", "rung-3"]
    assert sorted(path.name for path in (out / "sweep").iterdir()) == [".lock", "plan.json", *rungs]
    before = inodes(out / "sweep")
    assert searched(out) == expected and inodes(out / "sweep") == before


def test_another_budget_is_another_search(smoke_run, tmp_path):
    """Its rungs are the same, and another number of points would go on."""
    out = folder_like(smoke_run, tmp_path / "out")
    searched(out, "--sweep-points", "1")
    for name, message in (("0.0036", r"seconds \(was 0.0035, now 0.0036\)"), ("0.0035", None)):
        if message:
            with pytest.raises(DBNError, match=message):
                searched(out, "--sweep-points", "1", "--sweep-seconds", name)
        else:
            searched(out, "--sweep-points", "1", "--sweep-seconds", name)


@pytest.mark.parametrize("arguments, message", [
    (("--repeats", "2"), "one seed"), (("--train-songs", "0.5"), "--sweep-frames"),
    (("--pretrain-songs", "all"), "--sweep-frames"), (("--recipe", "log", "--network", "convolutional"), "--network")])
def test_options_that_a_search_does_not_take(tmp_path, arguments, message):
    with pytest.raises(DBNError, match=message):
        sweep.main(["--profile", "smoke", "--out", str(tmp_path), *arguments])


def test_seeds_of_one_split_are_for_the_tables(monkeypatch, tmp_path):
    """With a split that is not drawn the search has one seed, and says so."""
    (tmp_path / "split.csv").write_text("")
    seen = []
    monkeypatch.setattr(sweep, "search", lambda options: seen.append(options.repeats))
    monkeypatch.setattr(sweep.sweep_report, "write", lambda options, folder: seen.append(options.repeats))
    sweep.main(["--profile", "smoke", "--out", str(tmp_path), "--repeats", "3", "--split", str(tmp_path / "split.csv")])
    assert seen == [1, 1]


def test_test_songs_are_not_read(smoke_run, expected, tmp_path):
    """Their frames are not numbers here: to look at one would spoil a scaling, a cost or an error."""
    out = folder_like(smoke_run, tmp_path / "out")
    (out / "frames").unlink()
    shutil.copytree(smoke_run / "frames", out / "frames")
    store_folder, = (path for path in (out / "frames").iterdir() if path.is_dir())
    store = FrameStore.open(store_folder)
    frames = np.load(store_folder / "frames.npy", mmap_mode="r+")
    test_songs = set(read_split(smoke_run / "seed-0" / "split.csv").test)
    for song in store.songs:
        if song.name in test_songs:
            frames[song.start:song.stop] = np.nan
    frames.flush()
    assert np.isnan(frames).any(axis=1).mean() > 0.2
    assert searched(out) == expected


def test_two_jobs_one_of_them_killed(smoke_run, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "train_point", small_search.train_point_or_die)
    out = folder_like(smoke_run, tmp_path / "out")
    assert searched(out, "--jobs", "2") == expected
    assert (out / "sweep" / "died").exists()


def test_dask_cluster_one_worker_killed(smoke_run, expected, tmp_path, monkeypatch):
    from distributed import LocalCluster
    monkeypatch.setattr(sweep, "train_point", small_search.train_point_or_die)
    out = folder_like(smoke_run, tmp_path / "out")
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        before = set(cluster.scheduler_info["workers"])
        assert searched(out, "--scheduler", cluster.scheduler_address) == expected
        assert set(cluster.scheduler_info["workers"]) != before  # one was replaced
    assert (out / "sweep" / "died").exists()


def test_a_scheduler_that_does_not_answer_is_said(smoke_run, tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.search.pool.SECONDS_TO_CONNECT", 0.5)
    out = folder_like(smoke_run, tmp_path / "out")
    with pytest.raises(DBNError, match=r"--scheduler tcp://127\.0\.0\.1:9: no Dask scheduler answers there"):
        searched(out, "--scheduler", "tcp://127.0.0.1:9")


def children(pid):
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()]


def is_running(pid):
    """Whether a process is there, and no zombie that nobody has asked for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds worker processes through /proc")
def test_killed_twice_it_ends_the_same_and_leaves_no_worker(smoke_run, expected, tmp_path):
    out = folder_like(smoke_run, tmp_path / "out")
    for _ in range(2):
        earlier = inodes(out / "sweep")
        running = process(out, "--jobs", "2")
        while inodes(out / "sweep") == earlier:
            assert running.poll() is None, running.communicate()[1]
            time.sleep(0.02)
        workers = children(running.pid)
        running.kill()
        running.communicate()
        before = inodes(out / "sweep")
        assert workers
        deadline = time.monotonic() + 60
        while any(is_running(worker) for worker in workers):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        after = inodes(out / "sweep")
        assert {name: after[name] for name in before} == before
    assert searched(out) == expected
    last = inodes(out / "sweep")
    assert {name: last[name] for name in before} == before


def full_disk(running):
    """A process that stops for want of room: one line after the search's own, no traceback."""
    said = running.communicate()[1].removeprefix("search\n")
    assert running.returncode == 2 and said.startswith("error: ") and said.count("\n") == 1, said
    return said


def test_a_file_that_grows_too_large(smoke_run, expected, tmp_path):
    """With a limit that the inputs keep and one checkpoint, of a wide network, does not."""
    out = folder_like(smoke_run, tmp_path / "out")
    running = process(out, "--hidden-layers-sizes", "400",
                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (800_000, 800_000)))
    assert "paper" in full_disk(running)
    found = searched(out, "--hidden-layers-sizes", "400")
    assert {found.pop(f"rung-{i}/paper.json")["status"] for i in (1, 2, 3)} == {"finished"}
    assert found == {name: record for name, record in expected.items() if "paper" not in name}


def test_full_disk(smoke_run, expected, tmp_path):
    out = folder_like(smoke_run, tmp_path / "out")
    disk = out / "sweep"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True)
    if mount.returncode:
        pytest.skip("may not mount a small disk")
    try:
        running = process(out)
        while len(inodes(disk)) < 2:
            assert running.poll() is None, running.communicate()[1]
            time.sleep(0.02)
        running.send_signal(signal.SIGSTOP)  # or it might be done before the disk is full
        with open(disk / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                pass
        running.send_signal(signal.SIGCONT)
        full_disk(running)
        full_disk(process(out))
        before = inodes(disk)
        (disk / "filler").unlink()
        assert searched(out) == expected
        after = inodes(disk)
        assert len(before) >= 2 and {name: after[name] for name in before} == before
        assert json.loads((disk / "plan.json").read_text())["n_points"] == 6
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
