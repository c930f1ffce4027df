"""What every data set hands to the rest of the system: a list of labelled tracks."""
from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from dbn.system.files import file_stamp

PARTS = ("train", "valid", "test")  # of a split


@dataclass(frozen=True)
class Track:
    """One clip: its `name` (unique in the corpus, e.g. ``"blues.00000"``), file, class and artist ("" if unknown)."""

    name: str
    path: Path
    label: str
    artist: str = ""


@dataclass(frozen=True)
class Corpus:
    """Labelled tracks in a fixed order.

    Attributes
    ----------
    name : str
        Which data set: ``"synthetic"``, ``"gtzan"``, ``"folder"``.
    classes : tuple of str
        Class names, sorted; a label's index here is its number in the network.
    tracks : tuple of Track
        Sorted by name.
    skipped : tuple of (str, str)
        ``(file, why)`` for files that looked like tracks and were left out.
    """

    name: str
    classes: tuple[str, ...]
    tracks: tuple[Track, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def is_synthetic(self):
        """Whether a result on this corpus must be marked "synthetic"."""
        return self.name == "synthetic"


def corpus_key(corpus):
    """Names the songs of a corpus, wherever they lie and whatever is made of them: a SHA-256 in hexadecimal digits.

    It covers the classes and each track's name, class, artist and file (:func:`dbn.system.files.file_stamp`).
    """
    songs = [(track.name, track.label, track.artist, file_stamp(track.path)) for track in corpus.tracks]
    return hashlib.sha256(json.dumps([corpus.classes, songs]).encode()).hexdigest()
