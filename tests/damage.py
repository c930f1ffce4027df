"""Ways to damage a file that the program wrote for itself: what disks, editors and other versions do to it."""
import io
import json
import zipfile

import numpy as np

from dbn.errors import DBNError

VALUES = (None, True, 0, -1, 0.5, 2**70, 1e308, "", "x", [], {}, [[]], {"x": 1}, [1, 2, 3])
TEXTS = (b"", b"\n", b"null", b"true", b"7", b'"x"', b"[]", b"{}", b"[[]]", b"[null]", b"NaN", b"\xff\xfe", b"\0" * 300,
         b"[" * 100_000, b'{"a":' * 50_000, b"{" + b"9" * 5000 + b"}", b"9" * 5000)


def damaged_bytes(data, n_flips=60, seed=0):
    """Shorter, longer, and with flipped bits, most of them near the beginning: pairs of what was done and bytes."""
    for n in sorted({0, 1, 5, 10, 100, len(data) // 2, len(data) - 1} & set(range(len(data)))):
        yield f"cut to {n} bytes", data[:n]
    yield "with more behind", data + b"\0" * 100
    yield "of zeros", b"\0" * len(data)
    rng = np.random.default_rng(seed)
    for number in range(n_flips):
        position = int(rng.integers(min(len(data), 200) if number % 2 else len(data)))
        flipped = bytearray(data)
        flipped[position] ^= 1 << int(rng.integers(8))
        yield f"a bit of byte {position} flipped", bytes(flipped)


def damaged_json(text):
    """Every field dropped, retyped, renumbered and nested: pairs of what was done and bytes."""
    for other in TEXTS:
        yield f"{other[:20]!r} instead", other
    yield from damaged_bytes(text.encode(), n_flips=20)
    content = json.loads(text)
    for where in list(_places(content)):
        for name, changed in _changes(content, where):
            yield f"{'.'.join(map(str, where))} {name}", json.dumps(changed).encode()


def _places(content, where=()):
    """The way to every value; of a list to the first two and to the last."""
    if where:
        yield where
    if isinstance(content, dict):
        for name in content:
            yield from _places(content[name], (*where, name))
    if isinstance(content, list):
        for i in sorted({0, 1, len(content) - 1} & set(range(len(content)))):
            yield from _places(content[i], (*where, i))


def _changes(content, where):
    def changed(change):
        copy = json.loads(json.dumps(content))
        parent = copy
        for step in where[:-1]:
            parent = parent[step]
        change(parent)
        return copy

    *_, last = where
    yield "dropped", changed(lambda parent: parent.pop(last))
    for value in VALUES:
        yield f"= {value!r}", changed(lambda parent: parent.__setitem__(last, value))
    yield "nested", changed(lambda parent: parent.__setitem__(last, [parent[last]]))


def damaged_archive(data):
    """A ``.npz`` file's bytes damaged, and every array of it dropped, cut, retyped and of another shape."""
    yield from damaged_bytes(data)
    arrays = dict(np.load(io.BytesIO(data)))
    for name, array in arrays.items():
        others = {"dropped": None, "cut": array.reshape(-1)[:array.size // 2], "nested": array[None],
                  "of float64": array.astype("f8") if array.dtype.kind == "f" else np.zeros(3),
                  "of text": np.array("x"), "of nothing": np.zeros((0, 0), "f4"), "of objects": np.array([None, {}])}
        for what, other in others.items():
            archive = io.BytesIO()
            np.savez(archive, **{key: value for key, value in {**arrays, name: other}.items() if value is not None})
            yield f"{name} {what}", archive.getvalue()
        if array.dtype.kind == "U" and array.ndim == 0 and array.item().startswith(("{", "[")):
            for what, text in damaged_json(array.item()):
                archive = io.BytesIO()
                np.savez(archive, **{**arrays, name: np.array(text.decode(errors="replace"))})
                yield f"{name}: {what}", archive.getvalue()
    with zipfile.ZipFile(buffer := io.BytesIO(), "w"):
        pass
    yield "an archive of nothing", buffer.getvalue()


def assert_noticed(path, damaged, use):
    """Use a file damaged in each way: a result, or an error of ours, whose message names the file.

    Parameters
    ----------
    path : pathlib.Path
        Holds again what it held at the end.
    damaged : iterable of (str, bytes)
        See the functions above.
    use : callable
        Does with the file what the program does.

    Returns
    -------
    int
        How often it was refused with an error.
    """
    whole, n_refused = path.read_bytes(), 0
    for what, data in damaged:
        path.write_bytes(data)
        try:
            use()
        except DBNError as error:
            assert str(path.name) in str(error) or str(path.parent) in str(error), (what, str(error))
            n_refused += 1
        except Exception as error:
            raise AssertionError(f"{path.name}, {what}: {error!r}") from error
    path.write_bytes(whole)
    return n_refused
