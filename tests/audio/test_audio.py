"""dbn.audio against a direct DFT sum, known sinusoids, and files that nobody should trust."""
import math
import struct

import numpy as np
import pytest
import soundfile

from dbn.audio import dft_magnitudes, frame_count, frame_signal, load_audio, mono_blocks
from dbn.audio.reading import TOLERATED_SHORTFALL, expected_length
from dbn.errors import AudioError, DBNError

RATE = 22050


@pytest.fixture
def noise():
    return (0.2 * np.random.default_rng(5).standard_normal(3 * RATE)).astype(np.float32)


def sine(frequency, seconds, rate=RATE, amplitude=0.5):
    return (amplitude * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def direct_dft_magnitudes(signal, frame_length, hop_length, weights):
    """The definition, summed in float64."""
    t = np.arange(frame_length)
    waves = np.exp(-2j * np.pi * np.outer(t, np.arange(frame_length // 2 + 1)) / frame_length)
    starts = range(0, len(signal) - frame_length + 1, hop_length)
    return np.abs(np.array([(signal[s:s + frame_length].astype(np.float64) * weights) @ waves for s in starts]))


@pytest.mark.parametrize("frame_length, hop_length", [(1024, 512), (1024, 1024), (1024, 300), (37, 5), (2, 1), (3, 7)])
def test_dft_magnitudes_equal_the_direct_sum(frame_length, hop_length):
    signal = np.random.default_rng(frame_length).standard_normal(5000).astype(np.float32)
    expected = direct_dft_magnitudes(signal, frame_length, hop_length, np.ones(frame_length))
    result = dft_magnitudes(signal, frame_length, hop_length)
    assert result.dtype == np.float32
    assert result.shape == expected.shape == (frame_count(5000, frame_length, hop_length), frame_length // 2 + 1)
    np.testing.assert_allclose(result, expected, atol=2e-6 * expected.max())


def test_a_window_multiplies_each_frame():
    signal = np.random.default_rng(1).standard_normal(4000).astype(np.float32)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    expected = direct_dft_magnitudes(signal, 256, 128, hann)
    np.testing.assert_allclose(dft_magnitudes(signal, 256, 128, "hann"), expected, atol=2e-6 * expected.max())


def test_a_sinusoid_on_a_bin_gives_half_its_amplitude_times_the_frame_length():
    magnitudes = dft_magnitudes(sine(100 * RATE / 1024, 1))
    assert (magnitudes.argmax(axis=1) == 100).all()
    np.testing.assert_allclose(magnitudes[:, 100], 0.5 * 1024 / 2, rtol=1e-4)
    assert np.delete(magnitudes, 100, axis=1).max() < 0.01


@pytest.mark.parametrize("n, expected", [(1024, 1), (1535, 1), (1536, 2), (661504, 1291), (1023, 0), (0, 0)])
def test_frame_count_is_that_of_whole_frames(n, expected):
    assert frame_count(n) == expected
    if expected:
        assert len(dft_magnitudes(np.zeros(n))) == expected


def test_frames_are_a_read_only_view(noise):
    frames = frame_signal(noise, 1000, 250)
    assert np.shares_memory(frames, noise) and not frames.flags.writeable
    for i in (0, 1, len(frames) - 1):
        np.testing.assert_array_equal(frames[i], noise[i * 250:i * 250 + 1000])


@pytest.mark.parametrize("options, named", [
    ({"frame_length": 1}, "frame_length"), ({"frame_length": 2.5}, "frame_length"),
    ({"frame_length": True}, "frame_length"),
    ({"hop_length": 0}, "hop_length"), ({"hop_length": -3}, "hop_length"), ({"window": "no such"}, "window"),
    ({"window": ()}, "window"), ({"window": ("general_cosine", "x")}, "window"),
    ({"window": ("chebwin", 1e300)}, "window"), ({"window": ("taylor", 101)}, "more than 100 sidelobes"),
    ({"window": "kaiser"}, "window"), ({"frame_length": 5000}, "frame_length")])
def test_wrong_options_are_named(options, named):
    with pytest.raises(DBNError, match=named):
        dft_magnitudes(np.ones(4000), **options)


@pytest.mark.parametrize("signal", [np.ones((2, 2000)), np.zeros(0), np.array(1.0), [np.nan] * 2000,
                                    np.r_[np.ones(2000), np.inf]])
def test_wrong_signals_are_refused(signal):
    with pytest.raises(DBNError, match="signal"):
        dft_magnitudes(signal)


@pytest.mark.parametrize("suffix, subtype, tolerance", [
    ("wav", "PCM_16", 1 / 32768), ("wav", "PCM_24", 1 / 2 ** 23), ("wav", "FLOAT", 0), ("au", "PCM_16", 1 / 32768),
    ("flac", "PCM_16", 1 / 32768), ("aiff", "PCM_16", 1 / 32768), ("ogg", "VORBIS", 0.05),
    ("mp3", "MPEG_LAYER_III", 0.05)])
def test_formats(tmp_path, suffix, subtype, tolerance):
    path, tone = tmp_path / f"clip.{suffix}", sine(1000, 3)
    soundfile.write(path, tone, RATE, subtype=subtype)
    signal = load_audio(path)
    assert signal.dtype == np.float32 and signal.shape == tone.shape
    assert expected_length(path) == len(signal)
    np.testing.assert_allclose(signal, tone, atol=tolerance)


@pytest.mark.parametrize("suffix", ["wav", "au", "aiff", "flac"])
def test_16_bits_are_scaled_as_libsndfile_does(tmp_path, suffix):
    path, samples = tmp_path / f"clip.{suffix}", np.arange(-2 ** 15, 2 ** 15, dtype=np.int16)
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    signal = load_audio(path)
    assert signal.dtype == np.float32
    np.testing.assert_array_equal(signal, soundfile.read(path, dtype="float32")[0])


def test_loud_samples_are_finite_and_silence_is_of_the_whole_file(tmp_path):
    """The sum of squares overflows; the first second is silent, and only one sample of the last is not."""
    samples = np.full(3 * RATE, 3e38, dtype=np.float32)
    samples[-7] = -3e38
    soundfile.write(tmp_path / "clip.wav", samples, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(load_audio(tmp_path / "clip.wav"), samples)
    assert sum(len(block) for block, _ in mono_blocks(tmp_path / "clip.wav", seconds=1.0)) == len(samples)
    soundfile.write(tmp_path / "clip.wav", np.full(3 * RATE, 3e38, dtype=np.float32), RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match="silent"):
        load_audio(tmp_path / "clip.wav")


def test_channels_are_averaged(tmp_path, noise):
    channels = np.stack([noise, 0.5 * noise, np.roll(noise, 7)], axis=1)
    soundfile.write(tmp_path / "clip.wav", channels, RATE, subtype="FLOAT")
    np.testing.assert_allclose(load_audio(tmp_path / "clip.wav"), channels.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("rate", [8000, 11025, 32000, 44100, 48000, 96000])
def test_resampling_keeps_a_sinusoid(tmp_path, rate):
    soundfile.write(tmp_path / "clip.wav", sine(1000, 2, rate), rate, subtype="FLOAT")
    signal = load_audio(tmp_path / "clip.wav")
    assert signal.dtype == np.float32
    assert len(signal) == expected_length(tmp_path / "clip.wav") == math.ceil(2 * rate * RATE / rate)
    inside = slice(500, -500)
    np.testing.assert_allclose(signal[inside], sine(1000, 2)[inside], atol=2e-3)


def test_resampling_removes_what_the_lower_rate_cannot_hold(tmp_path):
    soundfile.write(tmp_path / "clip.wav", sine(15000, 2, 44100), 44100, subtype="FLOAT")
    assert np.abs(load_audio(tmp_path / "clip.wav")[500:-500]).max() < 2e-3


def refusal(path, **options):
    with pytest.raises(AudioError) as caught:
        load_audio(path, **options)
    assert caught.value.path == str(path) and str(path) in str(caught.value)
    assert str(path) not in caught.value.reason
    return caught.value.reason


@pytest.mark.parametrize("suffix", ["wav", "au", "aiff", "flac", "ogg", "mp3", "caf", "w64", "rf64"])
@pytest.mark.parametrize("kept", [0.2, 0.6, 0.9])
def test_truncated_files_are_refused(tmp_path, noise, suffix, kept):
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, noise, RATE)
    data = path.read_bytes()
    path.write_bytes(data[:int(kept * len(data))])
    assert "truncated" in refusal(path)


def test_a_file_cut_off_after_its_header_is_refused(tmp_path, noise):
    soundfile.write(tmp_path / "clip.wav", noise, RATE)
    (tmp_path / "clip.wav").write_bytes((tmp_path / "clip.wav").read_bytes()[:44])
    assert "truncated" in refusal(tmp_path / "clip.wav")


@pytest.mark.parametrize("shortfall, accepted", [(TOLERATED_SHORTFALL, True), (TOLERATED_SHORTFALL + 1, False)])
@pytest.mark.parametrize("suffix", ["wav", "au"])
def test_a_shortfall_of_one_frame_is_tolerated(tmp_path, noise, suffix, shortfall, accepted):
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, noise, RATE, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:-2 * shortfall])
    if accepted:
        assert len(load_audio(path)) == len(noise) - shortfall
    else:
        assert "truncated" in refusal(path)


@pytest.mark.parametrize("size_field, n_expected", [
    (0xFFFFFFFF, 3 * RATE),  # "unknown", as the AU format allows
    (6 * RATE + 24, 3 * RATE),  # counts its own header, as some old programs do
    (6 * RATE + 1, 3 * RATE),
    (6 * RATE - 20, 3 * RATE - 10)])
def test_harmless_au_headers_are_accepted(tmp_path, noise, size_field, n_expected):
    path = tmp_path / "clip.au"
    soundfile.write(path, noise, RATE, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[8:12] = struct.pack(">I", size_field)
    path.write_bytes(data)
    assert len(load_audio(path)) == n_expected


@pytest.mark.parametrize("total", [0, 2 ** 36 - 1])
def test_flac_headers_without_a_sane_length_are_refused_without_asking_for_memory(tmp_path, noise, total):
    path = tmp_path / "clip.flac"
    soundfile.write(path, noise, RATE)
    data = bytearray(path.read_bytes())
    data[21] = data[21] & 0xF0 | total >> 32  # the 36 bits of STREAMINFO that hold the number of samples
    data[22:26] = struct.pack(">I", total & 0xFFFFFFFF)
    path.write_bytes(data)
    assert "length" in refusal(path)
    assert expected_length(path) == 0


def test_absurd_rates_are_refused(tmp_path, noise):
    soundfile.write(tmp_path / "clip.wav", noise, 2_000_000_000)
    assert "2000000000 Hz" in refusal(tmp_path / "clip.wav")


def test_unusable_samples_are_refused(tmp_path, noise):
    def reason(samples, rate=RATE):
        soundfile.write(tmp_path / "clip.wav", samples, rate, subtype="FLOAT")
        return refusal(tmp_path / "clip.wav")

    with_nan, with_infinity = noise.copy(), noise.copy()
    with_nan[1234], with_infinity[-1] = np.nan, -np.inf
    assert "NaN" in reason(with_nan)
    assert "infinite" in reason(with_infinity)
    assert "NaN" in reason(np.stack([noise, with_nan], axis=1))
    assert "infinite" in reason(np.stack([with_infinity, -with_infinity], axis=1))
    assert "silent" in reason(np.zeros(5000))
    assert "silent" in reason(np.full(5000, 0.25))
    assert "silent" in reason(np.stack([noise, -noise], axis=1))
    assert "no samples" in reason(np.zeros(0))
    assert "too short: 1023 samples" in reason(noise[:1023])
    assert "too short: 512 samples" in reason(noise[:1024], 2 * RATE)


def test_the_shortest_usable_clip_is_one_frame(tmp_path, noise):
    soundfile.write(tmp_path / "clip.wav", noise[:1024], RATE, subtype="FLOAT")
    assert dft_magnitudes(load_audio(tmp_path / "clip.wav")).shape == (1, 513)
    refusal(tmp_path / "clip.wav", min_length=1025)


def test_what_is_no_audio_file_is_refused(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("blues\n" * 1000)
    assert "no such file" in refusal(tmp_path / "missing.wav")
    assert "folder" in refusal(tmp_path)
    assert "empty" in refusal(tmp_path / "empty.wav")
    assert "of another format" in refusal(tmp_path / "text.wav")
    assert expected_length(tmp_path / "missing.wav") == expected_length(tmp_path / "text.wav") == 0


def test_an_unreadable_file_is_refused(tmp_path, noise, monkeypatch):
    """Tests may run as root, who may read everything: so the system's refusal is imitated."""
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert "Permission denied" in refusal(tmp_path / "clip.wav")


@pytest.mark.parametrize("seed", range(20))
def test_random_damage_never_raises_anything_else(tmp_path, noise, seed):
    rng = np.random.default_rng(seed)
    path = tmp_path / f"clip.{rng.choice(['wav', 'au', 'flac', 'ogg', 'aiff'])}"
    soundfile.write(path, noise[:RATE], RATE)
    data = bytearray(path.read_bytes())
    for position in rng.integers(0, min(200, len(data)), 5):
        data[position] = rng.integers(256)
    path.write_bytes(data)
    try:
        signal = load_audio(path)
    except AudioError:
        return
    assert np.isfinite(signal).all() and len(signal) >= 1024


def test_a_wrong_sample_rate_is_named(tmp_path):
    with pytest.raises(DBNError, match="sample_rate"):
        load_audio(tmp_path / "clip.wav", sample_rate=0)


def test_real_clips(gtzan_mini):
    paths = sorted(gtzan_mini.glob("genres/*/*.flac"))[::10]
    assert len(paths) == 10
    for path in paths:
        magnitudes = dft_magnitudes(load_audio(path))
        assert 1280 <= len(magnitudes) <= 1320
        assert (magnitudes >= 0).all() and magnitudes.max() > 1
