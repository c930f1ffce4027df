"""MFCCs against librosa, the definition of the DCT, and properties of the mel scale."""
import librosa
import numpy as np
import pytest
import scipy.fft
import soundfile

from dbn.errors import DBNError
from dbn.features import mfcc as module
from dbn.features.mfcc import deltas, hz_to_mel, mel_filterbank, mel_to_hz, mfcc


def librosa_mfcc(signal, sample_rate=22050, frame_length=1024, hop_length=512, window="hann", n_mels=40, f_min=0.0,
                 f_max=11025.0, n_mfcc=20, mel_scale="slaney", filter_norm="slaney", log_floor=1e-10):
    """What librosa computes with the same settings, in float64."""
    bands = librosa.feature.melspectrogram(
        y=signal.astype(np.float64), sr=sample_rate, n_fft=frame_length, hop_length=hop_length, center=False,
        window="boxcar" if window is None else window, n_mels=n_mels, fmin=f_min, fmax=f_max,
        htk=mel_scale == "htk", norm=filter_norm, dtype=np.float64)
    decibels = librosa.power_to_db(bands, amin=log_floor, top_db=None)
    return librosa.feature.mfcc(S=decibels, n_mfcc=n_mfcc, dct_type=2, norm="ortho").T * np.log(10) / 10


@pytest.fixture(scope="module")
def signal():
    """Three seconds of two gliding tones in noise, 0.2 s of it silent."""
    rng = np.random.default_rng(0)
    time = np.arange(3 * 22050) / 22050
    tones = 0.3 * np.sin(2 * np.pi * (200 + 900 * time) * time) + 0.1 * np.sin(2 * np.pi * 5000 * time)
    noisy = (tones + 0.01 * rng.standard_normal(time.size)).astype(np.float32)
    noisy[20000:24410] = 0
    return noisy


@pytest.mark.parametrize("settings", [
    {}, {"window": None}, {"window": "hamming"}, {"mel_scale": "htk"}, {"filter_norm": None},
    {"mel_scale": "htk", "filter_norm": None, "n_mels": 26, "n_mfcc": 13}, {"n_mfcc": 40}, {"n_mfcc": 1},
    {"f_min": 130.0, "f_max": 6854.0}, {"frame_length": 2048, "hop_length": 700}, {"log_floor": 1e-3},
    {"sample_rate": 16000, "f_max": 8000.0}, {"frame_length": 1023, "hop_length": 511}], ids=str)
def test_agrees_with_librosa(signal, settings):
    np.testing.assert_allclose(mfcc(signal, **settings), librosa_mfcc(signal, **settings), rtol=0, atol=1e-4)


def test_agrees_with_librosa_on_real_clips(gtzan_mini):
    for path in sorted(gtzan_mini.rglob("*.00003.flac")):
        clip, sample_rate = soundfile.read(path, dtype="float32")
        assert sample_rate == 22050
        np.testing.assert_allclose(mfcc(clip), librosa_mfcc(clip), rtol=0, atol=1e-4, err_msg=path.name)


@pytest.mark.parametrize("mel_scale", ["slaney", "htk"])
@pytest.mark.parametrize("filter_norm", ["slaney", None])
def test_filterbank_agrees_with_librosa(mel_scale, filter_norm):
    for n_mels in (1, 26, 40, 60):
        expected = librosa.filters.mel(sr=22050, n_fft=1024, n_mels=n_mels, fmin=50.0, fmax=8000.0,
                                       htk=mel_scale == "htk", norm=filter_norm, dtype=np.float64)
        filters = mel_filterbank(n_mels=n_mels, f_min=50.0, f_max=8000.0, mel_scale=mel_scale,
                                 filter_norm=filter_norm)
        np.testing.assert_allclose(filters, expected, rtol=0, atol=1e-12)


def test_unit_peaks_overlap_to_one_and_unit_areas_integrate_to_one():
    bins = np.arange(8193) * (22050 / 16384)
    peaks = mel_filterbank(frame_length=16384, filter_norm=None)
    inner = (bins >= bins[peaks[0].argmax() + 1]) & (bins <= bins[peaks[-1].argmax() - 1])
    np.testing.assert_allclose(peaks.sum(axis=0)[inner], 1, atol=1e-9)
    np.testing.assert_allclose(np.trapezoid(mel_filterbank(frame_length=16384), bins, axis=1), 1, atol=0.01)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_mel_scale_agrees_with_librosa_rises_and_has_an_inverse(scale):
    frequencies = np.linspace(0, 11025, 500)
    mel = hz_to_mel(frequencies, scale)
    np.testing.assert_allclose(mel, librosa.hz_to_mel(frequencies, htk=scale == "htk"), atol=1e-9)
    assert np.all(np.diff(mel) > 0)
    np.testing.assert_allclose(mel_to_hz(mel, scale), frequencies, atol=1e-8)


def test_a_gain_moves_the_zeroth_coefficient_alone(signal):
    loud, quiet = mfcc(signal[:20000], log_floor=1e-30), mfcc(signal[:20000] / 4, log_floor=1e-30)
    np.testing.assert_allclose((loud - quiet)[:, 0], np.sqrt(40) * np.log(16), rtol=1e-5)
    np.testing.assert_allclose(loud[:, 1:], quiet[:, 1:], atol=1e-4)


def test_silence_is_the_floor():
    silent = mfcc(np.zeros(2048, np.float32))
    np.testing.assert_allclose(silent[:, 0], np.sqrt(40) * np.log(1e-10), rtol=1e-6)
    np.testing.assert_allclose(silent[:, 1:], 0, atol=1e-5)


def test_all_coefficients_invert_to_the_log_bands(signal):
    power = np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(signal, 1024)[::512].astype(float)
                               * np.hanning(1025)[:-1])) ** 2
    expected = np.log(np.maximum(power @ mel_filterbank().T, 1e-10))
    np.testing.assert_allclose(scipy.fft.idct(mfcc(signal, n_mfcc=40), norm="ortho", axis=1), expected, atol=1e-4)


@pytest.mark.parametrize("n_samples, n_frames", [(1024, 1), (1535, 1), (1536, 2), (661_504, 1291)])
def test_frame_count_and_dtype(n_samples, n_frames):
    coefficients = mfcc(np.ones(n_samples))
    assert coefficients.shape == (n_frames, 20) and coefficients.dtype == np.float32


def test_blocks_do_not_show(signal, monkeypatch):
    whole = mfcc(signal)
    monkeypatch.setattr(module, "BLOCK_FRAMES", 7)
    np.testing.assert_allclose(mfcc(signal), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("settings, message", [
    ({"n_mfcc": 41}, "n_mfcc=41 .* n_mels=40"), ({"n_mfcc": 0}, "n_mfcc"), ({"n_mfcc": 12.5}, "n_mfcc"),
    ({"n_mels": 0}, "n_mels"), ({"f_max": 11026.0}, "f_max=11026.0"), ({"f_min": -1.0}, "f_min=-1.0"),
    ({"f_min": 9000.0, "f_max": 9000.0}, "f_min"),
    ({"mel_scale": "bark"}, "mel_scale is 'bark'"), ({"filter_norm": "area"}, "filter_norm is 'area'"),
    ({"window": "hat"}, "window is 'hat'"), ({"hop_length": 0}, "hop_length"), ({"log_floor": 0.0}, "log_floor"),
    ({"window": 0.5j}, "window"),
    ({"frame_length": 1}, "frame_length"), ({"n_mels": 400}, "holds no DFT bin")], ids=str)
def test_refuses_settings(settings, message):
    with pytest.raises(DBNError, match=message):
        mfcc(np.ones(4096), **settings)


@pytest.mark.parametrize("bad, message", [
    (np.ones((2, 4096)), "mono"), (np.ones(1023), "1023 samples"), (np.ones(0), "0 samples"),
    (np.r_[np.ones(2000), np.nan], "NaN"), (np.r_[np.inf, np.ones(2000)], "infinite")])
def test_refuses_signals(bad, message):
    with pytest.raises(DBNError, match=message):
        mfcc(bad)


@pytest.mark.parametrize("n_frames", [1, 5, 9, 200])
def test_deltas_agree_with_librosa(n_frames):
    x = np.random.default_rng(0).normal(size=(n_frames, 7)).astype(np.float32)
    found = deltas(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, librosa.feature.delta(x.T, width=9, mode="nearest").T, rtol=1e-4, atol=1e-6)


def test_the_delta_of_a_ramp_is_its_slope():
    ramp = np.outer(np.arange(30), [0.5, -2.0])
    np.testing.assert_allclose(deltas(ramp)[4:-4], np.tile([0.5, -2.0], (22, 1)), rtol=1e-6)
