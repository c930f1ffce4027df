"""The reader of MajorMiner's lists: both forms, popularity, audio by name, and what is wrong with a list."""
import csv
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dbn.datasets import majorminer
from dbn.errors import DatasetError

SEVEN = """\
c1\tLet\\'s Go\tAir\tMoon\t0:10\tguitar\t3
c1\tLet\\'s Go\tAir\tMoon\t0:10\tdrums\t2
c2\tTrack 2\t\tUnknown\t1:00\tdrums\t4
c2\tTrack 2\t\tUnknown\t1:00\tguitar\t1
c3\tSea\tBoards\tHi\t2:30\tbass\t2
"""
THREE = """\
guitar\t3\ta/c1.mp3
drums\t2\ta/c1.mp3
drums\t4\tb/c2.mp3
bass\t2\tb/c1.mp3
"""


@pytest.fixture
def in_file(tmp_path):
    """Writes a list of tags and gives its path."""
    def write(text, encoding="utf-8"):
        path = tmp_path / "tags.tsv"
        path.write_bytes(text.encode(encoding))
        return path
    return write


@pytest.fixture
def audio(tmp_path):
    """Makes empty files below a folder: nothing is decoded by the reader."""
    def make(*names):
        folder = tmp_path / "audio"
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        return folder
    return make


@pytest.fixture(scope="module")
def real_list():
    """The real list of tags named by the environment variable MAJORMINER_TAGS; skips without it."""
    path = os.environ.get("MAJORMINER_TAGS")
    if not path or not Path(path).is_file():
        pytest.skip("no real tags: set MAJORMINER_TAGS to a MajorMiner list of tags in seven columns")
    return Path(path)


def test_seven_columns(in_file):
    corpus = majorminer.load(in_file(SEVEN))
    assert corpus.clips[0] == majorminer.Clip("c1", None, "Let's Go", "Air", "Moon", "0:10")
    assert [clip.artist for clip in corpus.clips] == ["Air", "", "Boards"]
    assert corpus.tags == ("drums", "bass", "guitar")  # two clips, then one each, by name
    np.testing.assert_array_equal(corpus.matrix, [[True, False, True], [True, False, False], [False, True, False]])
    assert corpus.popularity.tolist() == [2, 1, 1]
    assert corpus.missing == ("c1", "c2", "c3") and corpus.skipped == ()


def test_three_columns(in_file):
    corpus = majorminer.load(in_file(THREE))
    assert [clip.id for clip in corpus.clips] == ["a/c1.mp3", "b/c2.mp3", "b/c1.mp3"]
    assert {clip.artist for clip in corpus.clips} == {""}
    assert dict(zip(corpus.tags, corpus.matrix.T.tolist())) == {
        "drums": [True, True, False], "bass": [False, False, True], "guitar": [True, False, False]}


def test_a_tag_holds_from_so_many_players_on(in_file):
    path = in_file(SEVEN)
    assert majorminer.load(path, min_count=1).popularity.tolist() == [2, 2, 1]
    strict = majorminer.load(path, min_count=3)
    assert strict.tags == ("drums", "guitar") and strict.matrix.sum() == 2 and len(strict.clips) == 3
    with pytest.raises(DatasetError, match="min_count"):
        majorminer.load(path, min_count=5)


def test_only_the_most_popular_tags(in_file):
    corpus = majorminer.load(in_file(SEVEN), n_tags=1)
    assert corpus.tags == ("drums",) and corpus.matrix.shape == (3, 1)


def test_order_of_lines_does_not_change_the_tags(in_file):
    expected = majorminer.load(in_file(SEVEN)).tags
    assert majorminer.load(in_file("".join(SEVEN.splitlines(keepends=True)[::-1]))).tags == expected


def test_windows_line_ends_byte_order_mark_and_empty_lines(in_file):
    expected = majorminer.load(in_file(SEVEN))
    read = majorminer.load(in_file("\ufeff" + SEVEN.replace("\n", "\r\n\r\n")))
    assert read.clips == expected.clips
    np.testing.assert_array_equal(read.matrix, expected.matrix)


def test_a_second_line_for_a_clip_and_tag_is_named(in_file):
    corpus = majorminer.load(in_file(SEVEN + "c3\tSea\tBoards\tHi\t2:30\tbass\t1\n"))
    (line, why), = corpus.skipped
    assert line == 6 and "c3" in why and "line 5" in why
    assert corpus.popularity.tolist() == [2, 1, 1]


# --- audio ---

def test_audio_is_found_by_clip_id_in_any_format(in_file, audio):
    folder = audio("c1.flac", "deep/down/c3.OGG", "c2.m4a", ".c2.wav", "notes.txt")
    corpus = majorminer.load(in_file(SEVEN), audio=folder)
    assert [clip.path for clip in corpus.clips] == [folder / "c1.flac", None, folder / "deep/down/c3.OGG"]
    assert corpus.missing == ("c2",)
    assert corpus.popularity.tolist() == [2, 1, 1]  # of the list, whatever audio there is


def test_audio_of_the_three_columns_by_path_or_by_file_name(in_file, audio):
    text = THREE.replace("b/c2.mp3", "/home/somebody/c2.mp3")
    folder = audio("a/c1.wav", "b/c1.wav", "elsewhere/c2.flac")
    corpus = majorminer.load(in_file(text), audio=folder)
    assert [clip.path for clip in corpus.clips] == [folder / "a/c1.wav", folder / "elsewhere/c2.flac",
                                                    folder / "b/c1.wav"]
    assert corpus.missing == ()


def test_audio_never_comes_from_outside_the_folder(in_file, audio, tmp_path):
    folder = audio("c1.wav")
    (tmp_path / "secret.wav").touch()
    corpus = majorminer.load(in_file(f"bass\t2\t../secret.wav\nbass\t2\t{tmp_path}/secret.wav\n"), audio=folder)
    assert [clip.path for clip in corpus.clips] == [None, None]


def test_one_clip_in_two_formats_and_in_two_places(in_file, audio):
    folder = audio("c1.wav", "c1.flac")
    assert majorminer.load(in_file(SEVEN), audio=folder).clips[0].path == folder / "c1.flac"
    audio("other/c2.wav", "another/c2.wav")
    with pytest.raises(DatasetError, match="clip c2: two files"):
        majorminer.load(in_file(SEVEN), audio=folder)


# --- what is wrong ---

BAD = {
    "columns": ("a\tb\n", "line 1: 2 columns"),
    "mixed forms": (SEVEN + THREE, "line 6: 3 columns"),
    "no number": (SEVEN + "c4\tS\tB\tH\t2:30\tbass\tmany\n", "line 6: the count of players is 'many'"),
    "negative": ("bass\t-2\tc.mp3\n", "line 1: the count"),
    "no clip": ("bass\t2\t\n", "line 1: the clip is empty"),
    "no tag": ("\n\t2\tc.mp3\n", "line 2: the tag is empty"),
    "two artists": (SEVEN + "c3\tSea\tOthers\tHi\t2:30\tslow\t2\n", "line 6: clip c3 has another"),
    "empty": ("\n \n", "an empty list"),
}


@pytest.mark.parametrize("text, message", BAD.values(), ids=BAD.keys())
def test_malformed_lists_are_named_with_the_line(in_file, text, message):
    path = in_file(text)
    with pytest.raises(DatasetError) as error:
        majorminer.load(path)
    assert str(path) in str(error.value) and message in str(error.value)


def test_unreadable_lists_folders_and_options(in_file, tmp_path):
    with pytest.raises(DatasetError, match="no/such"):
        majorminer.load("no/such")
    with pytest.raises(DatasetError, match="not a readable list"):
        majorminer.load(in_file("bass\t2\tc\xe9.mp3\n", "latin-1"))
    with pytest.raises(DatasetError, match="no such folder"):
        majorminer.load(in_file(SEVEN), audio=tmp_path / "none")
    for option in ({"min_count": 0}, {"n_tags": 0}, {"n_tags": 2.5}, {"min_count": True}):
        with pytest.raises(DatasetError, match=next(iter(option))):
            majorminer.load(in_file(SEVEN), **option)


# --- the real list ---

def test_real_list(real_list):
    """Against a reading by the csv module, and the numbers known of this list."""
    with open(real_list, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert len(rows) == 9087
    corpus = majorminer.load(real_list, n_tags=1000)
    assert len(corpus.clips) == 2359 and len({clip.artist for clip in corpus.clips}) == 672
    assert len(corpus.tags) == 40 and corpus.skipped == () and len(corpus.missing) == 2359
    assert dict(zip(corpus.tags, corpus.popularity)) == Counter(row[5] for row in rows if int(row[6]) >= 2)
    assert not any("\\" in field for clip in corpus.clips for field in (clip.title, clip.artist, clip.album))
    given = {(row[0], row[5]) for row in rows}
    assert given == {(corpus.clips[i].id, corpus.tags[j]) for i, j in np.argwhere(corpus.matrix)}


def test_real_list_most_popular_tags(real_list):
    corpus = majorminer.load(real_list)
    assert len(corpus.tags) == 25
    assert dict(zip(corpus.tags[:3], corpus.popularity[:3])) == {"drums": 1095, "guitar": 883, "male": 684}
    assert (corpus.tags[-1], corpus.popularity[-1]) == ("ambient", 64)
    assert {"rock", "pop"} < set(corpus.tags)  # named by the paper
