"""Frame stores against a plain loop over their files, killed and damaged builds, memory."""
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple

import numpy as np
import pytest
import soundfile

import dbn.audio.extraction
import dbn.audio.frames
from dbn.audio import FRAME_LENGTH, dft_magnitudes, load_audio
from dbn.audio.frames import FrameSet, FrameStore
from dbn.audio.streaming import BLOCK_FRAMES
from dbn.datasets import Corpus, Track
from dbn.errors import DatasetError, DBNError
from damage import assert_noticed, damaged_bytes, damaged_json
from noise_corpus import RATE, write_corpus


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "audio").mkdir()
    return write_corpus(tmp_path / "audio")


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def spoil(corpus, i, contents=b"no audio"):
    corpus.tracks[i].path.write_bytes(contents)


def contents(store):
    return {path.name: path.read_bytes() for path in store.path.iterdir()}


def test_a_store_holds_each_songs_frames_in_order(corpus, cache):
    store = FrameStore.build(corpus, cache, window="hann", hop_length=256, progress=False)
    assert store.frames.dtype == np.float32 and isinstance(store.frames, np.memmap) and not store.frames.flags.writeable
    assert [song.name for song in store.songs] == [track.name for track in corpus.tracks]
    assert [store.classes[song.label] for song in store.songs] == [track.label for track in corpus.tracks]
    expected = [dft_magnitudes(load_audio(track.path), 1024, 256, "hann") for track in corpus.tracks]
    np.testing.assert_array_equal(store.frames, np.concatenate(expected))
    for song, frames in zip(store.songs, expected):
        np.testing.assert_array_equal(store.frames[song.start:song.stop], frames)
    assert store.settings == {"sample_rate": RATE, "frame_length": 1024, "hop_length": 256, "window": "hann"}
    assert store.skipped == [("notes.txt", "is no audio file")] and not store.skipped_names


def test_the_order_of_the_tracks_does_not_matter(corpus, cache, tmp_path):
    backwards = Corpus(corpus.name, corpus.classes, corpus.tracks[::-1], corpus.skipped)
    store, other = FrameStore.build(corpus, cache), FrameStore.build(backwards, tmp_path / "other")
    assert contents(store) == contents(other) and store.path.name == other.path.name


@pytest.mark.parametrize("n_bad", [0, 2])
def test_processes_write_the_same_bytes(corpus, tmp_path, n_bad):
    for i in range(n_bad):
        spoil_samples(corpus, 3 * i)
    stores = [FrameStore.build(corpus, tmp_path / str(jobs), jobs=jobs, progress=False) for jobs in (None, 1, 2, -1)]
    assert len(stores[0].songs) == 6 - n_bad
    for store in stores[1:]:
        assert contents(store) == contents(stores[0])


def spoil_samples(corpus, i):
    """Sound by its header, NaN by its samples: it owns a slot in the file and leaves a gap."""
    n = soundfile.info(corpus.tracks[i].path).frames
    soundfile.write(corpus.tracks[i].path, np.full(n, np.nan), RATE, subtype="FLOAT")


@pytest.mark.parametrize("bad", [[0], [2, 3], [5], [0, 1, 2, 3, 4]])
@pytest.mark.parametrize("copy_bytes", [1, 3 * 513 * 4, 2**24])
def test_gaps_of_bad_files_are_closed(corpus, cache, bad, copy_bytes, monkeypatch):
    monkeypatch.setattr(dbn.audio.extraction, "_COPY_BYTES", copy_bytes)
    for i in bad:
        spoil_samples(corpus, i)
    store = FrameStore.build(corpus, cache)
    good = [track for i, track in enumerate(corpus.tracks) if i not in bad]
    expected = np.concatenate([dft_magnitudes(load_audio(track.path)) for track in good])
    np.testing.assert_array_equal(store.frames, expected)
    assert [song.name for song in store.songs] == [track.name for track in good]
    assert store.skipped_names == {corpus.tracks[i].name for i in bad}
    assert [file for file, _ in store.skipped] == ["notes.txt"] + [str(corpus.tracks[i].path) for i in bad]
    assert all("NaN" in why for _, why in store.skipped[1:])


def test_a_song_refused_after_its_first_frames_were_written_leaves_a_gap(corpus, cache):
    soundfile.write(corpus.tracks[2].path, np.full(RATE // 2, 0.25), RATE)  # that it is silent shows at its end
    store = FrameStore.build(corpus, cache, hop_length=16)
    assert store.settings["hop_length"] * BLOCK_FRAMES < RATE // 2 - FRAME_LENGTH
    good = corpus.tracks[:2] + corpus.tracks[3:]
    expected = [dft_magnitudes(load_audio(track.path), hop_length=16) for track in good]
    np.testing.assert_array_equal(store.frames, np.concatenate(expected))
    assert store.skipped_names == {"clip.002"} and "silent" in store.skipped[1][1]


def test_a_song_that_grew_since_its_header_was_read_does_not_touch_the_next(corpus, cache, monkeypatch):
    expected_frames = dbn.audio.extraction._expected_frames
    monkeypatch.setattr(dbn.audio.extraction, "_expected_frames",
                        lambda file, settings: expected_frames(file, settings) - (file == corpus.tracks[2].path))
    store = FrameStore.build(corpus, cache)
    expected = [dft_magnitudes(load_audio(track.path)) for track in corpus.tracks[:2] + corpus.tracks[3:]]
    np.testing.assert_array_equal(store.frames, np.concatenate(expected))
    assert store.skipped[1:] == [(str(corpus.tracks[2].path), "it changed while it was read")]


def test_flushing_as_it_goes_changes_nothing(corpus, cache, monkeypatch):
    """Where the system takes no advice the store is the same; where it does, all of the file's rows are named."""
    advised = []

    def advise(descriptor, position, n_bytes, advice):
        advised.append((position, n_bytes))

    monkeypatch.setattr(dbn.audio.extraction.os, "posix_fadvise", advise)
    store = FrameStore.build(corpus, cache / "advised")
    monkeypatch.delattr(dbn.audio.extraction.os, "posix_fadvise")
    assert contents(FrameStore.build(corpus, cache / "silent")) == contents(store)
    assert sum(n_bytes for _, n_bytes in advised) == store.frames.nbytes
    assert min(position for position, _ in advised) == store.frames.offset


def test_every_kind_of_bad_file_is_named_with_its_reason(corpus, cache):
    spoil(corpus, 0)
    spoil(corpus, 1, b"")
    corpus.tracks[2].path.unlink()
    soundfile.write(corpus.tracks[3].path, np.ones(1000), RATE)
    data = corpus.tracks[4].path.read_bytes()
    spoil(corpus, 4, data[:len(data) // 2])
    store = FrameStore.build(corpus, cache)
    assert [song.name for song in store.songs] == ["clip.005"]
    reasons = ["of another format", "empty", "no such file", "silent", "truncated"]
    for (_, why), expected in zip(store.skipped[1:], reasons):
        assert expected in why


def test_nothing_but_bad_files_is_an_error(corpus, cache):
    for i in range(6):
        spoil(corpus, i)
    with pytest.raises(DatasetError, match="none of 6 audio files.*clip000.wav: cannot be decoded"):
        FrameStore.build(corpus, cache)
    assert [path.name for path in cache.iterdir()] == [".lock"]


def test_a_second_build_builds_nothing(corpus, cache, monkeypatch):
    first = FrameStore.build(corpus, cache)
    monkeypatch.setattr(dbn.audio.frames, "extract_frames", None)
    second = FrameStore.build(corpus, cache, jobs=2)
    assert second.path == first.path and second.key == first.key and second.songs == first.songs


def test_the_key_changes_with_all_that_the_frames_depend_on(corpus, cache):
    def key(corpus, **options):
        return FrameStore.build(corpus, cache, **options).key

    relabelled = [Track(track.name, track.path, "rock") for track in corpus.tracks]
    renamed = [Track(f"new.{track.name}", track.path, track.label) for track in corpus.tracks]
    keys = [key(corpus), key(corpus, hop_length=511), key(corpus, frame_length=512), key(corpus, window="hann"),
            key(corpus, sample_rate=11025),
            key(Corpus("folder", corpus.classes, tuple(relabelled))),
            key(Corpus("folder", corpus.classes, tuple(renamed))),
            key(Corpus("folder", corpus.classes, corpus.tracks[1:], corpus.skipped)),
            key(Corpus("folder", ("blues", "pop", "rock"), corpus.tracks, corpus.skipped))]
    soundfile.write(corpus.tracks[2].path, 0.1 * np.random.default_rng(9).standard_normal(20000), RATE)
    keys.append(key(corpus))
    status = corpus.tracks[2].path.stat()
    os.utime(corpus.tracks[2].path, ns=(status.st_atime_ns, status.st_mtime_ns + 10 ** 9))
    keys.append(key(corpus))
    assert len(set(keys)) == len(keys)


def test_a_store_of_older_files_goes_when_the_new_one_is_there(corpus, cache):
    """A copy of the corpus that keeps the times finds its store; stores of other tracks, labels or options stay."""
    relabelled = tuple(Track(track.name, track.path, "rock") for track in corpus.tracks)
    others = [FrameStore.build(corpus, cache, hop_length=511),
              FrameStore.build(Corpus("folder", corpus.classes, relabelled), cache),
              FrameStore.build(Corpus("folder", corpus.classes, corpus.tracks[1:], corpus.skipped), cache)]
    old = FrameStore.build(corpus, cache)
    elsewhere = cache.parent / "elsewhere"
    shutil.copytree(corpus.tracks[0].path.parent, elsewhere)
    copied = Corpus("folder", corpus.classes, tuple(
        Track(track.name, elsewhere / track.path.name, track.label) for track in corpus.tracks), corpus.skipped)
    assert FrameStore.build(copied, cache).key == old.key
    spoil(corpus, 1)
    new = FrameStore.build(corpus, cache)
    assert {path.name for path in cache.iterdir()} == {".lock", new.path.name, *(other.path.name for other in others)}
    write_corpus(corpus.tracks[0].path.parent)  # the spoilt one is good again
    newest = FrameStore.build(corpus, cache)
    assert {path.name for path in cache.iterdir()} == {".lock", newest.path.name,
                                                       *(other.path.name for other in others)}
    assert not newest.skipped_names and newest.key != new.key


@pytest.mark.parametrize("options, named", [
    ({"sample_rate": 0}, "sample_rate"), ({"frame_length": 1}, "frame_length"), ({"hop_length": 0}, "hop_length"),
    ({"window": "square"}, "window"), ({"jobs": 0}, "jobs"), ({"jobs": "all"}, "jobs")])
def test_wrong_options_are_named_before_anything_is_written(corpus, cache, options, named):
    with pytest.raises(DBNError, match=named):
        FrameStore.build(corpus, cache, **options)
    assert not cache.exists()


def test_tracks_that_do_not_fit_together_are_refused(corpus, cache):
    with pytest.raises(DatasetError, match="two tracks have the name clip.001"):
        FrameStore.build(Corpus("folder", corpus.classes, corpus.tracks + corpus.tracks[1:2]), cache)
    with pytest.raises(DatasetError, match="clip001.wav: its class 'rock'"):
        FrameStore.build(Corpus("folder", ("blues",), corpus.tracks), cache)
    with pytest.raises(DatasetError, match="none of 0 audio files"):
        FrameStore.build(Corpus("folder", ("blues",), ()), cache)


def truncate_frames(path):
    with open(path / "frames.npy", "r+b") as file:
        file.truncate(50000)


def edit_index(**changes):
    def edit(path):
        index = json.loads((path / "index.json").read_text())
        (path / "index.json").write_text(json.dumps({**index, **changes}))
    return edit


@pytest.mark.parametrize("damage", [
    truncate_frames, edit_index(songs=[["a", 0, 0, 5]]), edit_index(songs=[["a", 0]]), edit_index(songs=[]),
    edit_index(format=99), edit_index(settings=3),
    lambda path: (path / "index.json").unlink(), lambda path: (path / "frames.npy").unlink(),
    lambda path: (path / "index.json").write_text('{"format": 1'),
    lambda path: (path / "index.json").write_text("[]"),
    lambda path: np.save(path / "frames.npy", np.zeros((3, 4)))])
def test_a_damaged_store_is_refused_and_built_again(corpus, cache, damage):
    store = FrameStore.build(corpus, cache)
    whole = contents(store)
    damage(store.path)
    with pytest.raises(DatasetError, match=store.path.name):
        FrameStore.open(store.path)
    with pytest.warns(UserWarning, match="extracted again"):
        assert contents(FrameStore.build(corpus, cache)) == whole


def test_a_store_of_another_key_is_built_again(corpus, cache):
    store = FrameStore.build(corpus, cache)
    edit_index(key="0" * len(store.key))(store.path)
    with pytest.warns(UserWarning, match="extracted again"):
        assert FrameStore.build(corpus, cache).key == store.key


@pytest.mark.parametrize("name, damaged", [("index.json", lambda data: damaged_json(data.decode())),
                                           ("frames.npy", lambda data: damaged_bytes(data, n_flips=300))])
def test_a_store_damaged_in_every_way(corpus, cache, name, damaged):
    """Refused, or all that is in it can be used."""
    store = FrameStore.build(corpus, cache)
    path, names = store.path / name, [song.name for song in store.songs]

    def use():
        opened = FrameStore.open(store.path)
        assert all(0 <= song.label < len(opened.classes) for song in opened.songs)
        there = [song.name for song in opened.songs]
        songs = FrameSet.from_store(opened, [song for song in names if song in there] or there)
        assert sum(len(x) for x, _ in songs.blocks()) == songs.n_frames
        json.dumps([opened.settings, opened.skipped, opened.versions, opened.key])

    n_refused = assert_noticed(path, damaged(path.read_bytes()), use)
    assert n_refused > {"index.json": 300, "frames.npy": 100}[name]


def test_a_folder_without_a_store_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="not a frame store"):
        FrameStore.open(tmp_path)
    with pytest.raises(DatasetError, match="not a frame store"):
        FrameStore.open(tmp_path / "missing")


def test_a_full_disk_says_how_much_is_needed(corpus, cache, monkeypatch):
    n_frames = len(FrameStore.build(corpus, cache).frames)
    needed = f"{128 + n_frames * 513 * 4:,} bytes"
    usage = namedtuple("usage", "free")
    with monkeypatch.context() as context:
        context.setattr(dbn.audio.extraction.shutil, "disk_usage", lambda _: usage(1000))
        with pytest.raises(DBNError, match=f"{needed}.*only 1,000 bytes are free; .*clip005.wav alone"):
            FrameStore.build(corpus, cache / "other")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(dbn.audio.extraction, "_write", full)
    with pytest.raises(DBNError, match=f"{needed}.*No space left"):
        FrameStore.build(corpus, cache / "other")
    assert [path.name for path in (cache / "other").iterdir()] == [".lock"]


def test_a_cache_folder_that_cannot_be_made_is_named(corpus, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DBNError, match="file/cache"):
        FrameStore.build(corpus, tmp_path / "file" / "cache")


BUILD = """
import sys, time
from pathlib import Path
import dbn.audio.extraction
from dbn.datasets import Corpus, Track
from dbn.audio.frames import FrameStore

def main(folder, cache, n_clips, delay):
    stream = dbn.audio.extraction.stream_magnitudes
    dbn.audio.extraction.stream_magnitudes = lambda *args, **options: time.sleep(delay) or stream(*args, **options)
    tracks = tuple(Track(p.stem, p, "a") for p in sorted(Path(folder).glob("*.wav"))[:int(n_clips)])
    store = FrameStore.build(Corpus("folder", ("a",), tracks), cache)
    print(len(store.songs), next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))

main(*sys.argv[1:4], delay=float(sys.argv[4]))
"""


def start_build(folder, cache, n_clips, delay=0.0):
    command = [sys.executable, "-c", BUILD, str(folder), str(cache), str(n_clips), str(delay)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_partial(cache, process):
    deadline = time.monotonic() + 60
    while not list(cache.glob("*.partial/frames.npy")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)


def test_a_killed_build_leaves_nothing_half_read(corpus, cache, tmp_path):
    process = start_build(tmp_path / "audio", cache, 6, delay=20)
    wait_for_partial(cache, process)
    process.kill()
    process.communicate()
    assert list(cache.glob("*.partial")) and not list(cache.glob("*/index.json"))
    (cache / f"other-{16 * '0'}.partial").mkdir()
    (cache / "mine.partial").mkdir()
    out, err = start_build(tmp_path / "audio", cache, 6).communicate()
    assert out.split()[0] == "6", err
    assert {path.name for path in cache.glob("*.partial")} == {"mine.partial"}
    store, = cache.glob("folder-*")
    assert len(FrameStore.open(store).songs) == 6


def test_an_interrupted_build_removes_its_folder(corpus, cache, tmp_path):
    process = start_build(tmp_path / "audio", cache, 6, delay=20)
    wait_for_partial(cache, process)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode != 0
    assert [path.name for path in cache.iterdir()] == [".lock"]


def test_two_builds_at_once_share_one_store(corpus, cache, tmp_path):
    slow = start_build(tmp_path / "audio", cache, 6, delay=0.3)
    wait_for_partial(cache, slow)
    fast = start_build(tmp_path / "audio", cache, 6)
    for process in (slow, fast):
        assert process.communicate()[0].split()[0] == "6"
    assert len(list(cache.glob("folder-*"))) == 1


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in Linux's units and files")


@linux_only
def test_memory_does_not_grow_with_the_corpus(tmp_path):
    """60 clips of 30 s make 159 MB of frames, 20 make 53; neither may be found in memory."""
    (tmp_path / "audio").mkdir()
    noise = (0.1 * np.random.default_rng(0).standard_normal(30 * RATE)).astype(np.float32)
    for i in range(60):
        soundfile.write(tmp_path / "audio" / f"{i:03d}.wav", noise, RATE)
    peak = {}
    for n_clips in (20, 60):
        out, err = start_build(tmp_path / "audio", tmp_path / "cache", n_clips).communicate()
        assert out, err
        peak[n_clips] = int(out.split()[1]) / 1024
    assert peak[60] - peak[20] < 10  # MB
    assert peak[60] < 500


def test_real_clips(gtzan_mini, cache):
    paths = sorted(gtzan_mini.glob("genres/*/*.flac"))[::10]
    tracks = tuple(Track(path.stem, path, path.parent.name) for path in paths)
    corpus = Corpus("gtzan", tuple(sorted({track.label for track in tracks})), tracks)
    store = FrameStore.build(corpus, cache, jobs=2)
    assert not store.skipped and len(store.songs) == 10
    for song in store.songs[::3]:
        track = next(track for track in tracks if track.name == song.name)
        assert store.classes[song.label] == track.label
        np.testing.assert_array_equal(store.frames[song.start:song.stop], dft_magnitudes(load_audio(track.path)))
