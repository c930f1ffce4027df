"""Frames put together over small windows: against NumPy window by window, and the same in a stream and in a store."""
import numpy as np
import pytest
import soundfile

from dbn.audio import FrameStore, dft_magnitudes, frame_rate, load_audio, pool, stream_magnitudes
from dbn.audio.pooling import pooled_frames, pooled_width
from dbn.datasets import folder
from dbn.errors import DBNError

KINDS = ("mean-4", "max-8", "meanvar-2", "meanvar-512", None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, 1, 3, 4, 9, 1025])
def test_each_window_by_itself(kind, n):
    x = np.random.default_rng(n).gamma(2.0, size=(n, 5)).astype(np.float32)
    size = pooled_frames(kind)
    functions = {"mean": [np.mean], "max": [np.max], "meanvar": [np.mean, np.var], None: [lambda rows, axis: rows[0]]}
    of = functions[kind and kind.split("-")[0]]
    expected = [np.concatenate([function(x[start:start + size].astype(float), axis=0) for function in of])
                for start in range(0, n, size)]
    found = pool(x, kind)
    assert found.dtype == np.float32 and found.shape == (-(-n // size), pooled_width(kind, 5))
    np.testing.assert_allclose(found, np.reshape(expected, found.shape), rtol=2e-5, atol=1e-5)


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


def test_rows_a_second():
    settings = {"sample_rate": 22050, "hop_length": 512}
    assert frame_rate(settings) == frame_rate(settings | {"pooling": None}) == 22050 / 512
    assert frame_rate(settings | {"pooling": "max-32"}) == 22050 / 512 / 32


@pytest.mark.parametrize("kind", ["mean", "mean-3", "mean-1", "mean-1024", "median-4", "mean-04", 4, ""])
def test_unknown_kinds(kind):
    with pytest.raises(DBNError, match="pooling"):
        pool(np.ones((3, 2), np.float32), kind)
