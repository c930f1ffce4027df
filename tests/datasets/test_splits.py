import warnings
from collections import Counter

import numpy as np
import pytest

from dbn.datasets import gtzan, splits
from dbn.datasets.corpus import Track
from dbn.datasets.splits import PARTS, Split
from dbn.errors import DatasetError


def make_tracks(**n_songs):
    return [Track(f"{label}.{i:05}", None, label) for label, n in n_songs.items() for i in range(n)]


def by_artist(**artists):
    """Tracks of classes given as ``label="aaabbc"``: one letter a song, its artist; ``?`` is unknown."""
    return [Track(f"{label}.{i:05}", None, label, artist.strip("?"))
            for label, letters in artists.items() for i, artist in enumerate(letters)]


@pytest.fixture(scope="module")
def whole_gtzan():
    return [Track(entry.name, None, entry.genre, entry.artist) for entry in gtzan.read_index().values()]


def sizes(split, label):
    return tuple(sum(name.startswith(f"{label}.") for name in getattr(split, part)) for part in PARTS)


def names(*parts):
    return [name for part in parts for name in part]


@pytest.mark.parametrize("n, expected", [(100, (50, 20, 30)), (10, (5, 2, 3)), (3, (1, 1, 1)), (4, (2, 1, 1)),
                                         (5, (3, 1, 1)), (6, (3, 1, 2)), (90, (45, 18, 27)), (99, (49, 20, 30))])
def test_class_is_cut_as_the_paper_does(n, expected):
    split = splits.split_by_class(make_tracks(a=n, b=100), seed=1)
    assert sizes(split, "a") == expected and sizes(split, "b") == (50, 20, 30)


@pytest.mark.parametrize("fractions", [(0.5, 0.2, 0.3), (0.9, 0.05, 0.05), (0.1, 0.1, 0.8), (0.98, 0.01, 0.01)])
def test_cut_is_whole_complete_and_near_the_shares(fractions):
    for n in range(3, 150):
        cut = sizes(splits.split_by_class(make_tracks(a=n), 0, fractions), "a")
        shares = n * np.array(fractions)
        assert sum(cut) == n and min(cut) >= 1
        if shares.min() >= 1:
            assert np.abs(cut - shares).max() < 1


def test_split_by_class_is_a_partition_that_the_seed_alone_decides():
    tracks = make_tracks(a=40, b=30, c=7)
    split = splits.split_by_class(tracks, seed=3)
    assert sorted(names(split.train, split.valid, split.test)) == sorted(track.name for track in tracks)
    assert split == splits.split_by_class(tracks[::-1], seed=3)
    assert split != splits.split_by_class(tracks, seed=4)
    # a class's draw depends on its number, so equal classes are not cut at the same songs
    twins = splits.split_by_class(make_tracks(a=40, b=40))
    assert {name[2:] for name in twins.test if name[0] == "a"} != {name[2:] for name in twins.test if name[0] == "b"}


def test_every_song_is_tested_as_often_as_its_share():
    tracks = make_tracks(a=10)
    tested = Counter(name for seed in range(300) for name in splits.split_by_class(tracks, seed).test)
    # binomial, n = 300, p = 0.3: mean 90, standard deviation 7.9; five of them either way
    assert len(tested) == 10 and all(50 < count < 130 for count in tested.values())


@pytest.mark.parametrize("draw", [splits.split_by_class, splits.split_by_artist])
@pytest.mark.parametrize("options, message", [
    ({"seed": -1}, "seed -1"), ({"fractions": (0.5, 0.5)}, "three"), ({"fractions": (0.5, 0.5, 0.0)}, "positive"),
    ({"fractions": (0.5, 0.2, 0.2)}, "sum 1"), ({"fractions": (float("nan"), 0.5, 0.5)}, "positive")])
def test_wrong_draws(draw, options, message):
    with pytest.raises(DatasetError, match=message):
        draw(by_artist(a="abc"), **options)
    with pytest.raises(DatasetError, match="no tracks"):
        draw([])


def test_a_class_too_small_is_named():
    with pytest.raises(DatasetError, match=r"class 'b' has 2 song\(s\).*add songs"):
        splits.split_by_class(make_tracks(a=5, b=2))


def test_split_by_artist_on_the_whole_data_set(whole_gtzan):
    split = splits.split_by_artist(whole_gtzan, seed=0)
    artist = {track.name: track.artist for track in whole_gtzan}
    artists = [{artist[name] for name in getattr(split, part)} for part in PARTS]
    assert not artists[0] & artists[1] and not artists[0] & artists[2] and not artists[1] & artists[2]
    assert set(split.excluded) == {name for name in artist if not artist[name]} and len(split.excluded) == 81
    assert len(names(split.train, split.valid, split.test)) == 919
    for genre in gtzan.GENRES:
        cut = np.array(sizes(split, genre))
        assert np.abs(cut - cut.sum() * np.array(splits.FRACTIONS)).max() <= 10
    assert split == splits.split_by_artist(whole_gtzan[::-1], seed=0)
    assert split != splits.split_by_artist(whole_gtzan, seed=1)


@pytest.mark.parametrize("seed", range(5))
def test_split_by_artist_fills_every_part_where_that_can_be(seed):
    # three artists a class, one of them with nearly all songs, and one in both classes
    split = splits.split_by_artist(by_artist(a="x" * 50 + "yz", b="y" * 30 + "uv"), seed)
    assert min(sizes(split, "a") + sizes(split, "b")) >= 1


def test_split_by_artist_finds_an_exact_cut():
    split = splits.split_by_artist(by_artist(a="aaaaabbccc", b="dddddeefff"))
    assert sizes(split, "a") == sizes(split, "b") == (5, 2, 3)


@pytest.mark.parametrize("artists, message", [
    ({"a": "xyz", "b": "uuvv"}, r"class 'b' has 2 known"), ({"a": "???", "b": "xyz"}, r"class 'a' has 0 known"),
    # a puts x, y and z in three parts; b then needs w where z is, and c needs it where y is
    ({"a": "xyz", "b": "xyw", "c": "xzw"}, "artists are in several classes")])
def test_split_by_artist_that_cannot_be(artists, message):
    with pytest.raises(DatasetError, match=message):
        splits.split_by_artist(by_artist(**artists))


def test_sturm_split_of_the_whole_data_set(whole_gtzan):
    split = splits.sturm_split(whole_gtzan)
    assert [len(part) for part in (split.train, split.valid, split.test, split.excluded)] == [443, 197, 290, 70]
    artist = {track.name: track.artist for track in whole_gtzan}
    known = [{artist[name] for name in getattr(split, part)} - {""} for part in PARTS]
    assert not known[0] & known[1] and not known[0] & known[2] and not known[1] & known[2]
    assert splits.identical_across(split, gtzan.identical_pairs()) == []


def test_sturm_split_of_a_part(whole_gtzan):
    split = splits.sturm_split(whole_gtzan[::3])
    assert len(names(*(getattr(split, part) for part in PARTS), split.excluded)) == len(whole_gtzan[::3])
    assert set(split.train) < set(splits.sturm_split(whole_gtzan).train)
    with pytest.raises(DatasetError, match="train or valid"):
        splits.sturm_split([track for track in whole_gtzan if track.name in split.test])
    with pytest.raises(DatasetError, match="'a.00000' is not in GTZAN's list"):
        splits.sturm_split(make_tracks(a=1))


AWKWARD = Split(("b", 'quote"d, comma'), ("é/ü.wav",), ("a b",), (" x",))


def test_a_written_split_is_read_as_it_was(tmp_path):
    path = tmp_path / "new" / "split.csv"
    splits.write_split(AWKWARD, path)
    assert splits.read_split(path) == AWKWARD
    assert path.read_bytes() == ('track,part\nb,train\n"quote""d, comma",train\né/ü.wav,valid\na b,test\n'
                                 ' x,excluded\n').encode()
    splits.write_split(AWKWARD, path)
    assert [file.name for file in path.parent.iterdir()] == ["split.csv"]
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as spreadsheets write it
    assert splits.read_split(path) == AWKWARD


def test_a_split_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="split.csv: cannot be written"):
        splits.write_split(AWKWARD, tmp_path / "file" / "split.csv")


@pytest.mark.parametrize("text, message", [
    ("", "line 1: the header"), ("a.00000,train\n", "line 1: the header"), ("track,part\na.00000,dev\n", "line 2: unk"),
    ("track,part\na.00000,train\na.00000,test\n", "line 3: track 'a.00000' is in line 2"),
    ("track,part\na.00000,train\na.00000,train\n", "line 3: track 'a.00000' is in line 2"),
    ("track,part\na.00000\n", "line 2: 1 fields"), ("track,part\n\n", "line 2: 0 fields"),
    ("track,part\na.00000,train\nz,test\n", "line 3: track 'z' is not in the corpus"), ("\xff", "not a readable")])
def test_damaged_split_files(tmp_path, text, message):
    path = tmp_path / "split.csv"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DatasetError, match=f"split.csv.*{message}"):
        splits.read_split(path, make_tracks(a=3))


def test_a_missing_split_file(tmp_path):
    with pytest.raises(DatasetError, match="none.csv: not a readable split"):
        splits.read_split(tmp_path / "none.csv")


def test_a_name_is_in_one_part_only():
    with pytest.raises(DatasetError, match="'a' is in train and again in test"):
        Split(("a",), (), ("a",))
    with pytest.raises(DatasetError, match="'a' is in valid and again in valid"):
        Split((), ("a", "a"), ())


def test_check_split():
    split = Split(("a.00000", "gone"), ("a.00001",), ("lost",), ("a.00002", "excluded and gone"))
    assert splits.check_split(split, make_tracks(a=4)) == (["gone", "lost"], ["a.00003"])


def test_identical_tracks_on_two_sides_are_named_in_one_warning():
    split = Split(("a", "b"), ("c",), ("d",), ("e",))
    pairs = [("a", "b"), ("a", "d"), ("b", "c"), ("a", "e"), ("d", "f")]
    assert splits.identical_across(split, pairs) == [("a", "d"), ("b", "c")]
    with pytest.warns(UserWarning) as caught:
        splits.warn_identical(split, pairs)
    assert len(caught) == 1
    assert str(caught[0].message) == ("2 pair(s) of identical files are on two sides of the split: "
                                      "a (train) = d (test), b (train) = c (valid)")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        splits.warn_identical(split, [("a", "b"), ("a", "e")])


def test_the_paper_s_split_of_gtzan_leaks_and_says_so(whole_gtzan):
    split = splits.split_by_class(whole_gtzan, seed=0)
    assert [len(part) for part in (split.train, split.valid, split.test)] == [500, 200, 300]
    with pytest.warns(UserWarning, match="identical files"):
        splits.warn_identical(split, gtzan.identical_pairs())


def test_real_clips_are_cut_five_two_three(gtzan_mini):
    split = splits.split_by_class(gtzan.load(gtzan_mini).tracks)
    assert all(sizes(split, genre) == (5, 2, 3) for genre in gtzan.GENRES)
