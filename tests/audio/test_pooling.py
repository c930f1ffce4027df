"""Frames put together over small windows: against NumPy window by window, and the same in a stream and in a store."""
import numpy as np
import pytest
import soundfile

from dbn.audio import FrameStore, dft_magnitudes, frame_rate, load_audio, pool, stream_magnitudes
from dbn.audio.pooling import pool_blocks, pooled_frames, pooled_width
from dbn.audio.scaling import Scaling
from dbn.datasets import folder
from dbn.errors import DBNError

KINDS = ("mean-4", "mean-3", "max-8", "meanvar-2", "meanvar-512", "stack-2", "stack-9", "stack-64", None)


def window(rows, kind):
    """What the rows of one window become, in double precision."""
    rows = rows.astype(float)
    name = kind and kind.split("-")[0]
    if name == "stack":
        return np.concatenate([rows[min(i, len(rows) - 1)] for i in range(pooled_frames(kind))])
    functions = {"mean": [np.mean], "max": [np.max], "meanvar": [np.mean, np.var], None: [np.sum]}
    return np.concatenate([function(rows, axis=0) for function in functions[name]])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, 1, 3, 4, 9, 1025])
def test_each_window_by_itself(kind, n):
    x = np.random.default_rng(n).gamma(2.0, size=(n, 5)).astype(np.float32)
    size = pooled_frames(kind)
    expected = [window(x[start:start + size], kind) for start in range(0, n, size)]
    found = pool(x, kind)
    assert found.dtype == np.float32 and found.shape == (-(-n // size), pooled_width(kind, 5))
    np.testing.assert_allclose(found, np.reshape(expected, found.shape), rtol=2e-5, atol=1e-5)


def test_a_stack_holds_the_frames_themselves():
    x = np.arange(14, dtype=np.float32).reshape(7, 2)
    np.testing.assert_array_equal(pool(x, "stack-3"), [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11], [12, 13] * 3])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, 1, 130, 1025])
def test_blocks_leave_no_trace(kind, n):
    """Of one frame, of several windows, of none; what comes is never more than one block and one window."""
    rng = np.random.default_rng(n)
    x = rng.gamma(2.0, size=(n, 5)).astype(np.float32)
    for most in (2, 7, 200, 2000):
        borders = np.cumsum(rng.integers(0, most, size=4000))
        blocks = np.split(x, borders[borders < n])
        found = list(pool_blocks(iter(blocks), kind))
        assert all(0 < len(rows) <= (most + pooled_frames(kind)) / pooled_frames(kind) for rows in found)
        np.testing.assert_array_equal(np.concatenate([pool(x[:0], kind), *found]), pool(x, kind))


@pytest.fixture
def corpus(tmp_path):
    """Two classes of three sounds, the longest of more blocks than one."""
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (tmp_path / "sounds" / label).mkdir(parents=True)
        for i, seconds in enumerate((14.0, 1.3, 0.2)):
            signal = rng.uniform(-0.5, 0.5, int(22050 * seconds))
            soundfile.write(tmp_path / "sounds" / label / f"{i}.wav", signal, 22050)
    return folder.load(tmp_path / "sounds")


@pytest.mark.parametrize("kind", KINDS)
def test_stream_and_store_hold_what_the_whole_signal_is_pooled_to(corpus, tmp_path, kind):
    store = FrameStore.build(corpus, tmp_path / "frames", pooling=kind)
    assert store.settings.get("pooling") == kind
    songs = {song.name: song for song in store.songs}
    for track in corpus.tracks:
        expected = pool(dft_magnitudes(load_audio(track.path)), kind)
        song = songs[track.name]
        np.testing.assert_array_equal(store.frames[song.start:song.stop], expected)
        np.testing.assert_array_equal(np.concatenate(list(stream_magnitudes(track.path, pooling=kind))), expected)
    assert len({FrameStore.build(corpus, tmp_path / "frames", pooling=other).key for other in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind, width", [("minmax", 3 * 513), ("log-whitened-pca-4", 4)])
def test_stacks_are_scaled_value_by_value(corpus, tmp_path, kind, width):
    frames = FrameStore.build(corpus, tmp_path / "frames", pooling="stack-3").frames
    scaled = Scaling(kind).fit([frames]).transform(np.array(frames))
    assert scaled.shape == (len(frames), width)
    if kind == "minmax":
        low, high = frames.min(axis=0), frames.max(axis=0)
        np.testing.assert_allclose(scaled, (frames - low) / (high - low), atol=1e-5)


def test_rows_a_second():
    settings = {"sample_rate": 22050, "hop_length": 512}
    assert frame_rate(settings) == frame_rate(settings | {"pooling": None}) == 22050 / 512
    assert frame_rate(settings | {"pooling": "max-32"}) == frame_rate(settings | {"pooling": "stack-32"})
    assert frame_rate(settings | {"pooling": "stack-9"}) == 22050 / 512 / 9


@pytest.mark.parametrize("kind", ["mean", "mean-1", "mean-513", "median-4", "mean-04", 4, "", "stack-1", "stack-65",
                                  "stack", "stack-9 ", "stack-3-3", "meanstack-3"])
def test_unknown_kinds(kind):
    with pytest.raises(DBNError, match="pooling"):
        pool(np.ones((3, 2), np.float32), kind)
