"""The corpus on disk: GTZAN's tree, ``genres/<genre>/<genre>.NNNNN.wav``, with a sidecar of truth beside every clip.

``corpus.json`` holds the settings and is written first, so that a generation
that was killed can be continued; every other file is written beside its place
and renamed into it, so that a file that is there is complete.
"""
import io
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from dbn.datasets.corpus import Corpus, Track
from dbn.datasets.synthetic.genres import GENRES
from dbn.datasets.synthetic.instruments import SAMPLE_RATE
from dbn.datasets.synthetic.render import render_clip
from dbn.errors import DamagedError, DatasetError
from dbn.system.files import sole_writer
from dbn.system.progress import progress_bar
from dbn.system.stored import Among, Within, kept_json, read_json
from dbn.system.workers import in_parallel

# To be raised whenever a clip of the same seed would sound different.
GENERATOR_VERSION = 1
MANIFEST = "corpus.json"
WAV_HEADER_BYTES = 44

_MANIFEST = {"clips_per_genre": Within(int, 1, 10**6), "seconds": Within(float, 1, 600), "genres": [Among(GENRES)]}
SIDECAR = {"artist": str, "genre": Among(GENRES), "tags": [str]}


@dataclass(frozen=True)
class Order:
    """A clip to be made: its file, its artist's name, and what :func:`render.render_clip` needs."""

    path: Path
    artist: str
    genre: str
    artist_seed: tuple[int, int]
    clip_seed: int


def generate(directory, clips_per_genre=100, seconds=30.0, seed=0, artists_per_genre=20, jobs=1, progress=True):
    """Synthesise the corpus, or what is still missing of it.

    The same settings give the same bytes, with any number of jobs and after any interruption; a corpus with fewer
    clips per genre is the beginning of one with more.

    Parameters
    ----------
    directory : path-like
        Where it goes; made if need be.
    clips_per_genre : int
    seconds : float
        Length of every clip.
    seed : int
        Not negative.
    artists_per_genre : int
        How many artists a genre has. As in GTZAN some have many clips and others one or two.
    jobs : int
        Number of processes.
    progress : bool
        Whether to show a progress bar (on a terminal only).

    Returns
    -------
    Corpus

    Raises
    ------
    DatasetError
        A setting that makes no sense, or a directory that cannot be written to, holds a corpus of other settings, or
        holds clips that were not made here (nobody's GTZAN is written over).
    """
    settings = {"corpus": "synthetic", "generator_version": GENERATOR_VERSION, "clips_per_genre": clips_per_genre,
                "seconds": float(seconds), "seed": seed, "artists_per_genre": artists_per_genre, "genres": list(GENRES),
                "sample_rate": SAMPLE_RATE}
    check_settings(settings, jobs, at_least={"clips_per_genre": 1, "artists_per_genre": 1, "seed": 0})
    directory = Path(directory)
    require_room(directory, "genres", clips_per_genre * len(GENRES), seconds)
    orders = [_order(directory, settings, *clip) for clip in _clips(settings)]
    if not is_whole(directory, settings, "genres", orders):
        with claimed(directory, settings, "genres"):
            make_missing(orders, settings["seconds"], jobs, progress)
    return load(directory)


def load(directory):
    """Read a corpus that `generate` made.

    Parameters
    ----------
    directory : path-like

    Returns
    -------
    Corpus
        Its name is ``"synthetic"``; the tracks' artists are from the sidecars.

    Raises
    ------
    DatasetError
        No corpus in the directory, or one of which clips are missing.
    """
    directory = Path(directory)
    settings = read_truth(directory / MANIFEST, {}, "generate the corpus first")
    if settings.get("corpus") != "synthetic":
        raise DatasetError(f"{directory / MANIFEST} does not describe a synthetic corpus; name another directory")
    settings = read_truth(directory / MANIFEST, _MANIFEST, "name another directory")
    missing = [_clip_path(directory, *clip).name for clip in _clips(settings)
               if not _is_complete(_clip_path(directory, *clip), settings["seconds"])]
    if missing:
        raise DatasetError(f"{directory}: {len(missing)} clips are missing or incomplete, {missing[0]} first; "
                           "generate the corpus again with the same settings, which adds only what is missing")
    tracks = []
    for genre, number in _clips(settings):
        path = _clip_path(directory, genre, number)
        truth = read_truth(path.with_suffix(".json"), SIDECAR, "delete it and generate the corpus again")
        tracks.append(Track(name=path.stem, path=path, label=genre, artist=truth["artist"]))
    return Corpus(name="synthetic", classes=tuple(sorted(GENRES)), tracks=tuple(sorted(tracks, key=lambda t: t.name)))


def check_settings(settings, jobs, at_least):
    """Raise DatasetError for numbers that no corpus can have; `at_least` names the whole ones and their minimum."""
    for name, least in {**at_least, "jobs": 1}.items():
        value = jobs if name == "jobs" else settings[name]
        if not isinstance(value, int) or value < least:
            raise DatasetError(f"{name}={value!r}: give a whole number from {least} on")
    if not 1 <= settings["seconds"] <= 600:
        raise DatasetError(f"seconds={settings['seconds']!r}: give a length from 1 to 600 seconds")


def require_room(directory, folder, n_clips, seconds):
    """Raise DatasetError if the disk has no room for so many clips, those in the directory's `folder` among them."""
    needed = n_clips * _clip_bytes(seconds)
    place = directory.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:  # most of them may be there
        free += sum(path.stat().st_size for path in (directory / folder).rglob("*.wav"))
    if needed > free:
        raise DatasetError(f"{directory}: {n_clips:,} clips of {seconds:g} s take {needed / 1e9:,.1f} GB, and "
                           f"{free / 1e9:,.1f} GB are free; make fewer or shorter ones, or name another directory")


def is_whole(directory, settings, folder, orders):
    """Whether the corpus is there with all its clips, so that nothing has to be written; raises as :func:`claimed`."""
    _refuse_foreign(directory, settings, folder)
    return (directory / MANIFEST).exists() and not _missing(orders, settings["seconds"])


@contextmanager
def claimed(directory, settings, folder):
    """Context manager: make the directory this corpus's own, or see that it already is, and be the only one to fill it.

    Two that made the same clip would leave one of another time of change than that which frames are named by.

    Raises
    ------
    DatasetError
        The directory cannot be written to, holds another corpus, or the corpus's `folder` without its settings: then
        it is somebody else's.
    """
    _refuse_foreign(directory, settings, folder)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with sole_writer(directory):
            _refuse_foreign(directory, settings, folder)  # another process may have begun meanwhile
            if not (directory / MANIFEST).exists():
                write(directory / MANIFEST, _to_json(settings))
            yield
    except OSError as error:
        raise DatasetError(f"{directory}: {error.strerror}; name a directory that can be written to") from error


def _refuse_foreign(directory, settings, folder):
    if (directory / MANIFEST).exists():
        _check_same(directory, settings)
    elif (directory / folder).exists():
        raise DatasetError(f"{directory} holds {folder}/ but no {MANIFEST}, so it is another data set; "
                           "name another one")


def _check_same(directory, settings):
    """Raise DatasetError if the directory's corpus has other settings."""
    there = read_truth(directory / MANIFEST, {}, "name an empty directory")
    different = [f"{name} {there.get(name)!r} instead of {value!r}" for name, value in settings.items()
                 if there.get(name) != value]
    if different:
        raise DatasetError(f"{directory} already holds another corpus ({', '.join(different)}); "
                           "name another directory, or delete this one")


def _clips(settings):
    """Every (genre, number) of the corpus."""
    return [(genre, number) for genre in settings["genres"] for number in range(settings["clips_per_genre"])]


def _clip_path(directory, genre, number):
    return directory / "genres" / genre / f"{genre}.{number:05d}.wav"


def _artist_of(settings, genre_index, number):
    """Which of a genre's artists a clip is by: the first ones have the most clips."""
    rng = np.random.default_rng([settings["seed"], genre_index, number])
    share = 1 / (np.arange(settings["artists_per_genre"]) + 2)
    return int(rng.choice(len(share), p=share / share.sum()))


def _order(directory, settings, genre, number):
    artist = _artist_of(settings, GENRES.index(genre), number)
    return Order(_clip_path(directory, genre, number), f"{genre}-artist-{artist:02d}", genre,
                 (settings["seed"], artist), number)


def make_missing(orders, seconds, jobs=1, progress=True):
    """Synthesise the clips that are not there yet, each with its sidecar.

    Parameters
    ----------
    orders : list of Order
    seconds : float
        Length of every clip.
    jobs : int
        Number of processes.
    progress : bool
        Whether to show a progress bar (on a terminal only).
    """
    missing = _missing(orders, seconds)
    if missing:
        bar = progress_bar("synthesising", missing, progress, unit="clip")
        for _ in in_parallel(_write_clip, ((order, seconds) for order in bar), jobs):
            pass


def _missing(orders, seconds):
    """The orders whose clip, or whose truth, is not there; a damaged one is announced."""
    return [order for order in orders if not _has_audio(order.path, seconds)
            or kept_json(order.path.with_suffix(".json"), SIDECAR) is None]


def _is_complete(path, seconds):
    """Whether a clip and its sidecar are there (a file that is there is complete unless somebody cut it)."""
    return _has_audio(path, seconds) and path.with_suffix(".json").is_file()


def _has_audio(path, seconds):
    return path.is_file() and path.stat().st_size == _clip_bytes(seconds)


def _clip_bytes(seconds):
    return WAV_HEADER_BYTES + 2 * round(seconds * SAMPLE_RATE)


def _write_clip(order, seconds):
    """Synthesise one clip and write it and its sidecar."""
    signal, truth = render_clip(order.genre, order.artist_seed, order.clip_seed, seconds)
    order.path.parent.mkdir(parents=True, exist_ok=True)
    write(order.path.with_suffix(".json"), _to_json({"artist": order.artist, **truth}))
    if not _has_audio(order.path, seconds):  # made again, it would count as another file
        buffer = io.BytesIO()
        soundfile.write(buffer, quantise(signal), SAMPLE_RATE, subtype="PCM_16", format="WAV")
        write(order.path, buffer.getvalue())


def quantise(signal):
    """Round a signal within (-1, 1) to 16 bits, without dither: int16 [n_samples]."""
    return np.rint(signal * np.float32(32767)).astype(np.int16)


def write(path, content):
    """Write bytes beside their place, then rename them into it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _to_json(values):
    return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode()


def read_truth(path, form, advice):
    """The content of a JSON file of this form; DatasetError with the advice if there is none."""
    try:
        return read_json(path, form)
    except FileNotFoundError:
        raise DatasetError(f"{path} is not there; {advice}") from None
    except DamagedError as error:
        raise DatasetError(f"{error}; {advice}") from None
