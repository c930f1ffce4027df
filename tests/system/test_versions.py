"""A record of versions is of this process; joined ones name all that had a hand in something."""
import json
import subprocess
import sys
from importlib.metadata import version

import soundfile
from threadpoolctl import threadpool_info

from dbn.system.versions import joined, versions


def test_the_record_of_this_process():
    record = versions()
    for package in ("numpy", "scipy", "pytensor", "numba", "llvmlite", "scikit-learn", "joblib", "matplotlib"):
        assert record[package] == version(package)
    assert record["python"] == ".".join(map(str, sys.version_info[:3]))
    assert record["libsndfile"] == soundfile.__libsndfile_version__
    for library in threadpool_info():
        if library["user_api"] == "blas":
            assert library["version"] in record["blas"] and library.get("architecture", "") in record["blas"]
    json.dumps(record, allow_nan=False)


def test_it_says_the_same_whatever_was_loaded_before():
    alone = subprocess.run([sys.executable, "-c", "import json; from dbn.system.versions import versions; "
                            "print(json.dumps(versions()))"], capture_output=True, text=True, check=True)
    import pytensor  # noqa: F401
    assert json.loads(alone.stdout) == versions()


def test_a_caller_may_change_what_it_got():
    versions()["numpy"] = "mine"
    assert versions()["numpy"] == version("numpy")


def test_joined_records():
    first, then = {"numpy": "2.2", "scipy": "1.16"}, {"numpy": "2.3", "scipy": "1.16", "blas": "openblas"}
    assert joined(first) == first
    assert joined(first, then) == {"numpy": ["2.2", "2.3"], "scipy": "1.16", "blas": ["not recorded", "openblas"]}
    assert joined(joined(first, then), first) == joined(first, then)
    assert joined({}, first) == {"numpy": ["not recorded", "2.2"], "scipy": ["not recorded", "1.16"]}
