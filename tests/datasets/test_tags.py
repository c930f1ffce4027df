"""Tables of tags: both forms, and what is wrong with them, by line."""
import numpy as np
import pytest
import soundfile

from dbn.datasets import tags
from dbn.errors import DatasetError


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    root = tmp_path_factory.mktemp("tagged")
    (root / "a").mkdir()
    for name in ("a/one.wav", "two.wav", "three.wav"):
        soundfile.write(root / name, np.linspace(-0.5, 0.5, 3000), 22050)
    return root


def table(folder, text):
    path = folder / "tags.csv"
    path.write_text(text, encoding="utf-8")
    return path


LONG = "file,tag,artist\na//one.wav,slow,x\na/one.wav,piano,x\ntwo.wav,slow,y\nmissing.wav,piano,y\n"
WIDE = "file,slow,artist,piano\na/one.wav,1,x,1\ntwo.wav,1,y,0\nmissing.wav,0,y,1\n"


@pytest.mark.parametrize("text", [LONG, "\ufeff" + LONG, WIDE])
def test_both_forms_say_the_same(music, tmp_path, text):
    corpus, skipped = tags.load(music, table(tmp_path, text))
    assert [(clip.id, clip.path, clip.artist) for clip in corpus.clips] == [
        ("a/one.wav", music / "a" / "one.wav", "x"), ("two.wav", music / "two.wav", "y")]
    assert corpus.tags == ("slow", "piano")
    assert corpus.matrix.tolist() == [[True, True], [True, False]] and corpus.matrix.dtype == bool
    assert corpus.popularity.tolist() == [2, 1]
    assert skipped == [("missing.wav", "no such file: a link that leads nowhere, or no plain file")]


def test_a_file_may_have_no_tag_in_the_wide_form(music, tmp_path):
    corpus, _ = tags.load(music, table(tmp_path, "file,slow\ntwo.wav,0\nthree.wav,1\n"))
    assert corpus.matrix.tolist() == [[False], [True]] and corpus.clips[0].artist == ""


@pytest.mark.parametrize("text, message", [
    ("", "line 1: the header must be file,tag"),
    ("path,tag\na,b\n", "line 1: the header must be file,tag"),
    ("file\ntwo.wav\n", "line 1: the header must be"),
    ("file,artist\ntwo.wav,x\n", "line 1: the header must be"),
    ("file,slow,slow\ntwo.wav,1,1\n", "line 1: the header must be"),
    ("file,slow,\ntwo.wav,1,1\n", "line 1: the header must be"),
    ("file,tag\n", "no rows"),
    ("file,tag\ntwo.wav\n", r"line 2: 1 field\(s\), expected 2"),
    ("file,tag\ntwo.wav,a,b\n", r"line 2: 3 field\(s\), expected 2"),
    ("file,tag\ntwo.wav,\n", "line 2: the tag is empty"),
    ("file,tag\ntwo.wav,\"a\nb\"\n", "line 3: the tag is empty, or has a line break"),
    ("file,tag\n,a\n", "line 2: '' is not a path"),
    ("file,tag\n../two.wav,a\n", "line 2: .* is not a path within the folder"),
    ("file,tag\n/two.wav,a\n", "line 2: .* is not a path within the folder"),
    ("file,tag\ntwo.wav,a\ntwo.wav,a\n", "line 3: file 'two.wav' has the tag 'a' already"),
    ("file,tag,artist\ntwo.wav,a,x\ntwo.wav,b,y\n", "line 3: file 'two.wav' has another artist"),
    ("file,slow\ntwo.wav,1\ntwo.wav,0\n", "line 3: file 'two.wav' has a row already"),
    ("file,slow\ntwo.wav,yes\n", "line 2: slow is 'yes', expected 0 or 1"),
    ("file,tag\nmissing.wav,a\n", "none of its 1 files can be used; the first: missing.wav"),
    ("file,tag\n\"two.wav,a\n", "not a readable table")])
def test_what_is_wrong_is_named_by_its_line(music, tmp_path, text, message):
    path = table(tmp_path, text)
    with pytest.raises(DatasetError, match=f"{path}.*{message}"):
        tags.load(music, path)


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(DatasetError, match="not a folder"):
        tags.load(tmp_path / "none", table(tmp_path, LONG))
    with pytest.raises(DatasetError, match="not a readable table"):
        tags.load(tmp_path, tmp_path / "no.csv")
