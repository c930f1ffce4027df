"""SIGTERM ends a command as Ctrl-C does: with a sentence, and without what was temporary."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX's signals")

REPOSITORY = Path(__file__).parents[2]

AT_WORK = """
import sys, time
from functools import partial
from dbn.system.interrupts import done_at_end, ended_by_interrupt
with done_at_end(partial(print, "tidied", flush=True)), ended_by_interrupt("stopped; go on"):
    with done_at_end(lambda: 1 / 0):  # hinders nobody
        print("at work", flush=True)
        time.sleep(60)
"""


CLASSIFY = "import sys; from dbn.cli import main; sys.exit(main())"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_work_that_python_cannot_interrupt_ends_at_once(number):
    process = subprocess.Popen([sys.executable, "-c", AT_WORK], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    process.stdout.readline()
    process.send_signal(number)
    assert process.communicate(timeout=60) == ("tidied\n", "stopped; go on\n")
    assert process.returncode == 128 + number


def test_a_terminated_command_leaves_no_spool(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", CLASSIFY, "classify", "synthetic-demo", "-"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=os.environ | {"TMPDIR": str(tmp_path)})
    deadline = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(tmp_path.iterdir())
    process.terminate()
    assert "dbn: stopped" in process.communicate(timeout=60)[1]
    assert process.returncode == 130 and not list(tmp_path.iterdir())


def test_an_interrupt_while_a_script_imports_is_no_traceback(tmp_path):
    """The import that waits here stands for seconds of them."""
    (tmp_path / "numpy.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    process = subprocess.Popen([sys.executable, "-m", "experiments.table1"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, cwd=REPOSITORY,
                               env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == "stopped\n" and process.returncode == 130
