"""Sets of frames, from a store or from arrays, scaled, dealt into shards, and written to files."""
import errno
import mmap
import sys

import numpy as np
import pytest

from dbn.audio import dft_magnitudes, load_audio
from dbn.audio.frames import FrameSet, FrameStore
from dbn.audio.scaling import Scaling
from dbn.errors import DatasetError, DBNError
from dbn.system.files import open_rows, write_rows
from noise_corpus import write_corpus


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "audio").mkdir()
    return write_corpus(tmp_path / "audio")


@pytest.fixture
def store(corpus, tmp_path):
    return FrameStore.build(corpus, tmp_path / "cache")


def test_a_window_with_a_parameter_is_the_same_after_json(corpus, tmp_path):
    store = FrameStore.build(corpus, tmp_path / "cache", window=("kaiser", 8.0), progress=False)
    assert store.settings["window"] == ["kaiser", 8.0]
    song, track = store.songs[0], corpus.tracks[0]
    for window in (("kaiser", 8.0), store.settings["window"]):
        np.testing.assert_array_equal(store.frames[song.start:song.stop],
                                      dft_magnitudes(load_audio(track.path), window=window))
    again = FrameStore.build(corpus, tmp_path / "cache", **store.settings, progress=False)
    assert again.path == store.path


def test_a_set_reads_songs_in_the_order_asked_for(store):
    names = ["clip.004", "clip.001", "clip.002"]
    frame_set = FrameSet.from_store(store, names)
    by_name = {song.name: song for song in store.songs}
    expected = [store.frames[by_name[name].start:by_name[name].stop] for name in names]
    assert frame_set.names == tuple(names) and frame_set.missing == ()
    assert (frame_set.n_frames, frame_set.n_features) == (sum(map(len, expected)), 513)
    assert frame_set.dtype == np.float32
    for (index, x), frames in zip(frame_set.songs(), expected, strict=True):
        np.testing.assert_array_equal(x, frames)
    blocks = list(frame_set.blocks(max_frames=10))
    assert max(len(x) for x, _ in blocks) <= 10
    np.testing.assert_array_equal(np.concatenate([x for x, _ in blocks]), np.concatenate(expected))
    labels = np.repeat([0, 1, 0], [len(frames) for frames in expected])
    np.testing.assert_array_equal(np.concatenate([y for _, y in blocks]), labels)
    assert blocks[0][1].dtype == np.int32 and blocks[0][0].dtype == np.float32


def test_a_set_is_scaled_and_leaves_the_store_as_it_was(store):
    before = np.array(store.frames)
    plain = FrameSet.from_store(store, [song.name for song in store.songs])
    scaling = Scaling("minmax").fit(x for x, _ in plain.blocks(17))
    scaled = plain.with_scaling(scaling)
    expected = scaling.transform(before)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in scaled.blocks()]), expected)
    np.testing.assert_array_equal(np.concatenate([x for _, x in scaled.songs()]), expected)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in plain.blocks()]), before)
    np.testing.assert_array_equal(store.frames, before)


def test_unknown_songs_are_named_and_skipped_ones_recorded(corpus, tmp_path):
    corpus.tracks[3].path.write_bytes(b"no audio")
    store = FrameStore.build(corpus, tmp_path / "cache")
    frame_set = FrameSet.from_store(store, ["clip.003", "clip.002"])
    assert frame_set.missing == ("clip.003",) and frame_set.names == ("clip.002",)
    with pytest.raises(DatasetError, match="clip.999"):
        FrameSet.from_store(store, ["clip.002", "clip.999"])
    with pytest.raises(DatasetError, match="no frames"):
        FrameSet.from_store(store, ["clip.003"])


@pytest.mark.parametrize("max_frames", [1, 99, 100, 333, 1500, 2000, 2999])
def test_shards_hold_every_frame_once_in_equal_parts(max_frames):
    x = np.arange(3000, dtype=np.float32).reshape(-1, 1)
    frame_set = FrameSet(x, [(0, 1000), (1000, 1010), (1010, 2500), (2500, 3000)], labels=[5, 6, 7, 8])
    shards = frame_set.shards(np.random.default_rng(2), max_frames)
    sizes = [len(shard) for shard in shards]
    assert len(sizes) == -(-3000 // max_frames) and max(sizes) <= max_frames and max(sizes) - min(sizes) <= 1
    frames = np.concatenate(shards)
    assert frames.dtype == np.int64
    np.testing.assert_array_equal(np.sort(frames), np.arange(3000))
    if len(shards) > 1:  # whole songs one after another, dealt out
        song = np.repeat([0, 1, 2, 3], [1000, 10, 1490, 500])[frames]
        assert (np.diff(song) != 0).sum() == 3 and (np.diff(song) < 0).any()
        assert (np.diff(frames)[np.diff(song) == 0] == 1).all()


def test_shards_depend_on_the_generator_alone():
    frame_set = FrameSet.from_arrays(np.arange(9000, dtype=np.float32).reshape(-1, 1))

    def order(seed):
        return np.concatenate(frame_set.shards(np.random.default_rng(seed), 4000))

    np.testing.assert_array_equal(order(3), order(3))
    assert not np.array_equal(order(3), order(4))


def test_one_shard_holds_the_frames_in_order():
    shard, = FrameSet.from_arrays(np.zeros((3000, 1))).shards(np.random.default_rng(0), 3000)
    np.testing.assert_array_equal(shard, np.arange(3000))


@pytest.mark.parametrize("mapped", [False, True])
def test_a_stored_set_is_scaled_once_and_holds_the_same_songs(store, tmp_path, monkeypatch, mapped):
    names = ["clip.004", "clip.001", "clip.002"]
    plain = FrameSet.from_store(store, names)
    scaled = plain.with_scaling(Scaling("minmax").fit(x for x, _ in plain.blocks()))
    (expected, labels), = scaled.blocks()
    transform, transformed = Scaling.transform, []
    monkeypatch.setattr(Scaling, "transform", lambda self, x, out=None: (
        transformed.append(len(x)), transform(self, x, out=out))[1])
    stored = scaled.stored(tmp_path / "rows.npy" if mapped else None)
    assert sum(transformed) == scaled.n_frames
    np.testing.assert_array_equal(stored.rows, expected)
    assert isinstance(stored.rows.base, np.memmap) == mapped == (tmp_path / "rows.npy").exists()
    np.testing.assert_array_equal(stored.labels, labels)
    assert (stored.names, stored.segment_labels.tolist()) == (tuple(names), plain.segment_labels.tolist())
    for (_, song), (_, other) in zip(stored.songs(), scaled.songs(), strict=True):
        np.testing.assert_array_equal(song, other)
    assert sum(transformed) == 2 * scaled.n_frames  # the stored set has no need of it any more


def test_a_stored_set_of_as_many_frames_as_songs_keeps_each_frames_label():
    frames = FrameSet(np.arange(6).reshape(6, 1), [(0, 2), (2, 4), (4, 6)], [7, 8, 9])
    some = frames.subset(np.array([0, 1, 2]))
    assert some.n_frames == some.n_segments and some.stored().labels.tolist() == [7, 7, 8]
    np.testing.assert_array_equal(some.stored().bounds, [0, 2, 3, 3])


def test_rows_are_there_only_where_training_can_use_them_as_they_are(store, tmp_path):
    x = np.random.default_rng(0).random((100, 3)).astype(np.float32)
    assert FrameSet.from_arrays(x, segment_length=30).rows is x
    assert FrameSet.from_arrays(x).with_scaling(Scaling("none")).rows is None
    for segments in ([(0, 50)], [(50, 100), (0, 50)], [(0, 60), (50, 90)]):
        assert FrameSet(x, segments).rows is None
    names = [song.name for song in store.songs]
    assert FrameSet.from_store(store, names).rows is None  # nobody may write there
    rows = write_rows(tmp_path / "rows.npy", 100, 3, [x])
    before = (tmp_path / "rows.npy").read_bytes()
    mapped = FrameSet.from_arrays(open_rows(tmp_path / "rows.npy"))
    mapped.rows[0] = 7
    np.testing.assert_array_equal(rows, x)  # of each process its own
    assert (tmp_path / "rows.npy").read_bytes() == before


def test_arrays_with_a_label_for_each_row():
    rng = np.random.default_rng(0)
    x, y = rng.random((2500, 4)), rng.integers(0, 9, 2500)
    frame_set = FrameSet.from_arrays(x, y)
    (block, labels), = frame_set.blocks()
    np.testing.assert_array_equal(block, x.astype(np.float32))
    np.testing.assert_array_equal(labels, y)
    assert frame_set.n_segments == 3


@pytest.mark.parametrize("make, named", [
    (lambda: FrameSet(np.zeros((5, 2)), []), "no frames"), (lambda: FrameSet(np.zeros((5, 2)), [(0, 6)]), "0:6"),
    (lambda: FrameSet(np.zeros((5, 2)), [(0, 3), (3, 5)], [1, 2, 3]), "3 labels"),
    (lambda: FrameSet.from_arrays(np.zeros(5)), "n_features"),
    (lambda: FrameSet.from_arrays(np.zeros((0, 5))), "no frames"),
    (lambda: FrameSet.from_arrays(np.zeros((5, 2)), np.zeros(4)), "labels"),
    (lambda: next(FrameSet.from_arrays(np.zeros((5, 2))).blocks(0)), "max_frames"),
    (lambda: FrameSet.from_arrays(np.zeros((5, 2))).shards(np.random.default_rng(0), 0), "max_frames")])
def test_sets_that_do_not_fit_together_are_refused(make, named):
    with pytest.raises(DBNError, match=named):
        make()


def test_wide_frames_come_in_smaller_blocks(monkeypatch):
    monkeypatch.setattr("dbn.audio.frames._BLOCK_VALUES", 1000)
    frame_set = FrameSet.from_arrays(np.random.default_rng(0).random((500, 7)))
    sizes = [len(x) for x, _ in frame_set.blocks()]
    assert sizes == [125] * 4  # 142 would hold 1,000 values
    assert [len(x) for x, _ in FrameSet.from_arrays(np.zeros((3, 2000))).blocks()] == [1] * 3


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * mmap.PAGESIZE


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in Linux's units and files")
def test_reading_a_mapped_file_leaves_memory_flat(tmp_path):
    n_rows, n_columns = 100_000, 500  # 200 MB, in blocks of 10
    blocks = (np.full((5000, n_columns), i, dtype=np.float32) for i in range(20))
    frame_set = FrameSet.from_arrays(write_rows(tmp_path / "rows.npy", n_rows, n_columns, blocks))
    before, peak = resident_bytes(), 0
    for i, (x, _) in enumerate(frame_set.blocks(5000)):
        assert x[0, 0] == i
        peak = max(peak, resident_bytes())
    assert peak - before < 60e6


def test_written_rows_are_a_plain_npy_file(tmp_path):
    x = np.random.default_rng(0).random((100, 7))
    rows = write_rows(tmp_path / "rows.npy", 100, 7, iter(np.array_split(x, 9)))
    assert isinstance(rows, np.memmap) and rows.dtype == np.float32
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy"), x.astype(np.float32))


@pytest.mark.parametrize("blocks, named", [
    ([np.zeros((3, 2))], "3 rows were written where 4"), ([np.zeros((5, 2))], "5 rows"),
    ([np.zeros((4, 3))], "columns")])
def test_rows_that_do_not_add_up_leave_the_old_file(tmp_path, blocks, named):
    write_rows(tmp_path / "rows.npy", 1, 1, [np.ones((1, 1))])
    with pytest.raises(DBNError, match=named):
        write_rows(tmp_path / "rows.npy", 4, 2, blocks)
    assert np.load(tmp_path / "rows.npy") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["rows.npy"]


def test_rows_on_a_full_disk(tmp_path):
    def blocks():
        yield np.zeros((2, 2))
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DBNError, match="160 bytes are needed there: No space left"):
        write_rows(tmp_path / "rows.npy", 4, 2, blocks())
