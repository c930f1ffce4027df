"""Songs whose frames say nothing and whose order says all: a tone that rises or falls through the bins, in noise."""
import numpy as np

N_BINS = 8


def ramps(n_songs, n_rounds, seed):
    """Songs of two kinds, of which a single frame is as likely in one as in the other.

    A song goes through all bins `n_rounds` times from wherever it begins, so that even its frames, sorted, are those of
    a song of the other kind. Bins are wrong with a probability of 0.05.

    Returns
    -------
    songs : list of `n_songs` float32 arrays [n_frames, N_BINS] of 0 and 1
        Of ``n_rounds * N_BINS`` frames.
    labels : int array [n_songs]
        1 for a tone that rises, 0 for one that falls; half of the songs each.
    """
    rng = np.random.default_rng(seed)
    labels, songs = np.arange(n_songs) % 2, []
    for rises in labels:
        bins = (rng.integers(N_BINS) + (1 if rises else -1) * np.arange(n_rounds * N_BINS)) % N_BINS
        songs.append((np.eye(N_BINS)[bins] != (rng.random((len(bins), N_BINS)) < 0.05)).astype(np.float32))
    return songs, labels
