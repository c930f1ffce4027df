"""Songs of another folder that are songs of the corpus, found by their names and by their bytes."""
from dbn.datasets.corpus import Corpus, Track
from experiments.steps.known_songs import known_songs, same_names


def test_names_of_one_song():
    same = same_names(["blues.00000", "metal.00001", "a/01.wav", "b/01.wav", "b/solo.ogg"],
                      ["blues/blues.00000.flac", "x/metal.00001.au", "y/metal.00001.au", "a/01.flac", "c/01.mp3",
                       "solo.wav", "blues.00001"])
    assert same == {"blues/blues.00000.flac": {"blues.00000"}, "a/01.flac": {"a/01.wav"}, "solo.wav": {"b/solo.ogg"}}


def test_files_of_one_content_under_other_names(tmp_path):
    def track(name, content):
        path = tmp_path / name.replace("/", "-")
        path.write_bytes(content)
        return Track(name, path, "a")

    own = tuple(track(f"a/{i}.wav", bytes([i]) * 9) for i in range(3))
    others = [track("new.wav", b"\1" * 9), track("c/0.wav", b"\7" * 9), track("a/2.flac", b"\x08" * 9)]
    corpus = Corpus("folder", ("a",), own)
    assert known_songs(corpus, others, tmp_path / "kept") == {
        "new.wav": {"a/1.wav"}, "a/2.flac": {"a/2.wav"}, "c/0.wav": {"a/0.wav"}}
    assert known_songs(Corpus("synthetic", ("a",), own), others, tmp_path / "kept") == {}
