"""One HTML file that holds all it shows: what was gathered as numbers of a byte, and the scripts that draw them.

Text from outside, such as file names, goes into the page as JSON in which no ``<`` is left, and from there only into
text, never into markup. The page's own policy forbids every script but its own, and the network.
"""
import base64
import hashlib
import html
import json
import re
from pathlib import Path

import numpy as np

from dbn.datasets.folder import printable
from dbn.explorer.sound import CLIP_SECONDS
from dbn.system.files import atomic_path

_DECIBELS = 80  # of a spectrum that are told apart, below the loudest bin of all
_MOST_BANDS = 300  # of a spectrum: more than the panel has pixels

_PARTS = Path(__file__).parent / "page"
_SCRIPTS = ("page.js", "sound.js", "plane.js", "chosen.js", "player.js")  # in the order in which they build on another


def write_page(path, model, exploration, planes, title):
    """Write the page; the same arguments give the same bytes.

    Parameters
    ----------
    path : path-like
        Of the page.
    model : dbn.trained.model.Model
        With classes.
    exploration : dbn.explorer.gather.Exploration
    planes : dict of str to float32 [n, 2]
        By name, see :func:`dbn.explorer.plane.planes`.
    title : str
        What is shown.
    """
    data = json.dumps(page_data(model, exploration, planes, title), separators=(",", ":"), allow_nan=False)
    script = "\n".join((_PARTS / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    style = (_PARTS / "page.css").read_text(encoding="utf-8")
    policy = (f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; img-src data:; "
              "media-src data: file: 'self'")
    parts = {"title": html.escape(printable(title)), "policy": html.escape(policy), "style": style, "script": script,
             "data": data.replace("<", "\\u003c")}
    template = (_PARTS / "page.html").read_text(encoding="utf-8")
    text = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def page_data(model, exploration, planes, title):
    """What the scripts read: a dict of what JSON can hold; arrays as :func:`packed`."""
    layers = model.activations(exploration.frames)
    # binary units are between 0 and 1; of others the largest in the plane is the brightest
    largest = [1.0 if model.activation == "sigmoid" else max(float(units.max()), 1e-9) for units in layers]
    scale = np.repeat([*largest, 1.0], [*(units.shape[1] for units in layers), len(model.classes)])
    songs = exploration.songs
    genres = _genres(model, songs)
    settings = model.frame_settings
    return {
        "title": printable(title),
        "synthetic": bool(model.about.get("synthetic")),
        "classes": [printable(name) for name in model.classes],
        "genres": genres,
        "layers": [units.shape[1] for units in layers],
        "hertz": settings["sample_rate"] / 2,
        "frameSeconds": settings["frame_length"] / settings["sample_rate"],
        "clipSeconds": CLIP_SECONDS,
        "decibels": _DECIBELS,
        "songs": [_song(song, model, genres) for song in songs],
        "players": [_player(number, song, scale) for number, song in enumerate(songs) if song.rows is not None],
        "points": {
            "song": packed(exploration.numbers, np.uint16 if len(songs) <= 2**16 else np.uint32),
            "time": [round(float(time), 3) for time in exploration.times],
            "spectrum": packed(_spectra(exploration.frames[:, :settings["frame_length"] // 2 + 1]), np.uint8),
            "units": packed(_bytes(np.hstack([units / most for units, most in zip(layers, largest)])), np.uint8),
            "probability": packed(_bytes(model.predict_proba(exploration.frames)), np.uint8)},
        "views": [{"name": name, "at": packed(_places(points), np.uint16)} for name, points in planes.items()]}


def packed(array, dtype):
    """An array as the scripts unpack it: its little-endian bytes in base64, with its dtype and shape."""
    array = np.ascontiguousarray(array, dtype=np.dtype(dtype).newbyteorder("<"))
    return {"type": np.dtype(dtype).name, "shape": list(array.shape), "bytes": base64.b64encode(array).decode()}


def _digest(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _genres(model, songs):
    """All that a colour stands for: the model's classes that are shown, in its order, then other genres."""
    shown = {_genre(song, model) for song in songs}
    known = [printable(name) for name in model.classes]
    return [name for name in known if name in shown] + sorted(shown - set(known))


def _genre(song, model):
    """A song's genre, or where nobody has said it the class of the network's answer."""
    genre = song.recording.genre
    return printable(model.classes[int(song.probabilities.argmax())]) if genre is None else genre


def _song(song, model, genres):
    best = int(song.probabilities.argmax())
    return {"name": song.recording.name, "genre": genres.index(_genre(song, model)),
            "isAnswer": song.recording.genre is None, "answer": best,
            "probability": round(float(song.probabilities[best]), 3), "seconds": round(song.seconds, 3),
            "sound": song.sound.url, "parts": song.sound.parts and [
                [round(start, 4), round(stop, 4)] for start, stop in song.sound.parts]}


def _player(number, song, scale):
    """A song's rows over `scale` [units + classes]."""
    return {"song": number, "rowSeconds": song.row_seconds, "rows": packed(_bytes(song.rows / scale), np.uint8)}


def _bytes(values):
    """Values between 0 and 1 as 0 to 255."""
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def _spectra(magnitudes):
    """Magnitudes as decibels below the loudest of all, 0 to 255; neighbouring bins put together to their maxima."""
    group = -(-magnitudes.shape[1] // _MOST_BANDS)
    bands = np.maximum.reduceat(magnitudes, np.arange(0, magnitudes.shape[1], group), axis=1)
    loudest = max(float(bands.max()), 1e-9)
    return _bytes(1 + 20 * np.log10(np.maximum(bands / loudest, 1e-9)) / _DECIBELS)


def _places(points):
    """Points scaled into a square of 0 to 65,535 without a change of their proportions, and centred in it."""
    low, high = points.min(axis=0), points.max(axis=0)
    extent = max(float((high - low).max()), 1e-9)
    return np.rint(((points - (low + high) / 2) / extent + 0.5) * 65535).clip(0, 65535).astype(np.uint16)
