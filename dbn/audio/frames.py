"""A corpus's frames on disk, and the set of them that a network is trained on.

The frames of 1,000 songs are 2.6 GB as float32 (the paper's §5.3 names their memory as a limit). Here they lie in one
file that is mapped into memory, and everything that reads them takes a block at a time.
"""
from __future__ import annotations

import hashlib
import json
import re
import shutil
import warnings
from contextlib import suppress
from copy import copy
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from dbn.audio.extraction import checked_settings, extract_frames, n_columns
from dbn.audio.spectra import FRAME_LENGTH, HOP_LENGTH, SAMPLE_RATE
from dbn.errors import DamagedError, DatasetError, DBNError, require_integer
from dbn.system.files import (atomic_folder, atomic_path, disk_errors, file_stamp, release_pages, sole_writer,
                              write_rows)
from dbn.system.stored import COUNT, VERSIONS, Either, Perhaps, Within, read_json, read_rows
from dbn.system.versions import versions

DEFAULT_SETTINGS = {"sample_rate": SAMPLE_RATE, "frame_length": FRAME_LENGTH, "hop_length": HOP_LENGTH, "window": None}

FORMAT = 1  # raised whenever the same files and options would give other frames or another layout

_BLOCK_FRAMES, _BLOCK_VALUES = 65536, 2**26  # the most at once: 134 MB of the paper's frames, 268 MB of wider ones
_READ_ROWS = 256  # rows of a mapped file in this process's memory at a time; of rows far apart each may map 2 MB


@dataclass(frozen=True)
class Song:
    """A song in a store: track name, class number, and its rows ``start:stop`` of the store's frames."""

    name: str
    label: int
    start: int
    stop: int


class FrameStore:
    """A corpus's DFT frames in one folder: ``frames.npy``, mapped into memory, and ``index.json``.

    Made by :meth:`build` or :meth:`open`.

    Attributes
    ----------
    path : pathlib.Path
        The folder.
    frames : memmap of float32 [shape=(n_frames, n_features)]
        Read-only; the songs' frames one after another, linear DFT magnitudes, pooled if so asked, not scaled.
    songs : list of Song
        In the order of `frames`, sorted by name.
    classes : tuple of str
        ``classes[song.label]`` is a song's class.
    skipped : list of (str, str)
        ``(file, why)``: what the corpus left out already, then the files that could not be used.
    skipped_names : frozenset of str
        Track names of the latter.
    settings : dict
        ``sample_rate``, ``frame_length``, ``hop_length``, ``window``, and ``pooling`` where frames are pooled.
    key : str
        SHA-256 of all that the frames depend on, see :meth:`build`.
    versions : dict
        Of what computed the frames, see :func:`dbn.system.versions.versions`; empty if an older program made the store.
    """

    def __init__(self, path, frames, index):
        self.path = Path(path)
        self.frames = frames
        self.songs = [Song(*song) for song in index["songs"]]
        self.classes = tuple(index["classes"])
        self.skipped = [tuple(entry) for entry in index["skipped"]]
        self.skipped_names = frozenset(index["skipped_names"])
        self.settings = dict(index["settings"])
        self.key = index["key"]
        self.versions = dict(index.get("versions", {}))

    @classmethod
    def build(cls, corpus, directory, sample_rate=SAMPLE_RATE, frame_length=FRAME_LENGTH, hop_length=HOP_LENGTH,
              window=None, pooling=None, jobs=1, progress=True):
        """The store of a corpus in a cache folder, extracted unless it is there already.

        The store is the folder ``<corpus name>-<key>`` in `directory`. Its key covers each track's name, class and the
        file's size and time of last change (neither its place nor its bytes: to hash a corpus takes longer than to read
        a store), the classes, the files that the corpus skipped, the options and the format. The folder appears under
        its name when it is complete; what a killed build has left behind is removed by the next one in the same cache
        folder, in which one process builds at a time. A damaged store is announced and built again; one of the same
        tracks, classes and options whose files were others then is removed when the new one is there. A copy of the
        corpus that keeps the times of change needs no new store.

        Parameters
        ----------
        corpus : dbn.datasets.Corpus
        directory : path
            The cache folder; made if need be.
        sample_rate, frame_length, hop_length, window, pooling
            As in :func:`dbn.audio.load_audio`, :func:`dbn.audio.dft_magnitudes` and :func:`dbn.audio.pooling.pool`.
        jobs : int or None
            Processes: None is 1, -1 one a core. The store's bytes do not depend on it.
        progress : bool
            Whether to show a progress bar where standard error is a terminal.

        Returns
        -------
        store : FrameStore

        Raises
        ------
        DatasetError
            No file can be used, a track's name is not unique or its class unknown.
        DBNError
            A wrong option, or no room on the disk.
        """
        settings = checked_settings(sample_rate, frame_length, hop_length, window, pooling)
        if jobs is not None and (not isinstance(jobs, int) or jobs == 0):
            raise DBNError(f"jobs must be a number of processes, or -1 for one a core, not {jobs!r}")
        tracks = _checked_tracks(corpus)
        key = store_key(corpus, tracks, settings)
        final = Path(directory) / f"{corpus.name}-{key[:16]}"
        store, _ = cls._open_if_whole(final, key)
        if store is not None:
            return store
        with disk_errors(directory):
            final.parent.mkdir(parents=True, exist_ok=True)
            with sole_writer(final.parent, f"*-{16 * '[0-9a-f]'}.partial"):  # a store of whichever corpus
                store, damage = cls._open_if_whole(final, key)  # another process may have built it meanwhile
                if store is not None:
                    return store
                if damage:
                    warnings.warn(f"{damage}; the frames are extracted again", stacklevel=2)
                    shutil.rmtree(final)
                with atomic_folder(final) as folder:
                    index = _extract(corpus, tracks, folder / "frames.npy", settings, jobs, progress)
                    with atomic_path(folder / "index.json") as temporary:
                        temporary.write_text(json.dumps({"format": FORMAT, "key": key, "versions": versions(), **index},
                                                        indent=1))
                store = cls.open(final)
                _remove_outdated(store, corpus.name)
                return store

    @classmethod
    def open(cls, path):
        """A store that is there.

        Raises
        ------
        DatasetError
            The folder holds no store, one of another format, or a damaged one: the index and the number of frames do
            not agree.
        """
        path = Path(path)
        try:
            number = read_json(path / "index.json", {"format": int})["format"]
            if number != FORMAT:
                raise DatasetError(f"{path}: a frame store of format {number}, this version reads {FORMAT}")
            index = read_json(path / "index.json", _INDEX)
            frames = read_rows(path / "frames.npy", (_checked_end(index), n_columns(index["settings"])))
        except FileNotFoundError as error:
            raise DatasetError(f"{path}: not a frame store, {Path(error.filename).name} is missing") from None
        except OSError as error:
            raise DatasetError(f"{path}: a damaged frame store ({error.filename}: {error.strerror})") from None
        except DatasetError:
            raise
        except DBNError as error:
            raise DatasetError(f"{path}: a damaged frame store ({error})") from None
        return cls(path, frames, index)

    @classmethod
    def _open_if_whole(cls, path, key):
        """The store of this key and None, or None and what is wrong with the folder of that name, if there is one."""
        try:
            store = cls.open(path) if path.exists() else None
        except DatasetError as error:
            return None, error
        if store is not None and store.key != key:
            return None, f"{path}: a damaged frame store (its key is {store.key!r})"
        return store, None


# of index.json
_INDEX = {"format": int, "key": str, "songs": [(str, COUNT, COUNT, COUNT)], "classes": [str], "skipped": [(str, str)],
          "skipped_names": [str], "versions": Perhaps(VERSIONS),
          "settings": {"sample_rate": int, "frame_length": Within(int, 2), "hop_length": int,
                       "pooling": Perhaps(Either((str, None)))}}


def _checked_end(index):
    """The number of frames that the songs of an index have; DamagedError if they contradict each other."""
    end, names = 0, set()
    for name, label, start, stop in index["songs"]:
        if name in names or label >= len(index["classes"]) or not end <= start <= stop:
            raise DamagedError(f"its index does not fit its frames: {name!r}, class {label}, frames {start} to {stop}")
        names.add(name)
        end = stop
    return end


def _checked_tracks(corpus):
    tracks = sorted(corpus.tracks, key=lambda track: track.name)
    for track, following in zip(tracks, tracks[1:]):
        if track.name == following.name:
            raise DatasetError(f"{corpus.name}: two tracks have the name {track.name}: {track.path}, {following.path}")
    for track in tracks:
        if track.label not in corpus.classes:
            raise DatasetError(f"{track.path}: its class {track.label!r} is none of {', '.join(corpus.classes)}")
    return tracks


def store_key(corpus, tracks, settings):
    """SHA-256 of all that a store depends on, see :meth:`FrameStore.build`; `tracks` are the corpus's, by name."""
    parts = [FORMAT, corpus.name, corpus.classes, corpus.skipped, settings,
             [(track.name, track.label, file_stamp(track.path)) for track in tracks]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _remove_outdated(store, name):
    """Remove the stores of the same tracks, classes and settings beside this one, which older files made."""
    def identity(store):
        return store.settings, store.classes, {song.name for song in store.songs} | store.skipped_names

    labels = {song.name: song.label for song in store.songs}
    for folder in store.path.parent.glob(f"{name}-*"):
        if re.fullmatch("[0-9a-f]{16}", folder.name[len(name) + 1:]) and folder != store.path:
            with suppress(DatasetError):  # somebody else's, or of another format
                other = FrameStore.open(folder)
                if identity(other) == identity(store) and all(
                        labels.get(song.name, song.label) == song.label for song in other.songs):
                    shutil.rmtree(folder)


def _extract(corpus, tracks, target, settings, jobs, progress):
    """Write the frames and return what the index says of them."""
    counts, reasons = extract_frames([track.path for track in tracks], target, settings, jobs, progress)
    bad = [(track, reason) for track, reason in zip(tracks, reasons) if reason]
    if len(bad) == len(tracks):
        first = f"; the first: {bad[0][0].path}: {bad[0][1]}" if bad else ""
        raise DatasetError(f"{corpus.name}: none of {len(tracks)} audio files can be used{first}")
    stops = np.cumsum(counts).tolist()
    songs = [Song(track.name, corpus.classes.index(track.label), stop - count, stop)
             for track, count, stop in zip(tracks, counts, stops) if count]
    return {"settings": settings, "classes": corpus.classes, "songs": [astuple(song) for song in songs],
            "skipped": [*corpus.skipped, *((str(track.path), reason) for track, reason in bad)],
            "skipped_names": [track.name for track, _ in bad]}


class FrameSet:
    """What a network is trained on: the frames of some songs, scaled, read from memory or disk a block at a time.

    Parameters
    ----------
    rows : array_like of float32 [shape=(any, n_features)]
        Frames, for example ``store.frames``; never changed.
    segments : list of (int, int)
        Rows ``start:stop`` of each song.
    labels : sequence of int, optional
        Class numbers, one for each segment or one for each frame of the set.
    scaling : dbn.audio.scaling.Scaling, optional
        A fitted one, applied to whatever is read.

    Attributes
    ----------
    n_frames, n_segments : int
    labels : ndarray of int32 [shape=(n_frames,)] or None
    names : tuple of str
        Track names of the segments, if they come from a store.
    missing : tuple of str
        Names that were asked for, but whose files could not be used.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, rows, segments, labels=None, scaling=None, names=(), missing=()):
        self._rows = np.asarray(rows, dtype=np.float32)
        for start, stop in segments:
            if not 0 <= start <= stop <= len(self._rows):
                raise DatasetError(f"a song's rows {start}:{stop} do not lie within {len(self._rows)} frames")
        self._bounds = np.cumsum([0] + [stop - start for start, stop in segments])  # in frames of this set
        self.n_frames, self.n_segments = int(self._bounds[-1]), len(segments)
        if not self.n_frames:
            raise DatasetError("there are no frames in this set")
        self._row_of_frame = np.concatenate([np.arange(start, stop) for start, stop in segments])
        self.labels = None if labels is None else self._label_frames(np.asarray(labels, dtype=np.int32))
        self.scaling = scaling
        self.names, self.missing = tuple(names), tuple(missing)

    @property
    def n_features(self):
        """Values of a frame as it is read, scaled."""
        return self._rows.shape[1] if self.scaling is None else self.scaling.n_outputs

    def _label_frames(self, labels):
        if len(labels) == self.n_segments:
            return np.repeat(labels, np.diff(self._bounds))
        if len(labels) != self.n_frames:
            raise DatasetError(f"{len(labels)} labels for {self.n_segments} segments and {self.n_frames} frames")
        return labels

    @property
    def segment_labels(self):
        """Class number of each segment's first frame, which for songs is the song's; int32 [n_segments], or None."""
        return None if self.labels is None else self.labels[self._bounds[:-1]]

    @classmethod
    def from_store(cls, store, names, scaling=None):
        """The songs of these track names, in this order; those that the store had to skip are listed in `missing`.

        Raises
        ------
        DatasetError
            A name is not in the store, or no song is left.
        """
        songs = {song.name: song for song in store.songs}
        unknown = [name for name in names if name not in songs and name not in store.skipped_names]
        if unknown:
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            raise DatasetError(f"{store.path}: no track of the name {', '.join(unknown[:5])}{more} in this corpus")
        chosen = [songs[name] for name in names if name in songs]
        return cls(store.frames, [(song.start, song.stop) for song in chosen], [song.label for song in chosen], scaling,
                   names=[song.name for song in chosen], missing=[name for name in names if name not in songs])

    @classmethod
    def from_arrays(cls, x, y=None, segment_length=1024):
        """Frames in memory, without songs: cut into segments, which :meth:`shards` shuffles.

        Parameters
        ----------
        x : array_like [shape=(n, n_features)]
        y : array_like of int [shape=(n,)], optional
        """
        if np.ndim(x) != 2 or (y is not None and np.shape(y) != (len(x),)):
            raise DatasetError(f"frames must be [n, n_features] and labels [n], not {np.shape(x)} and {np.shape(y)}")
        return cls(x, [(start, min(start + segment_length, len(x))) for start in range(0, len(x), segment_length)], y)

    def subset(self, frames):
        """Some of the frames, in the order of the songs.

        Parameters
        ----------
        frames : int array [m]
            Their numbers, ascending, none of them twice.

        Returns
        -------
        FrameSet
            Songs of which no frame is left are in it with none.
        """
        other = copy(self)
        other._row_of_frame = self._row_of_frame[frames]
        other._bounds = np.searchsorted(frames, self._bounds)
        other.labels = None if self.labels is None else self.labels[frames]
        other.n_frames = len(frames)
        return other

    def with_scaling(self, scaling):
        """The same frames, scaled otherwise."""
        other = copy(self)
        other.scaling = scaling
        return other

    @property
    def bounds(self):
        """Where each segment begins and the last one ends, in frames of this set; int64 [n_segments + 1]."""
        return self._bounds.copy()

    @property
    def rows(self):
        """The frames as one array [n_frames, n_features] that training can use as it is, or None.

        None if they are still to be scaled, are only some of an array's rows, or lie where nobody may write: compiled
        functions tell such arrays from others, and would be compiled twice.
        """
        whole = np.array_equal(self._row_of_frame, np.arange(len(self._rows)))
        return self._rows if whole and self.scaling is None and self._rows.flags.writeable else None

    def stored(self, path=None):
        """The same frames scaled once and for all, so that :attr:`rows` is there.

        Parameters
        ----------
        path : path, optional
            A file to write them to, which is mapped into memory; None keeps them in memory.

        Returns
        -------
        FrameSet
        """
        blocks = (x for x, _ in self.blocks())
        if path is None:
            rows = np.empty((self.n_frames, self.n_features), dtype=self.dtype)
            start = 0
            for x in blocks:
                rows[start:start + len(x)] = x
                start += len(x)
        else:
            rows = write_rows(path, self.n_frames, self.n_features, blocks)
        other = self.with_scaling(None)
        other._rows, other._row_of_frame = np.asarray(rows), np.arange(self.n_frames)
        return other

    def blocks(self, max_frames=None):
        """All frames in order.

        Parameters
        ----------
        max_frames : int, optional
            Of a block; 65,536 if None, and fewer where so many would hold more than 2^26 values.

        Yields
        ------
        x : ndarray of float32 [shape=(m, n_features)]
            Scaled, m at most `max_frames`; the caller's own.
        y : ndarray of int32 [shape=(m,)] or None
        """
        if max_frames is None:
            max_frames = max(1, min(_BLOCK_FRAMES, _BLOCK_VALUES // self._rows.shape[1]))
        require_integer("max_frames", max_frames, minimum=1)
        for part in _equal_parts(np.arange(self.n_frames), max_frames):
            yield self.read(part), None if self.labels is None else self.labels[part]

    def shards(self, rng, max_frames):
        """The numbers of all frames once, in parts small enough for their frames to lie in memory, for an epoch.

        If one part is enough, it holds the frames in order. Otherwise the songs are dealt out anew in each epoch, and
        the parts are equal in size up to one frame; a song at a part's edge goes on in the next. The caller shuffles
        the frames within a part.

        Parameters
        ----------
        rng : numpy.random.Generator
            The same state gives the same parts.
        max_frames : int

        Returns
        -------
        list of int64 arrays
        """
        require_integer("max_frames", max_frames, minimum=1)
        if self.n_frames <= max_frames:
            return [np.arange(self.n_frames)]
        order = [np.arange(*self._bounds[i:i + 2]) for i in rng.permutation(self.n_segments)]
        return _equal_parts(np.concatenate(order), max_frames)

    def songs(self):
        """One segment at a time.

        Yields
        ------
        index : int
        x : ndarray of float32 [shape=(m, n_features)]
            Scaled frames of the segment; the caller's own.
        """
        for index in range(self.n_segments):
            yield index, self.read(np.arange(*self._bounds[index:index + 2]))

    def read(self, frames):
        """The frames of these numbers, an int array [m]; float32 [m, n_features], scaled, the caller's own."""
        x = np.empty((len(frames), self._rows.shape[1]), dtype=np.float32)
        for start in range(0, len(frames), _READ_ROWS):
            part = slice(start, start + _READ_ROWS)
            # "clip" writes to x without a copy between; all rows were found to be in range at the beginning
            np.take(self._rows, self._row_of_frame[frames[part]], axis=0, out=x[part], mode="clip")
            release_pages(self._rows)
        if self.scaling is None:
            return x
        return self.scaling.transform(x, out=x if self.scaling.components is None else None)


def _equal_parts(order, max_frames):
    return np.array_split(order, -(-len(order) // max_frames))
