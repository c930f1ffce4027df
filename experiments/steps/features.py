"""The feature sets that the paper compares (§5.1): MFCCs, each layer of the network, all layers side by side."""
import hashlib
import json

import numpy as np
from joblib import Parallel, delayed, parallel_config

from dbn.audio import load_audio
from dbn.errors import DatasetError
from dbn.features.mfcc import mfcc
from dbn.system.files import atomic_path, release_pages, write_rows
from dbn.system.progress import progress_bar
from dbn.system.versions import versions
from experiments.steps.pipeline import read_json


def feature_names(n_layers):
    """The paper's row names for a network of `n_layers` hidden layers."""
    return ["MFCCs", *(f"Layer {i + 1}" for i in range(n_layers)), "All Layers"]


def mfcc_settings(profile):
    """The arguments of :func:`dbn.features.mfcc.mfcc` in a profile: a dict."""
    return {"sample_rate": profile.sample_rate, "frame_length": profile.frame_length,
            "hop_length": profile.hop_length, "window": profile.mfcc_window, "n_mels": profile.n_mels,
            "f_min": profile.f_min, "f_max": profile.f_max, "n_mfcc": profile.n_mfcc}


def mfcc_rows(corpora):
    """MFCCs of every frame of a corpus, made once and kept on disk.

    Parameters
    ----------
    corpora : experiments.steps.pipeline.Corpora
        The corpus and its frame store.

    Returns
    -------
    memmap of float32 [n_frames, n_mfcc]
        Row i belongs to row i of ``corpora.store.frames``.
    """
    profile, store = corpora.profile, corpora.store
    settings, path = mfcc_settings(profile), _mfcc_path(corpora)
    if path.exists():
        return np.load(path, mmap_mode="r")
    paths = {track.name: track.path for track in corpora.corpus.tracks}
    with atomic_path(path.with_suffix(".json")) as temporary:  # before the MFCCs: none of them is without it
        temporary.write_text(json.dumps(versions()))
    with corpora.timed("mfcc"), parallel_config("loky", inner_max_num_threads=1):
        songs = Parallel(n_jobs=corpora.options.jobs, return_as="generator")(
            delayed(_song_mfcc)(paths[song.name], song.stop - song.start, settings) for song in store.songs)
        songs = progress_bar("MFCCs", songs, total=len(store.songs), unit=" songs")
        return write_rows(path, len(store.frames), profile.n_mfcc, songs)


def mfcc_versions(corpora):
    """The versions that made the kept :func:`mfcc_rows`; an empty dict where they were not recorded."""
    return read_json(_mfcc_path(corpora).with_suffix(".json"), {})


def _mfcc_path(corpora):
    """The file of the MFCCs; its name covers the frames and their settings."""
    depends_on = [corpora.store.key, mfcc_settings(corpora.profile)]
    return corpora.out / "frames" / f"mfcc-{hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()[:16]}.npy"


def _song_mfcc(path, n_frames, settings):
    rows = mfcc(load_audio(path, settings["sample_rate"]), **settings)
    if len(rows) != n_frames:
        raise DatasetError(f"{path}: has {len(rows)} frames where the frame store holds {n_frames}; the file was "
                           "changed while this ran, start again")
    return rows


class FeatureSets:
    """All feature sets of chosen frames.

    Parameters
    ----------
    run : experiments.steps.pipeline.Run
        Its network and corpus.

    Attributes
    ----------
    names : list of str
        See :func:`feature_names`.
    """

    def __init__(self, run):
        self.model = run.model
        self.store = run.corpora.store
        self.mfccs = mfcc_rows(run.corpora)
        self.names = feature_names(self.model.n_layers)

    def at(self, rows):
        """Features of some rows of the store.

        Parameters
        ----------
        rows : slice or int array [n]
            Rows of ``store.frames``.

        Returns
        -------
        dict of str to float32 array [n, d]
            By row name.
        """
        layers = self.model.activations(self.store.frames[rows])
        release_pages(self.store.frames)  # a pass over all songs would else hold the whole store in memory
        return dict(zip(self.names, [np.array(self.mfccs[rows]), *layers, np.hstack(layers)]))

    def songs(self, names):
        """The songs of these names that could be read: list of :class:`dbn.audio.frames.Song`, in the given order."""
        by_name = {song.name: song for song in self.store.songs}
        return [by_name[name] for name in names if name in by_name]
