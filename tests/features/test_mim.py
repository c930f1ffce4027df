"""MIM features of signals whose modulations are known, and against librosa, np.cov and direct sums."""
from dataclasses import replace

import librosa
import numpy as np
import pytest
import soundfile

from dbn.errors import DBNError
from dbn.features.mfcc import mfcc
from dbn.features.mim import (DEFAULTS, MIMSettings, band_envelopes, mim_features, modulation_spectrum,
                              temporal_features, timbral_features)

RATE = 22050
BAND_TONES = (300, 1300, 3000, 7000)  # Hz, well inside each broad band
SLOWEST = 0.5  # Hz: below lies the Hann window's image of the mean level


def modulated_tone(tone, modulation, depth=0.5, seconds=10.0, level=0.2):
    time = np.arange(int(seconds * RATE)) / RATE
    return level * (1 + depth * np.cos(2 * np.pi * modulation * time)) * np.sin(2 * np.pi * tone * time)


def noise(seconds=10.0, seed=0):
    return 0.05 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))


def peak(signal, band):
    """Frequency of a band's strongest modulation, and its magnitude relative to the band's mean energy."""
    frequencies, magnitudes = modulation_spectrum(signal)
    slow = np.count_nonzero(frequencies < SLOWEST)
    at = slow + magnitudes[band, slow:].argmax()
    return frequencies[at], magnitudes[band, at] / magnitudes[band, 0]


@pytest.mark.parametrize("band", range(4))
@pytest.mark.parametrize("modulation", [2.0, 4.0, 7.3])
def test_a_modulated_tone_peaks_at_its_modulation_in_its_band_alone(band, modulation):
    signal = modulated_tone(BAND_TONES[band], modulation) + noise()
    frequency, height = peak(signal, band)
    assert frequency == pytest.approx(modulation, abs=RATE / 512 / 512 / 2)
    assert height > 0.2
    for other in set(range(4)) - {band}:
        assert peak(signal, other)[1] < 0.06


def test_height_of_a_peak_is_that_of_the_envelope_s_fourier_series():
    """The energy (1 + m cos)² has the mean 1 + m²/2 and, one-sided, m at the modulation and m²/4 at its double."""
    signal = modulated_tone(300, 1.0, depth=0.5)
    frequencies, magnitudes = modulation_spectrum(signal, settings=replace(DEFAULTS, n_fft=2 ** 14))
    for harmonic, expected in ((1.0, 0.5 / 1.125), (2.0, 0.0625 / 1.125)):
        at = np.abs(frequencies - harmonic).argmin()
        assert magnitudes[0, at] / magnitudes[0, 0] == pytest.approx(expected, rel=0.03)


def test_steady_noise_has_no_peak():
    for band in range(4):
        assert peak(noise(), band)[1] < 0.05


def test_silence_has_no_nan_and_no_modulation():
    features = mim_features(np.zeros(10 * RATE, np.float32))
    assert np.isfinite(features).all()
    assert features[0] < -100 and not features[18:].any()


def test_shape_type_and_order():
    signal = noise(3.0)
    timbral, temporal = timbral_features(signal), temporal_features(signal)
    assert (timbral.shape, temporal.shape) == ((189,), (200,))
    features = mim_features(signal)
    assert features.dtype == timbral.dtype == temporal.dtype == np.float32
    np.testing.assert_array_equal(features, np.concatenate([timbral, temporal]))


@pytest.mark.parametrize("seconds", [0.05, 1.0, 8.0, 9.99, 10.0, 12.0, 31.0])
def test_size_and_frequencies_do_not_depend_on_the_length(seconds):
    frequencies, _ = modulation_spectrum(noise(seconds))
    np.testing.assert_allclose(frequencies, np.arange(119) * RATE / 512 / 512)
    assert frequencies[-1] <= 10 < frequencies[-1] + frequencies[1]
    assert mim_features(noise(seconds)).shape == (389,)


@pytest.mark.parametrize("seconds", [8.0, 30.0])
def test_clips_of_other_lengths_have_the_same_peaks(seconds):
    for band, tone in enumerate(BAND_TONES):
        expected = peak(modulated_tone(tone, 4.0), band)
        assert peak(modulated_tone(tone, 4.0, seconds=seconds), band) == pytest.approx(expected, rel=0.05)


def test_long_clip_is_the_mean_over_its_spans():
    signal = np.concatenate([modulated_tone(300, 3.0, seconds=7), noise(8.1)])
    length, hop = 430 * 512 + 512, 215 * 512  # 430 frames of 1,024 samples; half as many frames further
    spectra = [modulation_spectrum(signal[start:start + length])[1] for start in (0, hop)]
    assert not np.allclose(*spectra)
    np.testing.assert_allclose(modulation_spectrum(signal)[1], np.mean(spectra, axis=0), rtol=1e-5)


@pytest.mark.parametrize("n_mfcc", [18, 5])
def test_timbral_features_are_the_mean_and_population_covariance(n_mfcc):
    signal = noise(4.0) * np.linspace(0.1, 1, 4 * RATE)
    cepstra = mfcc(signal, n_mfcc=n_mfcc).astype(np.float64)
    covariance = np.cov(cepstra, rowvar=False, ddof=0)
    expected = list(cepstra.mean(axis=0)) + [covariance[i, j] for i in range(n_mfcc) for j in range(i, n_mfcc)]
    np.testing.assert_allclose(timbral_features(signal, settings=MIMSettings(n_mfcc=n_mfcc)), expected, rtol=1e-4,
                               atol=1e-5)


def test_band_envelopes_agree_with_librosa():
    signal = modulated_tone(1300, 5.0, seconds=3) + noise(3.0)
    mel = librosa.feature.melspectrogram(y=signal, sr=RATE, n_fft=1024, hop_length=512, center=False, n_mels=40,
                                         fmin=0, fmax=RATE / 2, norm=None, dtype=np.float64)
    np.testing.assert_allclose(band_envelopes(signal), mel.reshape(4, 10, -1).sum(axis=1).T, rtol=1e-4)


def test_bands_of_unequal_numbers_of_filters_share_all_of_them():
    signal = noise(1.0)
    np.testing.assert_allclose(band_envelopes(signal, settings=MIMSettings(n_bands=7)).sum(axis=1),
                               band_envelopes(signal).sum(axis=1), rtol=1e-6)


def test_temporal_features_agree_with_direct_sums():
    signal = modulated_tone(1300, 5.0, seconds=2) + noise(2.0)
    envelopes = band_envelopes(signal)
    n = len(envelopes)
    frame = np.arange(n)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * frame / n)
    expected = []
    for envelope in envelopes.T:
        spectrum = np.array([abs(np.sum(envelope * hann * np.exp(-2j * np.pi * k * frame / 512))) / hann.sum()
                             for k in range(119)])
        for order in range(50):
            scale = np.sqrt((2 if order else 1) / 119)
            expected.append(scale * np.sum(spectrum * np.cos(np.pi * order * (np.arange(119) + 0.5) / 119)))
    np.testing.assert_allclose(temporal_features(signal), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_louder_clip_moves_the_level_alone():
    """A gain adds the same to every log band (the zeroth MFCC's mean), and scales every energy."""
    signal = noise(4.0) + modulated_tone(300, 4.0, seconds=4)
    soft, loud = mim_features(signal), mim_features(2 * signal)
    np.testing.assert_allclose(loud[0] - soft[0], np.sqrt(40) * np.log(4), rtol=1e-4)
    np.testing.assert_allclose(loud[1:189], soft[1:189], atol=1e-3)
    np.testing.assert_allclose(loud[189:], 4 * soft[189:], rtol=1e-3, atol=1e-4 * np.abs(loud[189:]).max())


@pytest.mark.parametrize("signal, message", [
    (np.zeros(1023), "fewer than one frame"),
    (np.zeros(0), "fewer than one frame"),
    (np.zeros((2, 4096)), "one dimension"),
    (np.r_[np.zeros(4096), np.nan], "NaN or infinite"),
    (np.r_[np.inf, np.zeros(4096)], "NaN or infinite")], ids=["short", "empty", "stereo", "nan", "inf"])
def test_refuses_a_signal(signal, message):
    for function in (mim_features, timbral_features, temporal_features, modulation_spectrum, band_envelopes):
        with pytest.raises(DBNError, match=message):
            function(signal)


@pytest.mark.parametrize("change, message", [
    ({"n_bands": 41}, "n_bands=41"), ({"n_bands": 0}, "n_bands"), ({"n_coefficients": 120}, "n_coefficients=120"),
    ({"n_coefficients": 0}, "n_coefficients"), ({"n_fft": 200}, "n_fft=200"), ({"max_modulation": 22.0}, "22.0 Hz"),
    ({"max_modulation": 0.0}, "max_modulation"), ({"envelope_window": "round"}, "envelope_window is 'round'"),
    ({"span": 0.01}, "window is 0.01 s"), ({"n_mfcc": 41}, "n_mfcc=41"), ({"window": "round"}, "round"),
    ({"f_max": 12000.0}, "f_max=12000"), ({"n_mels": 2000}, "mel filter"), ({"hop_length": 0}, "hop_length")],
    ids=str)
def test_refuses_settings(change, message):
    with pytest.raises(DBNError, match=message):
        mim_features(noise(10.0), settings=replace(DEFAULTS, **change))


def test_modulation_spectrum_refuses_settings_of_its_own():
    for change in ({"hop_length": 0}, {"n_fft": 64}, {"f_min": -1.0}):
        with pytest.raises(DBNError):
            modulation_spectrum(noise(2.0), settings=replace(DEFAULTS, **change))


def test_real_clips_are_finite_and_distinct(gtzan_mini):
    paths = sorted(gtzan_mini.rglob("*.0000[3-5].flac"))
    assert len(paths) > 10
    features = np.array([mim_features(soundfile.read(path, frames=10 * RATE, dtype="float32")[0]) for path in paths])
    assert np.isfinite(features).all() and (features.std(axis=0) > 0).all()
    standardised = (features - features.mean(axis=0)) / features.std(axis=0)
    distances = np.linalg.norm(standardised[:, None] - standardised, axis=2)
    assert distances[np.triu_indices(len(paths), 1)].min() > 1


def test_the_cepstrum_of_modulations_agrees_with_direct_sums_and_knows_no_loudness():
    signal = modulated_tone(1300, 5.0, seconds=2) + noise(2.0)
    settings = MIMSettings(log_modulation=True)
    _, magnitudes = modulation_spectrum(signal)
    n = magnitudes.shape[1]
    expected = [np.sqrt((2 if order else 1) / n) * np.sum(
        np.log(magnitudes[band]) * np.cos(np.pi * order * (np.arange(n) + 0.5) / n))
        for band in range(4) for order in range(50)]
    found = temporal_features(signal, settings=settings)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    moved = temporal_features(2 * signal, settings=settings) - found
    assert np.allclose(moved[::50], np.sqrt(n) * np.log(4), rtol=1e-3)  # the zeroth coefficient of each band
    assert np.abs(np.delete(moved, range(0, 200, 50))).max() < 1e-2
    assert np.isfinite(temporal_features(np.zeros(RATE), settings=settings)).all()
