"""The learned features and MFCCs of the same recordings over windows (§5.1.2), and what an SVM makes of each.

What ``dbn train`` and ``dbn train-tags`` print beside their own numbers, so that nobody uses features that lose.
"""
import numpy as np

from dbn.audio.pooling import frame_rate
from dbn.audio.reading import load_audio
from dbn.audio.spectra import HOP_LENGTH, SAMPLE_RATE
from dbn.evaluation.svm import select, vote
from dbn.features.aggregate import aggregate
from dbn.features.mfcc import mfcc
from dbn.system.files import release_pages
from dbn.system.progress import progress_bar
from dbn.system.workers import in_parallel

LEARNED, MFCCS = "All Layers", "MFCCs"

WINDOW, HOP = 5.0, 2.5  # the paper's, in seconds

GRID = {"C": (1.0, 10.0, 100.0), "gamma_times_features": (0.03, 0.1, 0.3, 1.0)}

MOST_WINDOWS = 5000  # that an SVM learns from: its time grows with their square


def learned_windows(model, store, window=WINDOW, hop=HOP):
    """Mean and variance over windows of all layers' activations.

    Parameters
    ----------
    model : dbn.trained.model.Model
    store : dbn.audio.frames.FrameStore
        Of recordings, at the model's frame settings.
    window, hop : float
        In seconds, see :func:`dbn.features.aggregate.aggregate`.

    Returns
    -------
    dict of str to float32 [n_windows, 2 * units]
        By the songs' names.
    """
    windows = {}
    for song in progress_bar("windows", store.songs, unit=" songs"):
        layers = model.activations(store.frames[song.start:song.stop])
        windows[song.name] = aggregate(np.hstack(layers), frame_rate(model.frame_settings), window, hop)
        release_pages(store.frames)
    return windows


def mfcc_windows(paths, jobs=1, window=WINDOW, hop=HOP):
    """Mean and variance over windows of 20 MFCCs of 40 bands, of the paper's frames: 1,024 samples at 22,050 Hz.

    Parameters
    ----------
    paths : dict of str to path
        The file of each song.
    jobs : int
        Worker processes.
    window, hop : float
        In seconds.

    Returns
    -------
    dict of str to float32 [n_windows, 40]
        By the songs' names.

    Raises
    ------
    AudioError
        A file that can no longer be read, or is shorter than a frame.
    """
    windows = in_parallel(_mfcc_windows, [(path, window, hop) for path in paths.values()], jobs)
    return dict(zip(paths, progress_bar("MFCCs", windows, total=len(paths), unit=" songs")))


def _mfcc_windows(path, window, hop):
    return aggregate(mfcc(load_audio(path)), SAMPLE_RATE / HOP_LENGTH, window, hop)


def test_answers(windows, labels, split, jobs=1):
    """Which test songs an SVM on each kind of windows labels right, by the vote of a song's windows (§5.1).

    C and gamma are chosen on the validation songs.

    Parameters
    ----------
    windows : dict of str to dict of str to float32 [n_windows, d]
        For each kind of features, see the functions above.
    labels : dict of str to str
        The class of each song.
    split : dbn.datasets.splits.Split
        Of the songs' names.
    jobs : int
        Worker processes.

    Returns
    -------
    dict of str to bool array [n_test]
        For each kind, which test songs are right.

    Raises
    ------
    DBNError
        A class of the validation songs that no training song has.
    """
    answers = {}
    for name, of_song in windows.items():
        svm, _ = chosen_svm(of_song, labels, split, jobs)
        answers[name] = np.array([vote(svm.predict(of_song[song])) == labels[song] for song in split.test])
    return answers


def chosen_svm(of_song, labels, split, jobs=1):
    """The SVM of one kind of windows whose C and gamma do best on the validation songs.

    Parameters
    ----------
    of_song : dict of str to float32 [n_windows, d]
        Of each song; of the training songs at most :data:`MOST_WINDOWS` are used, evenly taken.
    labels, split, jobs
        As in :func:`test_answers`.

    Returns
    -------
    svm : dbn.evaluation.svm.RBFSVM
    accuracy : float
        Its share of right validation songs.
    """
    x = np.concatenate([of_song[song] for song in split.train])
    y = np.repeat([labels[song] for song in split.train], [len(of_song[song]) for song in split.train])
    kept = np.linspace(0, len(x) - 1, min(len(x), MOST_WINDOWS)).round().astype(int)
    svm, log = select(x[kept], y[kept], [of_song[song] for song in split.valid],
                      [labels[song] for song in split.valid], GRID, jobs)
    return svm, max(point["song_accuracy"] for point in log)
