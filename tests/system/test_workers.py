"""Worker processes: their results in order, and their end with the process that started them."""
import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from dbn.system.workers import end_loky_workers, in_parallel

PARENT = """
import os, sys, time
from dbn.system.workers import in_parallel

if __name__ == "__main__":
    print(os.getpid(), *in_parallel(os.getpid, [()] * 2, 2), flush=True)
    if sys.argv[1] == "at work":
        list(in_parallel(time.sleep, [(60,)] * 2, 2))
    time.sleep(60)
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_are_in_order(jobs):
    rows = [np.full(3, number) for number in range(5)]
    assert [int(total) for total in in_parallel(np.sum, [(row,) for row in rows], jobs)] == [0, 3, 6, 9, 12]


def test_workers_that_were_ended_are_replaced():
    """Also where there are none to end."""
    end_loky_workers()
    first, second = (set(in_parallel(os.getpid, [()] * 4, 2)) for _ in range(2))
    end_loky_workers()
    third = set(in_parallel(os.getpid, [()] * 4, 2))
    assert first | second and not third & (first | second)


def test_a_worker_that_has_grown_is_replaced_in_silence():
    with warnings.catch_warnings(record=True) as said:
        list(in_parallel(os.getpid, [()] * 2, 2))
        warnings.warn("A worker stopped while some jobs were given to the executor.", stacklevel=1)
        warnings.warn("what else there is", stacklevel=1)
    assert [str(warning.message) for warning in said] == ["what else there is"]


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX's signals")
@pytest.mark.parametrize("moment", ["at work", "idle"])
def test_workers_do_not_outlive_a_killed_parent(tmp_path, moment):
    """Nor does the pipe stay open, which a caller may read to its end."""
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py"), moment], stdout=subprocess.PIPE, text=True)
    pids = set(map(int, parent.stdout.readline().split()))
    assert parent.pid in pids and len(pids) >= 2
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.read()
    deadline = time.monotonic() + 20
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(is_running, pids))
