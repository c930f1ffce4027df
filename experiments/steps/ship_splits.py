"""The splits that ship with the repository, ``data/splits/``: what the scripts draw for the lists of songs known here.

A draw needs names, classes and artists, and no audio. GTZAN's fault-filtered split is drawn by nobody: it is a column
of ``data/gtzan/tracks.csv``.
"""
from pathlib import Path

from dbn.datasets import gtzan, splits, synthetic
from dbn.datasets.corpus import Track
from experiments.profiles import PROFILES
from experiments.steps.options import run_script

SPLITS = Path(__file__).resolve().parents[2] / "data" / "splits"

# the tracks of GTZAN that RESULTS.md is about: 100 whole clips, and the tracks of which it has 499 excerpts
OF_100 = {genre: range(10) for genre in gtzan.GENRES} | {"jazz": (0, 1, 2, 4, 5, 6, 7, 8, 11, 12)}
OF_499 = {genre: range(1, 51) for genre in gtzan.GENRES} | {"classical": [*range(1, 41), *range(42, 51)]}
N_SEEDS = 10


def main(folder=SPLITS):
    """Write every split into a folder, and name it."""
    for name, split in drawn_splits():
        splits.write_split(split, folder / f"{name}.csv")
        print(folder / f"{name}.csv")


def drawn_splits():
    """Draw them: yields the name and the :class:`dbn.datasets.splits.Split` of each."""
    whole = [Track(entry.name, None, entry.genre, entry.artist) for entry in gtzan.read_index().values()]
    yield "gtzan-class-seed-0", splits.split_by_class(whole, 0)
    yield "gtzan-artist-seed-0", splits.split_by_artist(whole, 0)
    of_100, of_499 = ([track for track in whole if int(track.name.split(".")[1]) in numbers[track.label]]
                      for numbers in (OF_100, OF_499))
    for seed in range(N_SEEDS):
        yield f"gtzan-100-class-seed-{seed}", splits.split_by_class(of_100, seed)
        yield f"gtzan-499-class-seed-{seed}", splits.split_by_class(of_499, seed)
        yield f"gtzan-499-artist-seed-{seed}", splits.split_by_artist(of_499, seed)
    for profile, values in PROFILES.items():
        tracks = [Track(_name(genre, number), None, genre) for genre in synthetic.GENRES
                  for number in range(values.clips_per_genre)]
        yield f"synthetic-{profile}-class-seed-0", splits.split_by_class(tracks, 0)


def _name(genre, number):
    """A track's name, in GTZAN as in the embedded corpus."""
    return f"{genre}.{number:05d}"


if __name__ == "__main__":
    run_script(lambda _: main())
