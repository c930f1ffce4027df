import json
import os

import numpy as np
import pytest
import soundfile

from dbn.datasets import folder
from dbn.datasets.identical import identical_files
from dbn.errors import DatasetError


def put(root, *names, content=b"not decoded here"):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def names_of(corpus):
    return [track.name for track in corpus.tracks]


def test_tracks_at_any_depth_belong_to_the_first_folder(tmp_path):
    put(tmp_path, "rock/b.wav", "rock/live/1999/a.FLAC", "jazz/a.mp3", "jazz/a.ogg", "jazz/cover.jpg", "readme.txt")
    corpus = folder.load(tmp_path)
    assert (corpus.name, corpus.classes, corpus.skipped) == ("folder", ("jazz", "rock"), ())
    assert [(track.name, track.label) for track in corpus.tracks] == [
        ("jazz/a.mp3", "jazz"), ("jazz/a.ogg", "jazz"), ("rock/b.wav", "rock"), ("rock/live/1999/a.FLAC", "rock")]
    assert all(track.path == tmp_path / track.name and track.artist == "" for track in corpus.tracks)


def test_suffixes_are_those_of_files_that_can_be_read(tmp_path):
    noise = np.random.default_rng(0).standard_normal(8000) * 0.1
    for suffix, subtype in (("wav", "PCM_16"), ("flac", "PCM_16"), ("au", "PCM_16"), ("aif", "PCM_16"),
                            ("ogg", "VORBIS"), ("mp3", "MPEG_LAYER_III"), ("caf", "PCM_16"), ("w64", "PCM_16")):
        written = {"aif": "AIFF"}.get(suffix, suffix.upper())
        for label in "ab":
            (tmp_path / label).mkdir(exist_ok=True)
            soundfile.write(tmp_path / label / f"x.{suffix}", noise, 8000, format=written, subtype=subtype)
    corpus = folder.load(tmp_path)
    assert len(corpus.tracks) == 16
    assert all(soundfile.info(track.path).samplerate == 8000 for track in corpus.tracks)
    assert ".raw" not in folder.READABLE and not folder.READABLE & folder.UNREADABLE


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    put(tmp_path, "a/x.wav", "b/x.wav", "a/._x.wav", "a/.trash/y.wav", ".git/z.wav", ".z.wav")
    corpus = folder.load(tmp_path)
    assert names_of(corpus) == ["a/x.wav", "b/x.wav"] and corpus.skipped == ()


def test_what_is_left_out_is_named(tmp_path):
    put(tmp_path, "a/x.wav", "b/x.wav", "loose.wav", "b/y.m4a", "texts/a.txt")
    (tmp_path / "a" / "gone.wav").symlink_to("nowhere.wav")
    corpus = folder.load(tmp_path)
    assert names_of(corpus) == ["a/x.wav", "b/x.wav"] and corpus.classes == ("a", "b")
    assert [name for name, _ in corpus.skipped] == ["a/gone.wav", "b/y.m4a", "loose.wav", "texts"]
    assert "convert it" in dict(corpus.skipped)["b/y.m4a"]


def test_links_are_followed_and_loops_end(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    put(root, "a/x.wav", "b/x.wav", "loose.wav")
    put(elsewhere, "deep/y.wav")
    (root / "a" / "loop").symlink_to(root)
    (root / "a" / "self").symlink_to(root / "a")
    (root / "a" / "sibling").symlink_to(root / "b")
    (root / "a" / "more").symlink_to(elsewhere)
    (root / "b" / "more").symlink_to(elsewhere)  # read once, for the first class
    (root / "c").symlink_to(root / "a")
    (root / "b" / "linked.wav").symlink_to(root / "b" / "x.wav")
    corpus = folder.load(root)
    assert names_of(corpus) == ["a/more/deep/y.wav", "a/x.wav", "b/linked.wav", "b/x.wav"]
    assert corpus.skipped == (("c", "a link to a folder that is read already"),
                              ("loose.wav", "not in a class's sub-folder"))


def test_names_that_no_table_can_hold_are_skipped(tmp_path):
    put(tmp_path, "a/x.wav", "a/é ü.wav", "b/x.wav", "b/two\nlines.wav", "b/tab\t.wav", "new\nline/x.wav")
    with open(os.fsencode(tmp_path) + b"/a/latin\xe9.wav", "wb"):
        pass
    corpus = folder.load(tmp_path)
    assert names_of(corpus) == ["a/x.wav", "a/é ü.wav", "b/x.wav"] and corpus.classes == ("a", "b")
    assert [name for name, _ in corpus.skipped] == ["a/latin\\udce9.wav", "b/tab\\t.wav", "b/two\\nlines.wav",
                                                    "new\\nline", "new\\nline/x.wav"]
    json.dumps(corpus.skipped, ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize("names, message", [
    (["a/x.wav"], r"1 sub-folder\(s\) \(a\); two classes"), (["x.wav", "y.wav"], r"0 sub-folder\(s\) \(none\)"),
    (["a/x.wav", "b/x.txt"], r"1 sub-folder\(s\) \(a\)")])
def test_fewer_than_two_classes(tmp_path, names, message):
    put(tmp_path, *names)
    with pytest.raises(DatasetError, match=message):
        folder.load(tmp_path)


def test_not_a_folder(tmp_path):
    put(tmp_path, "file.wav")
    for name in ("missing", "file.wav"):
        with pytest.raises(DatasetError, match=f"{name}.*sub-folder for each class"):
            folder.load(tmp_path / name)


def test_identical_files_are_found_by_their_bytes(tmp_path):
    put(tmp_path, "a/1.wav", "b/2.wav", "b/3.wav", content=b"same")
    put(tmp_path, "a/4.wav", content=b"size")
    put(tmp_path, "a/5.wav", content=b"longer")
    corpus = folder.load(tmp_path)
    assert identical_files(corpus.tracks) == [("a/1.wav", "b/2.wav"), ("a/1.wav", "b/3.wav"), ("b/2.wav", "b/3.wav")]
    (tmp_path / "a" / "1.wav").unlink()
    with pytest.raises(DatasetError, match="1.wav: No such file"):
        identical_files(corpus.tracks)
