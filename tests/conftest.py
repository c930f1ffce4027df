"""Fixtures that several test files share, and a compiler's cache for each run of the tests."""
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

_cache = pytest.StashKey()


def pytest_configure(config):
    """Let this run's processes share an empty cache, so that no test passes by what an older run has compiled.

    Who names a cache in PYTENSOR_FLAGS keeps it: for a single test, again and again.
    """
    flags = os.environ.get("PYTENSOR_FLAGS", "")
    if "base_compiledir" not in flags:
        config.stash[_cache] = folder = tempfile.mkdtemp(prefix="dbn-tests-")
        os.environ["PYTENSOR_FLAGS"] = ",".join(filter(None, [flags, f"base_compiledir={folder}"]))
    # a shell's background jobs ignore Ctrl+C, and so would the processes that the tests start and interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config):
    if _cache in config.stash:
        shutil.rmtree(config.stash[_cache], ignore_errors=True)


@pytest.fixture(scope="session")
def gtzan_mini():
    """Folder of the 100 real GTZAN clips named by the environment variable GTZAN_MINI; skips without it."""
    root = os.environ.get("GTZAN_MINI")
    if not root or not Path(root).is_dir():
        pytest.skip("no real clips: set GTZAN_MINI to a folder with genres/<genre>/<genre>.NNNNN.flac")
    return Path(root)


@pytest.fixture(scope="session")
def resources():
    """The folder of small stored fixtures."""
    return Path(__file__).parent / "resources"


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory):
    """Folder of a finished Table 1 of the smoke profile: its corpus, frames and network, for tests to go on from.

    Made once a process; a test that changes files in it copies it first. Other scripts go on from there with
    ``main(["--profile", "smoke", "--jobs", "1", "--out", str(smoke_run)])``.
    """
    from experiments import table1  # not by tests that do without experiments
    out = tmp_path_factory.mktemp("smoke")
    table1.main(["--profile", "smoke", "--jobs", "1", "--out", str(out)])
    return out
