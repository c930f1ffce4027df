"""The cache of compiled kernels: whoever changes one gets the changed one."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dbn.graph import cache_key

GRAPH = Path(cache_key.__file__).parent
SOURCES = ["numba_elementwise.py", "numba_products.py", "ops.py", "threefry.py"]


@pytest.fixture
def copies(tmp_path):
    for path in GRAPH.glob("*.py"):
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", SOURCES)
def test_one_byte_of_any_source_gives_another_key(copies, name):
    assert cache_key.key_of(copies) == cache_key.KEY  # it depends on nothing but the files
    content = bytearray((copies / name).read_bytes())
    for position in (0, len(content) // 2, len(content) - 1):
        content[position] ^= 1
        (copies / name).write_bytes(content)
        assert cache_key.key_of(copies) != cache_key.KEY
        content[position] ^= 1
    (copies / name).write_bytes(content + b"\n")
    assert cache_key.key_of(copies) != cache_key.KEY


def test_what_moves_from_file_to_file_gives_another_key(copies):
    first, second = (copies / name for name in SOURCES[:2])
    text = first.read_text()
    first.write_text(text[:-1])
    second.write_text(text[-1] + second.read_text())
    assert cache_key.key_of(copies) != cache_key.KEY


def test_kernels_use_no_code_of_ours_from_elsewhere():
    """Else a change there would leave the key as it is."""
    for name in SOURCES:
        imported = re.findall(r"^\s*(?:from|import) (dbn\S*)", (GRAPH / name).read_text(), flags=re.MULTILINE)
        assert all(module.startswith("dbn.graph") for module in imported), name


SIGMOID = """
import numpy as np
import pytensor.tensor as pt
from dbn.graph.compile import function
from dbn.graph.ops import sigmoid
x = pt.fvector()
print(function([x], sigmoid(x))(np.array([0.3], dtype=np.float32))[0])
"""


def test_a_wrong_coefficient_is_wrong_with_a_warm_cache_too(tmp_path):
    """Of the exponential: the changed file is compiled, though the cache has the kernel of the one before."""
    shutil.copytree(GRAPH.parent, tmp_path / "dbn")
    environment = os.environ | {"PYTENSOR_FLAGS": f"base_compiledir={tmp_path / 'cache'}", "PYTHONPATH": str(tmp_path)}

    def value():
        done = subprocess.run([sys.executable, "-c", SIGMOID], env=environment, cwd=tmp_path, check=True,
                              capture_output=True, text=True)
        return float(done.stdout)

    assert value() == pytest.approx(0.5744425, rel=1e-6)
    path = tmp_path / "dbn" / "graph" / "numba_elementwise.py"
    wrong, n_places = re.subn(r"float32\(1 / 24\)", "float32(1 / 12)", path.read_text())
    path.write_text(wrong)
    assert n_places == 1 and abs(value() - 0.5744425) > 1e-5
