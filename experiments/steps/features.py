"""The feature sets that the paper compares (§5.1): MFCCs, each layer of the network, all layers side by side."""
import hashlib
import json
from dataclasses import replace

import numpy as np

from dbn.audio import load_audio
from dbn.audio.pooling import pool, pooled_frames
from dbn.cli.options import option_name
from dbn.errors import DatasetError, DBNError
from dbn.features.mfcc import deltas, mfcc
from dbn.system.files import atomic_path, release_pages, sole_writer, write_rows
from dbn.system.progress import progress_bar
from dbn.system.stored import VERSIONS, kept, kept_json, read_json, read_rows
from dbn.system.versions import versions
from dbn.system.workers import in_parallel
from experiments.profiles import MFCC_SEARCH, PROFILES

RIVAL = "MFCCs"  # the row that the network's are tested against


def feature_names(n_layers):
    """The paper's row names for a network of `n_layers` hidden layers."""
    return [RIVAL, *(f"Layer {i + 1}" for i in range(n_layers)), "All Layers"]


def mfcc_choices(options):
    """The MFCCs that a table chooses from, by the validation songs: a dict of text to profile.

    They are the profile's own, or, where the network's settings won a search, all of
    :data:`experiments.profiles.MFCC_SEARCH`; then a DBNError is raised if the options name one.
    """
    if not options.winner:
        return {RIVAL: options.profile}
    for name in MFCC_SEARCH[0]:
        if getattr(options.profile, name) != getattr(PROFILES[options.profile_name], name):
            raise DBNError(f"--from-sweep and {option_name(name)}: where the network won a search the table "
                           "chooses the MFCCs as well; leave one out")
    return searched_mfccs(options.profile)


def searched_mfccs(profile):
    """A profile with each of :data:`experiments.profiles.MFCC_SEARCH`: a dict of text to profile."""
    profiles = [replace(profile, **settings) for settings in MFCC_SEARCH]
    return {f"{profile.n_mfcc} MFCCs of {profile.n_mels} bands{' and their deltas' * profile.mfcc_deltas}": profile
            for profile in profiles}


def mfcc_settings(profile):
    """The arguments of :func:`mfcc_features` in a profile: those of :func:`dbn.features.mfcc.mfcc` and two more."""
    settings = {"sample_rate": profile.sample_rate, "frame_length": profile.frame_length,
                "hop_length": profile.hop_length, "window": profile.mfcc_window, "n_mels": profile.n_mels,
                "f_min": profile.f_min, "f_max": profile.f_max, "n_mfcc": profile.n_mfcc, "deltas": profile.mfcc_deltas}
    n_pooled = pooled_frames(profile.pooling)
    return settings if n_pooled == 1 else settings | {"pooling": f"mean-{n_pooled}"}


def mfcc_features(signal, settings):
    """MFCCs of a signal, with their deltas at their right if the :func:`mfcc_settings` want them; float32 [n, d].

    Where the network's frames are pooled, so are these, to their means.
    """
    settings = dict(settings)
    with_deltas, pooling = settings.pop("deltas"), settings.pop("pooling", None)
    rows = mfcc(signal, **settings)
    return pool(np.hstack([rows, deltas(rows)]) if with_deltas else rows, pooling)


def mfcc_rows(corpora, profile):
    """MFCCs of every frame of a corpus, made once and kept on disk.

    Parameters
    ----------
    corpora : experiments.steps.pipeline.Corpora
        The corpus and its frame store.
    profile : experiments.profiles.Profile
        With the MFCCs' settings.

    Returns
    -------
    memmap of float32 [n_frames, d]
        Row i belongs to row i of ``corpora.store.frames``; see :func:`mfcc_features`.
    """
    store, settings, path = corpora.store, mfcc_settings(profile), _mfcc_path(corpora, profile)
    shape = len(store.frames), profile.n_mfcc * (2 if profile.mfcc_deltas else 1)
    rows = _kept_rows(path, shape)
    if rows is None:
        with sole_writer(path.parent):
            rows = _kept_rows(path, shape)  # another process may have made them meanwhile
            if rows is None:
                rows = _make_rows(corpora, path, shape, settings)
    return rows


def _kept_rows(path, shape):
    """The MFCCs of a file, None if it is not there, or not what made them; what is damaged is announced."""
    return kept(path, read_rows, shape) if kept_json(path.with_suffix(".json"), VERSIONS) else None


def _make_rows(corpora, path, shape, settings):
    store = corpora.store
    paths = {track.name: track.path for track in corpora.corpus.tracks}
    with atomic_path(path.with_suffix(".json")) as temporary:  # before the MFCCs: none of them is without it
        temporary.write_text(json.dumps(versions()))
    with corpora.timed("mfcc"):
        songs = in_parallel(_song_mfcc, ((paths[song.name], song.stop - song.start, settings) for song in store.songs),
                            corpora.options.jobs)
        songs = progress_bar("MFCCs", songs, total=len(store.songs), unit=" songs")
        return write_rows(path, *shape, songs)


def mfcc_versions(corpora, profile):
    """The versions that made the kept :func:`mfcc_rows`."""
    return read_json(_mfcc_path(corpora, profile).with_suffix(".json"), VERSIONS)


def _mfcc_path(corpora, profile):
    """The file of the MFCCs; its name covers the frames and their settings."""
    depends_on = [corpora.store.key, mfcc_settings(profile)]
    return corpora.out / "frames" / f"mfcc-{hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()[:16]}.npy"


def _song_mfcc(path, n_frames, settings):
    rows = mfcc_features(load_audio(path, settings["sample_rate"]), settings)
    if len(rows) != n_frames:
        raise DatasetError(f"{path}: has {len(rows)} frames where the frame store holds {n_frames}; the file was "
                           "changed while this ran, start again")
    return rows


class _MFCCs:
    """The MFCCs of some profiles in as few files as hold them: one for each number of bands, of its most columns."""

    def __init__(self, corpora, profiles):
        self.columns, self.rows, self.parts = {}, {}, []
        for n_mels in dict.fromkeys(profile.n_mels for profile in profiles.values()):
            alike = {name: profile for name, profile in profiles.items() if profile.n_mels == n_mels}
            most = replace(next(iter(alike.values())), n_mfcc=max(each.n_mfcc for each in alike.values()),
                           mfcc_deltas=any(each.mfcc_deltas for each in alike.values()))
            rows = mfcc_rows(corpora, most)
            self.parts.append((RIVAL, mfcc_versions(corpora, most)))
            for name, profile in alike.items():
                kept = np.arange(profile.n_mfcc)
                self.rows[name] = rows
                self.columns[name] = np.r_[kept, most.n_mfcc + kept] if profile.mfcc_deltas else kept

    def at(self, name, rows):
        """float32 [n, d] of one profile."""
        return np.array(self.rows[name][rows][:, self.columns[name]])


class FeatureSets:
    """All feature sets of chosen frames.

    Parameters
    ----------
    run : experiments.steps.pipeline.Run
        Its network and corpus.
    mfccs : dict of str to experiments.profiles.Profile, optional
        See :func:`mfcc_choices`; those of the run's profile alone if None.

    Attributes
    ----------
    choices : dict of str to list of str
        By row of the table, see :func:`feature_names`, the names of the feature sets that it is chosen from.
    names : list of str
        All these feature sets.
    parts : list of (str, dict)
        What the MFCCs are made of, see :mod:`experiments.steps.provenance`.
    """

    def __init__(self, run, mfccs=None):
        mfccs = {RIVAL: run.profile} if mfccs is None else mfccs
        self.model = run.model
        self.store = run.corpora.store
        self._mfccs = _MFCCs(run.corpora, mfccs)
        self.parts = self._mfccs.parts
        self.choices = {row: [row] for row in feature_names(self.model.n_layers)} | {RIVAL: list(mfccs)}
        self.names = [name for names in self.choices.values() for name in names]

    def at(self, rows):
        """Features of some rows of the store.

        Parameters
        ----------
        rows : slice or int array [n]
            Rows of ``store.frames``.

        Returns
        -------
        dict of str to float32 array [n, d]
            By the names of the feature sets.
        """
        layers = self._layers(rows)
        release_pages(self.store.frames)  # a pass over all songs would else hold the whole store in memory
        mfccs = [self._mfccs.at(name, rows) for name in self.choices[RIVAL]]
        return dict(zip(self.names, [*mfccs, *layers, np.hstack(layers)]))

    def _layers(self, rows):
        if self.model.min_frames == 1:
            return self.model.activations(self.store.frames[rows])
        # a convolutional network makes them of a frame among its neighbours, and so of whole songs
        rows, result = np.arange(len(self.store.frames))[rows], None
        song_of = np.searchsorted([song.start for song in self.store.songs], rows, side="right") - 1
        for number in np.unique(song_of):
            song, here = self.store.songs[number], song_of == number
            layers = self.model.activations(self.store.frames[song.start:song.stop])
            if result is None:
                result = [np.empty((len(rows), layer.shape[1]), dtype=np.float32) for layer in layers]
            for of_all, of_song in zip(result, layers):
                of_all[here] = of_song[rows[here] - song.start]
        return result

    def songs(self, names):
        """The songs of these names that could be read: list of :class:`dbn.audio.frames.Song`, in the given order."""
        by_name = {song.name: song for song in self.store.songs}
        return [by_name[name] for name in names if name in by_name]
