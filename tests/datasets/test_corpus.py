"""A corpus's key names its songs: any other name, class, artist or file is another corpus."""
from dataclasses import replace

import pytest

from dbn.datasets.corpus import Corpus, Track, corpus_key


@pytest.fixture
def corpus(tmp_path):
    for name in "ab":
        (tmp_path / name).write_bytes(b"audio")
    return Corpus("folder", ("blues", "metal"), (Track("a", tmp_path / "a", "blues", "x"),
                                                 Track("b", tmp_path / "b", "metal", "y")))


@pytest.mark.parametrize("change", [{"name": "c"}, {"label": "metal"}, {"artist": "y"}], ids=str)
def test_every_part_of_a_track_is_in_the_key(corpus, change):
    tracks = (replace(corpus.tracks[0], **change), corpus.tracks[1])
    assert corpus_key(replace(corpus, tracks=tracks)) != corpus_key(corpus)


def test_so_are_the_classes_and_what_is_in_the_files(corpus):
    first = corpus_key(corpus)
    assert corpus_key(replace(corpus, name="gtzan")) == first
    assert corpus_key(replace(corpus, classes=("blues", "metal", "pop"))) != first
    corpus.tracks[0].path.write_bytes(b"other audio")
    assert corpus_key(corpus) != first
