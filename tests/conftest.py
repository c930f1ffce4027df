"""Fixtures that several test files share."""
import os
from pathlib import Path

import pytest


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
