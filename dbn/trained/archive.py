"""The file of a trained model: plain arrays and texts in JSON in one ``.npz``.

It is read without pickle, every array's size and dtype is checked before its data are, and the same arrays give the
same bytes. Nothing in a stranger's file can run code or take more memory than a model may.
"""
import json
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from dbn.audio.scaling import Scaling
from dbn.errors import ModelFileError
from dbn.system.files import atomic_path, require_plain_file

MAX_BYTES = 2**28  # of one array: 67 million weights, a thousand times the paper's network
MAX_TOTAL_BYTES = 2**30  # of all arrays
MAX_NETWORK_BYTES = MAX_TOTAL_BYTES - 2**27  # of weights and biases; the rest is for texts, the scaling and headers
MAX_TEXT_BYTES = 2**26  # of a text in JSON, whose lists take ten times as much
MAX_HEADER_BYTES = 10_000
SHIPPED = Path(__file__).parent  # where the models are that come with the package


def shipped_models():
    """The files of the models that come with the package: a dict by their names, which have no suffix."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.npz"))}


def scaling_arrays(scaling):
    """What a file holds of a fitted :class:`dbn.audio.scaling.Scaling` beside its kind: a dict of arrays."""
    return {f"scaling_{name}": array for name, array in scaling.to_arrays().items() if name != "kind"}


def write_arrays(path, arrays):
    """Write a dict of arrays beside the file's place and rename it into it; `path` ends in ``.npz``.

    Raises
    ------
    ModelFileError
        The name has another ending, or the file cannot be written.
    """
    if not str(path).endswith(".npz"):
        raise ModelFileError(f"{path}: a model file's name ends in .npz")
    try:
        # an open file: to a name without .npz, which a link may lead to, NumPy adds one and writes elsewhere
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise ModelFileError(f"{path}: the model cannot be written: {error.strerror or error}") from error


@contextmanager
def open_archive(path):
    """A model file open for reading; whatever is wrong with its bytes comes out as a :class:`ModelFileError`.

    Yields
    ------
    zipfile.ZipFile
    """
    require_plain_file(path, ModelFileError)
    try:
        with zipfile.ZipFile(path) as archive:
            n_bytes = sum(info.file_size for info in archive.infolist())
            if n_bytes > MAX_TOTAL_BYTES:
                raise ModelFileError(f"{path}: its arrays have {n_bytes:,} bytes, and a model at most "
                                     f"{MAX_TOTAL_BYTES:,}")
            yield archive
    except ModelFileError:
        raise
    except OSError as error:
        by_name = f"; dbn.open_model({str(path)!r}) reads the model that comes with the program" * (
            str(path) in shipped_models())
        raise ModelFileError(f"{path}: cannot be read: {error.strerror or error}{by_name}") from error
    except Exception as error:  # of a stranger's bytes: the readers of archives and headers raise a dozen kinds
        raise ModelFileError(f"{path}: not a model file of this program, or a damaged one ({error})") from error


def read_scaling(archive, kind):
    """The fitted :class:`dbn.audio.scaling.Scaling` of this kind in an open archive."""
    ndims = {"offset": 1, "gain": 1} | ({} if Scaling(kind).n_components is None else {"components": 2})
    arrays = {name: read_array(archive, f"scaling_{name}", ndim) for name, ndim in ndims.items()}
    return Scaling.from_arrays({"kind": kind} | arrays)


def read_json(archive, name, path):
    """A dict out of an open archive's member `name`, a text in JSON; `path` names the file in messages."""
    meta = json.loads(str(read_array(archive, name, 0, kinds="U")))
    if not isinstance(meta, dict):
        raise ModelFileError(f"{path}: not a model file of this program")
    return meta


def check_json(meta, path, file_format, version, kinds):
    """Refuse a :func:`read_json` of another format, of a newer version, or without entries of these kinds."""
    if meta.get("format") != file_format:
        raise ModelFileError(f"{path}: not a model file of this program")
    if not isinstance(meta.get("version"), int) or meta["version"] > version:
        raise ModelFileError(f"{path}: written by a newer version of this program (format {meta.get('version')}, "
                             f"this one reads {version}); update the program")
    for entry, kind in kinds.items():
        if not isinstance(meta.get(entry), kind):
            raise ModelFileError(f"{path}: damaged: its {entry!r} is missing or of the wrong kind")


def read_array(archive, name, ndim, kinds="f", float_type=np.float32):
    """One array of an open archive, its header checked before any data are read.

    Parameters
    ----------
    archive : zipfile.ZipFile
    name : str
        Of its member, without ``.npy``.
    ndim : int
        Dimensions that it must have.
    kinds : str
        NumPy's letters of the kinds of dtype that it may have.
    float_type : dtype
        What floats are converted to; they must be finite.

    Returns
    -------
    ndarray
    """
    info = archive.getinfo(f"{name}.npy")
    most = MAX_TEXT_BYTES if kinds == "U" else MAX_BYTES
    if info.file_size > most + MAX_HEADER_BYTES:
        raise ValueError(f"{name} has {info.file_size:,} bytes, and at most {most:,} are read")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # as NumPy writes; others unpack in memory
        raise ValueError(f"{name} is packed in a way that NumPy does not use")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0,
                       (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if read_header is None:
            raise ValueError(f"{name} is in format {version}")
        shape, fortran, dtype = read_header(file, max_header_size=MAX_HEADER_BYTES)
        if dtype.kind not in kinds or len(shape) != ndim or min(shape, default=0) < 0:
            raise ValueError(f"{name} is {dtype} of shape {shape}")
        n_bytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if n_bytes > min(most, info.file_size):
            raise ValueError(f"{name} claims {n_bytes:,} bytes and has {info.file_size:,}; at most {most:,} are read")
        data = file.read(n_bytes)
    array = np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran else "C")
    if kinds == "f":
        array = array.astype(float_type)
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds values that are not finite")
    return array
