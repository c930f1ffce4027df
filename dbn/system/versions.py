"""What computes here: Python, the packages that numbers may depend on, and the libraries below them.

A record of versions is a dict from a name to a version. It is kept with whatever is computed, so that who shows a
number later can say what made it, and not what printed it.
"""
import functools
import platform
from importlib.metadata import version

from dbn import __version__

PACKAGES = ("numpy", "scipy", "pytensor", "numba", "llvmlite", "scikit-learn", "joblib", "matplotlib", "soundfile")

NOT_RECORDED = "not recorded"  # stands for the version where a record does not name one


def versions():
    """The record of this process: a dict.

    Returns
    -------
    dict of str to str
        ``python``, ``dbn``, each of `PACKAGES`, ``libsndfile``, and ``blas``: of the BLAS of NumPy and that of SciPy
        the name, version and kernel, which is chosen by the processor.
    """
    return dict(_versions())


@functools.cache  # they are read from the disk
def _versions():
    import soundfile  # not for who asks for a record's form alone

    return {"python": platform.python_version(), "dbn": __version__, **{name: version(name) for name in PACKAGES},
            "libsndfile": soundfile.__libsndfile_version__, "blas": _blas()}


def _blas():
    """Every BLAS that is loaded; "openblas 0.3.30 Haswell and openblas 0.3.31 Haswell" where NumPy and SciPy differ."""
    import scipy.linalg  # noqa: F401  SciPy's own is loaded with it, and named whatever was used before
    from threadpoolctl import threadpool_info

    found = {" ".join(filter(None, [library["internal_api"], library["version"], library.get("architecture")]))
             for library in threadpool_info() if library["user_api"] == "blas"}
    return " and ".join(sorted(found)) or "unknown"


def joined(*records):
    """The record of what several processes made together.

    Parameters
    ----------
    records : dict
        In the order of the work; one of nothing stands for a process that left no record.

    Returns
    -------
    dict of str to (str or list of str)
        For each name the version, or a list of the different ones.
    """
    found = {}
    for name in dict.fromkeys(name for record in records for name in record):
        different = list(dict.fromkeys(each for record in records for each in recorded(record, name)))
        found[name] = different[0] if len(different) == 1 else different
    return found


def recorded(record, name):
    """The versions that a record, which may be a joined one, has of a name: a list of at least one."""
    value = record.get(name, NOT_RECORDED)
    return value if isinstance(value, list) else [value]
