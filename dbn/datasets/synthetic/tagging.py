"""The embedded corpus's tagging half: clips of 10 s with tags, in MajorMiner's form (§5.2).

``clips.tsv`` is a list of tags in seven columns, read by :func:`dbn.datasets.majorminer.load`; the audio lies in
``audio/<clip id>.wav``, and beside every clip the sidecar of what is true of it. A game is simulated on that truth:
each of `N_PLAYERS` players names a tag that holds with the probability of `noticed`, and one that does not hold with
the probability `MISTAKEN`. So some tags that hold are missed, the more the less they strike the ear, and most of the
wrong ones come from one player alone, which is why a tag is believed from two players on.

The artists are of this half alone: none of them, and no clip, is in the genre corpus of the same seed.
"""
from pathlib import Path

import numpy as np

from dbn.datasets.synthetic.genres import GENRES
from dbn.datasets.synthetic.instruments import SAMPLE_RATE
from dbn.datasets.synthetic.storage import (GENERATOR_VERSION, SIDECAR, Order, check_settings, claimed, is_whole,
                                            make_missing, read_truth, require_room, write)
from dbn.datasets.synthetic.truth import TAGS

FIRST_ARTIST = 500  # number of the first artist; those of the genre corpus count from 0
N_PLAYERS = 6
MISTAKEN = 0.02
# What players say of music without being asked for it; other words of `TAGS` come to their minds rarely.
STRIKING = {"drums", "guitar", "piano", "strings", "saxophone", "horns", "synth", "vocal", "male", "female", "rap",
            "instrumental", "acoustic", "electronic", "dance", "slow", "fast"}
NOTICED = {True: 0.6, False: 0.15}
GENRE_TAGS = {genre: "hip hop" if genre == "hiphop" else genre for genre in GENRES}
VOCABULARY = tuple(sorted({*TAGS, *GENRE_TAGS.values()}))


def noticed(tag):
    """Probability that a player names a tag that holds."""
    return NOTICED[tag in STRIKING or tag in GENRE_TAGS.values()]


def generate_tagged(directory, n_clips=600, seconds=10.0, seed=0, clips_per_artist=3, jobs=1, progress=True):
    """Synthesise the tagged clips, or what is still missing of them.

    The same settings give the same bytes, with any number of jobs and after any interruption; a corpus of fewer clips
    is the beginning of one with more.

    Parameters
    ----------
    directory : path-like
        Where it goes; made if need be.
    n_clips : int
    seconds : float
        Length of every clip.
    seed : int
        Not negative.
    clips_per_artist : int
        Of the last artist there may be fewer. The genres take turns, an artist each. (MajorMiner has 3.5 an artist.)
    jobs : int
        Number of processes.
    progress : bool
        Whether to show a progress bar (on a terminal only).

    Returns
    -------
    pathlib.Path
        The list of tags, ``<directory>/clips.tsv``; the audio is in ``<directory>/audio``.

    Raises
    ------
    DatasetError
        A setting that makes no sense, or a directory that cannot be written to, holds a corpus of other settings, or
        holds audio that was not made here.
    """
    settings = {"corpus": "synthetic, tagged", "generator_version": GENERATOR_VERSION, "n_clips": n_clips,
                "seconds": float(seconds), "seed": seed, "clips_per_artist": clips_per_artist,
                "sample_rate": SAMPLE_RATE, "n_players": N_PLAYERS, "mistaken": MISTAKEN,
                "noticed": {tag: noticed(tag) for tag in VOCABULARY}}
    check_settings(settings, jobs, at_least={"n_clips": 1, "clips_per_artist": 1, "seed": 0})
    directory = Path(directory)
    require_room(directory, "audio", n_clips, seconds)
    path = directory / "clips.tsv"
    orders = [_order(directory, settings, number) for number in range(n_clips)]
    if not (is_whole(directory, settings, "audio", orders) and path.exists()):
        with claimed(directory, settings, "audio"):
            make_missing(orders, settings["seconds"], jobs, progress)
            if not path.exists():
                write(path, "".join(line for order in orders for line in _lines(order, seed)).encode())
    return path


def _order(directory, settings, number):
    """The clip of a number: its artist is one of its genre, and has the clips next to it."""
    artist = FIRST_ARTIST + number // settings["clips_per_artist"]
    return Order(directory / "audio" / f"tagged-{number:05d}.wav", f"Tagged Artist {artist}",
                 GENRES[artist % len(GENRES)], (settings["seed"], artist), number)


def _lines(order, seed):
    """A clip's lines of the list: every tag that a player gave it."""
    truth = read_truth(order.path.with_suffix(".json"), SIDECAR, "delete its clip and generate the corpus again")
    holding = {*truth["tags"], GENRE_TAGS[truth["genre"]]}
    rng = np.random.default_rng([seed, FIRST_ARTIST, order.clip_seed])
    chances = [noticed(tag) if tag in holding else MISTAKEN for tag in VOCABULARY]
    for tag, count in zip(VOCABULARY, rng.binomial(N_PLAYERS, chances)):
        if count:
            about = (order.path.stem, f"Song {order.clip_seed}", truth["artist"], f"Album of {truth['artist']}", "0:00")
            yield "\t".join([*about, tag, str(count)]) + "\n"
