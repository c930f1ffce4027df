"""Frames in the plane: how many of each song, and t-SNE of what represents them (§4.1, Figure 2)."""
import numpy as np
from threadpoolctl import threadpool_limits

from dbn.errors import DBNError
from dbn.system.progress import progress_bar
from dbn.system.workers import in_parallel

PERPLEXITY = 30.0  # about how many neighbours t-SNE keeps near a point


def frames_a_song(n_frames, n_songs, rng):
    """How many frames to draw of each song, so that all songs have as many; who has one more is drawn.

    Parameters
    ----------
    n_frames, n_songs : int
        In all.
    rng : numpy.random.Generator

    Returns
    -------
    int array [n_songs]
        Their sum is `n_frames`, if there are songs.
    """
    if not n_songs:
        return np.zeros(0, dtype=int)
    counts = np.full(n_songs, n_frames // n_songs)
    counts[rng.permutation(n_songs)[:n_frames % n_songs]] += 1
    return counts


def embed(x, perplexity, seed):
    """Two-dimensional t-SNE, begun at the first two principal components; float32 [n, d] -> float32 [n, 2].

    One thread, so that the same seed gives the same picture whatever the number of cores.
    """
    from sklearn.manifold import TSNE  # a second to import, which messages about wrong options need not wait for
    with threadpool_limits(limits=1):
        return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(x)


def planes(representations, seed, jobs=1):
    """:func:`embed` every representation of the same frames.

    Parameters
    ----------
    representations : dict of str to float32 [n, d]
        By name.
    seed : int
    jobs : int
        So many of them at a time.

    Returns
    -------
    dict of str to float32 [n, 2]

    Raises
    ------
    DBNError
        Fewer than five frames.
    """
    n = min(map(len, representations.values()))
    if n < 5:
        raise DBNError(f"{n} frames are too few for a plane: give more or longer recordings, or more --frames")
    perplexity = min(PERPLEXITY, (n - 1) / 3)
    found = in_parallel(embed, ((x, perplexity, seed) for x in representations.values()), jobs)
    return dict(zip(representations, progress_bar("t-SNE", found, total=len(representations), unit=" planes")))
