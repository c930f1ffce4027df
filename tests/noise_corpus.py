"""A corpus of noise in a moment, for tests of frame stores."""
import numpy as np
import soundfile

from dbn.datasets import Corpus, Track

RATE = 22050


def write_corpus(folder, n_clips=6, seconds=0.5):
    """Clips of noise of different lengths, in two classes."""
    tracks = []
    for i in range(n_clips):
        path = folder / f"clip{i:03d}.wav"
        noise = 0.1 * np.random.default_rng(i).standard_normal(int(seconds * RATE) + 700 * i)
        soundfile.write(path, noise, RATE)
        tracks.append(Track(f"clip.{i:03d}", path, ("blues", "rock")[i % 2]))
    return Corpus("folder", ("blues", "rock"), tuple(tracks), (("notes.txt", "is no audio file"),))
