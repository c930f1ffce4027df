"""Reading by blocks: the borders leave no trace, the checks are those of the whole file, memory does not grow."""
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from dbn.audio import dft_magnitudes, load_audio
from dbn.audio.streaming import stream_magnitudes, stream_signal
from dbn.errors import AudioError, DBNError
from dbn.features.aggregate import WindowStatistics, aggregate

RATE = 22050


def write_noise(path, n, rate=RATE, channels=1, seed=0, **options):
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, size=(n, channels))
    soundfile.write(path, samples, rate, **options)
    return path


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22049, 22050, 22051, 32000, 44100, 48000, 96000, 192000])
def test_signal_equals_the_whole_file(tmp_path, rate, channels):
    path = write_noise(tmp_path / "clip.wav", int(2.3 * rate), rate, channels)
    whole = load_audio(path)
    for seconds in (0.31, 1.0, 2.3, 60.0):
        blocks = list(stream_signal(path, seconds=seconds))
        assert all(block.dtype == np.float32 for block in blocks)
        np.testing.assert_array_equal(np.concatenate(blocks), whole)


@pytest.mark.parametrize("rate", [22050, 48000])
def test_lengths_about_the_block_borders(tmp_path, rate):
    seconds = 0.1
    size = round(seconds * rate)
    for n in [*range(2 * size - 2, 2 * size + 3), *range(3 * size - 60, 3 * size + 60, 7)]:
        path = write_noise(tmp_path / "clip.wav", n, rate)
        signal = np.concatenate(list(stream_signal(path, seconds=seconds)))
        np.testing.assert_array_equal(signal, load_audio(path))


@pytest.mark.parametrize("to_rate", [8000, 16000, 44100])
def test_other_rates_of_the_model(tmp_path, to_rate):
    path = write_noise(tmp_path / "clip.wav", 3 * RATE, channels=2)
    signal = np.concatenate(list(stream_signal(path, to_rate, seconds=0.7)))
    np.testing.assert_array_equal(signal, load_audio(path, to_rate))


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3", "aiff", "au"])
def test_formats(tmp_path, suffix):
    path = write_noise(tmp_path / f"clip.{suffix}", 5 * 44100, 44100, 2)
    np.testing.assert_array_equal(np.concatenate(list(stream_signal(path, seconds=0.77))), load_audio(path))


@pytest.mark.parametrize("frame_length, hop_length, window", [
    (1024, 512, None), (1024, 512, "hann"), (1000, 333, None), (64, 64, None), (50, 77, None), (50, 900, None),
    (3, 1, None)])
def test_magnitudes_equal_the_whole_file(tmp_path, frame_length, hop_length, window):
    rng = np.random.default_rng(1)
    random_lengths = hop_length * rng.integers([20, 400, 1100], [400, 600, 1600])  # no, some and several blocks
    for n in [frame_length, frame_length + hop_length - 1, *random_lengths]:
        path = write_noise(tmp_path / "clip.wav", n)
        whole = dft_magnitudes(load_audio(path, min_length=1), frame_length, hop_length, window)
        for seconds in (n / 4000 / RATE, 0.4, 9.0):
            blocks = list(stream_magnitudes(path, RATE, frame_length, hop_length, window, seconds))
            np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_magnitudes_over_several_groups_of_a_resampled_file(tmp_path):
    path = write_noise(tmp_path / "clip.wav", 40 * 48000, 48000, 2)
    blocks = list(stream_magnitudes(path, seconds=3.3))
    assert [len(block) for block in blocks[:-1]] == [512, 512, 512]
    np.testing.assert_array_equal(np.concatenate(blocks), dft_magnitudes(load_audio(path)))


def same_refusal(path):
    with pytest.raises(AudioError) as whole:
        load_audio(path)
    with pytest.raises(AudioError) as streamed:
        list(stream_magnitudes(path, seconds=0.1))
    assert str(streamed.value) == str(whole.value)
    return streamed.value.reason


def test_refusals_are_those_of_the_whole_file(tmp_path):
    path = tmp_path / "clip.wav"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 20000)

    def refused(samples):
        soundfile.write(path, samples, RATE, subtype="FLOAT")
        return same_refusal(path)

    assert "NaN" in refused(np.r_[noise, np.nan, noise])
    assert "silent" in refused(np.full(9000, 0.25))
    assert "too short: 1023" in refused(noise[:1023])
    assert "no samples" in refused(noise[:0])
    path.write_bytes(b"text" * 100)
    assert "of another format" in same_refusal(path)
    assert "no such file" in same_refusal(tmp_path / "missing.wav")
    assert "folder" in same_refusal(tmp_path)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "au"])
def test_truncated_files_are_refused(tmp_path, suffix):
    path = write_noise(tmp_path / f"clip.{suffix}", 3 * RATE)
    path.write_bytes(path.read_bytes()[:int(0.6 * path.stat().st_size)])
    assert "truncated" in same_refusal(path)


def test_a_level_that_changes_once_is_not_silent(tmp_path):
    """Each block by itself is constant."""
    soundfile.write(tmp_path / "clip.wav", np.repeat([0.1, 0.2], 2205), RATE)
    assert len(np.concatenate(list(stream_signal(tmp_path / "clip.wav", seconds=0.1)))) == 4410


@pytest.mark.parametrize("window, hop", [(5.0, 2.5), (1.0, 1.0), (0.5, 3.0), (2.0, 0.1), (0.3, 0.3), (1000.0, 500.0)])
@pytest.mark.parametrize("n", [1, 2, 29, 30, 31, 99, 100, 101, 499, 500, 501, 1234])
def test_windows_equal_those_of_the_whole(window, hop, n):
    rng = np.random.default_rng(n)
    rows = (rng.normal(size=(n, 3)) + [0, 1000, 0.5]).astype(np.float32)
    for block in (1, 7, 128, 5000):
        statistics, found = WindowStatistics(10.0, window, hop), []
        for start in range(0, n, block):
            found.append(statistics.add(rows[start:start + block]))
        short = statistics.finish()
        found = np.concatenate(found if short is None else [*found, short])
        np.testing.assert_allclose(found, aggregate(rows, 10.0, window, hop), rtol=2e-6, atol=1e-12)


@pytest.mark.parametrize("wrong", [{"window": 0.01}, {"hop": 0.0}, {"window": float("nan")}, {"hop": float("inf")}])
def test_windows_that_are_none(wrong):
    with pytest.raises(DBNError, match=next(iter(wrong))):
        WindowStatistics(43.0, **wrong)


MEASURE = """
import sys
import scipy.signal
from dbn.audio.streaming import stream_magnitudes
from dbn.features.aggregate import WindowStatistics
statistics, n_windows = WindowStatistics(22050 / 512), 0
for block in stream_magnitudes(sys.argv[1]):
    n_windows += len(statistics.add(block))
print(n_windows, next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in Linux's files")
def test_memory_does_not_grow_with_the_file(tmp_path):
    """20 minutes as a signal are 106 MB, as magnitudes 212 MB."""
    peaks = []
    for minutes, n_windows in ((2, 47), (20, 481)):
        path = tmp_path / f"{minutes}.wav"
        rng = np.random.default_rng(0)
        with soundfile.SoundFile(path, "w", 44100, 1) as file:
            for _ in range(minutes):
                file.write(rng.integers(-9000, 9000, 60 * 44100, dtype=np.int16))
        done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
        found, peak = map(int, done.stdout.split())
        assert found == n_windows
        peaks.append(peak / 1024)
    assert peaks[1] - peaks[0] < 15
