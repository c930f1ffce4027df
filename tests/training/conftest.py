"""What the tests of training share."""
import pytest

from small_network import replace_compiled


@pytest.fixture
def quick(monkeypatch):
    """For tests of the loops alone."""
    replace_compiled(monkeypatch)
