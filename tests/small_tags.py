"""Tags, artists and features drawn at random, for the tests of autotagging."""
import numpy as np


def small(seed=0, n_clips=240, n_tags=4, n_artists=40):
    """Random tags of about a fifth of the clips, and an artist for each."""
    rng = np.random.default_rng(seed)
    artists = np.array([f"artist {i}" for i in range(n_artists)])
    return rng.random((n_clips, n_tags)) < 0.2, artists[rng.integers(n_artists, size=n_clips)]


def noise(n_clips, d=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n_clips, d)).astype(np.float32)
