"""Songs that are there twice, in a corpus or in another folder: what is tested on must not be learnt from there."""
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import PurePosixPath

from dbn.datasets import identical
from dbn.datasets.corpus import corpus_key
from dbn.datasets.folder import READABLE
from dbn.system.files import atomic_path
from dbn.system.stored import kept_json

ELSEWHERE = "(elsewhere)/"  # begins the names of songs of another folder


def same_names(names, others):
    """Which names of tracks, in two collections, tell of the same song.

    They do if they are the same but for the suffix, or if the files are called the same, as "blues.00000" and
    "blues/blues.00000.flac" are, and no other file of either collection is called so.

    Parameters
    ----------
    names, others : collection of str

    Returns
    -------
    dict of str to set of str
        By the name in `others` that has one the names of `names` that are the same.
    """
    whole, last = _by_key(names, _without_suffix), _by_key(names, _file_name)
    others_last = _by_key(others, _file_name)
    same = {}
    for name in others:
        called = _file_name(name)
        is_alone = len(others_last[called]) == len(last.get(called, ())) == 1
        found = whole.get(_without_suffix(name), set()) | (last[called] if is_alone else set())
        if found:
            same[name] = found
    return same


def _by_key(names, key):
    found = defaultdict(set)
    for name in names:
        found[key(name)].add(name)
    return found


def _without_suffix(name):
    path = PurePosixPath(name)
    return str(path.with_suffix("") if path.suffix.lower() in READABLE else path)


def _file_name(name):
    return PurePosixPath(_without_suffix(name)).name


def known_songs(corpus, others, folder):
    """Which of other tracks are songs of a corpus: by their names, see :func:`same_names`, or by their files' bytes.

    Parameters
    ----------
    corpus : dbn.datasets.corpus.Corpus
        The songs of a synthetic one are nowhere else.
    others : list of dbn.datasets.corpus.Track
    folder : pathlib.Path
        Where it is kept which files hold the same bytes.

    Returns
    -------
    dict of str to set of str
        By the name of each of `others` that is known the names of the corpus's tracks that it is.
    """
    if corpus.is_synthetic or not others:
        return {}
    known = defaultdict(set, same_names([track.name for track in corpus.tracks], [track.name for track in others]))
    marked = [replace(track, name=f"{ELSEWHERE}{track.name}") for track in others]
    tracks = [*corpus.tracks, *marked]
    for pair in identical_pairs(tracks, corpus_key(replace(corpus, tracks=tuple(tracks))), folder):
        for name, other in (pair, pair[::-1]):
            if other.startswith(ELSEWHERE) and not name.startswith(ELSEWHERE):
                known[other.removeprefix(ELSEWHERE)].add(name)
    return dict(known)


def identical_pairs(tracks, key, folder):
    """Names of tracks whose files hold the same bytes, looked for once a corpus: list of pairs.

    Parameters
    ----------
    tracks : sequence of dbn.datasets.corpus.Track
    key : str
        Names the corpus.
    folder : pathlib.Path
        Where they are kept.
    """
    path = folder / f"identical-{key[:16]}.json"
    pairs = kept_json(path, [(str, str)])
    if pairs is None:
        pairs = identical.identical_files(tracks)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(pairs))
    return pairs
