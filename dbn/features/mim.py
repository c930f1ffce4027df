"""The MIM features of Mandel & Ellis, which the paper's autotagging compares its own with (§5.2).

A clip becomes one vector of 389 numbers:

- timbral, 189: the mean of 18 MFCCs over the clip (18), and the upper triangle with its diagonal of their covariance
  (18 · 19 / 2 = 171);
- temporal, 200: the mel bands' energies are summed into four broad bands; the modulation spectrum of each band's
  envelope from 0 to 10 Hz is described by the first 50 coefficients of its DCT (4 · 50).

Hamel & Eck only name the set. The dimensions are those that its authors published; where their wording leaves a step
open, :class:`MIMSettings` names our choice. Each dimension is to be standardised before use, as
:class:`dbn.evaluation.svm.RBFSVM` does.

References
----------
M. I. Mandel and D. P. W. Ellis, "Multiple-instance learning for music information retrieval", ISMIR 2008.
"""
from dataclasses import dataclass

import numpy as np
from scipy.fft import dct, rfft
from scipy.signal import get_window

from dbn.audio.spectra import dft_magnitudes
from dbn.errors import DBNError, require_integer
from dbn.features.aggregate import window_bounds
from dbn.features.mfcc import mel_filterbank, mfcc


@dataclass(frozen=True)
class MIMSettings:
    """Every parameter of the features, with its default.

    Attributes
    ----------
    frame_length, hop_length : int
        Samples a frame, and from one frame's start to the next: those of the network's inputs.
    window : str, tuple or None
        Of the frames: one that :func:`scipy.signal.get_window` knows; None for a rectangular one.
    n_mels, f_min, f_max, mel_scale
        The mel filters of both halves: see :func:`dbn.features.mfcc.mel_filterbank`.
    n_mfcc : int
        Coefficients described by the timbral half, counted from the zeroth.
    n_bands : int
        Broad bands of the temporal half. Each takes the same number of neighbouring mel filters (or one more), hence
        the same width in mel: with the defaults they meet at about 850, 1,980 and 4,580 Hz.
    span : float
        Seconds of an envelope that are transformed at once, the length of a MajorMiner clip. A shorter clip is
        transformed whole; of a longer one, the mean over spans that overlap by half is taken
        (:func:`dbn.features.aggregate.window_bounds`).
    envelope_window : str or tuple
        Of an envelope, before its transform. A Hann window keeps the band's mean level out of the modulations above
        0.2 Hz.
    n_fft : int
        Points of an envelope's transform, which is padded with zeros to it. This fixes the modulation frequencies,
        43.07 Hz / 512 = 0.084 Hz apart, so that a coefficient means the same in clips of every length.
    max_modulation : float
        Highest modulation frequency that is kept, in Hz.
    n_coefficients : int
        Coefficients of the DCT kept of every band, counted from the zeroth.
    log_modulation : bool
        Whether the DCT is taken of the logarithms of a modulation spectrum's magnitudes, which makes a cepstrum of it.
    """

    frame_length: int = 1024
    hop_length: int = 512
    window: object = "hann"
    n_mels: int = 40
    f_min: float = 0.0
    f_max: float = 11025.0
    mel_scale: str = "slaney"
    n_mfcc: int = 18
    n_bands: int = 4
    span: float = 10.0
    envelope_window: object = "hann"
    n_fft: int = 512
    max_modulation: float = 10.0
    n_coefficients: int = 50
    log_modulation: bool = False


DEFAULTS = MIMSettings()

LOG_FLOOR = 1e-10  # magnitudes below are raised to it before their logarithm, as band powers are for the MFCCs


def mim_features(signal, sample_rate=22050, settings=DEFAULTS):
    """Both halves of the MIM features of one clip (§5.2).

    Parameters
    ----------
    signal : float array, [n_samples]
        Mono audio, full scale ±1, of at least one frame.
    sample_rate : float
        Samples a second.
    settings : MIMSettings

    Returns
    -------
    float32, [389]
        :func:`timbral_features`, then :func:`temporal_features`.

    Raises
    ------
    DBNError
        A signal that is not mono, not finite or shorter than a frame, or settings that do not fit together.
    """
    return np.concatenate([timbral_features(signal, sample_rate, settings),
                           temporal_features(signal, sample_rate, settings)])


def timbral_features(signal, sample_rate=22050, settings=DEFAULTS):
    """Mean and covariance of a clip's MFCCs.

    Parameters
    ----------
    signal, sample_rate, settings
        As for :func:`mim_features`.

    Returns
    -------
    float32, [189]
        The 18 means, then the covariances of coefficients (0, 0), (0, 1), ..., (0, 17), (1, 1), ..., (17, 17).
        Population covariances (divided by the number of frames, as the variances of :mod:`dbn.features.aggregate`):
        those of a single frame are 0.

    Raises
    ------
    DBNError
        As for :func:`mim_features`.
    """
    cepstra = mfcc(signal, sample_rate, settings.frame_length, settings.hop_length, settings.window, settings.n_mels,
                   settings.f_min, settings.f_max, settings.n_mfcc, settings.mel_scale).astype(np.float64)
    mean = cepstra.mean(axis=0)
    deviations = cepstra - mean
    covariance = deviations.T @ deviations / len(cepstra)
    return np.concatenate([mean, covariance[np.triu_indices(settings.n_mfcc)]]).astype(np.float32)


def temporal_features(signal, sample_rate=22050, settings=DEFAULTS):
    """DCT of each broad band's modulation spectrum.

    Parameters
    ----------
    signal, sample_rate, settings
        As for :func:`mim_features`.

    Returns
    -------
    float32, [200]
        Orthonormal DCT-II of the magnitudes that :func:`modulation_spectrum` gives, or of their logarithms, its first
        50 coefficients: those of the lowest band, then those of the next.

    Raises
    ------
    DBNError
        As for :func:`mim_features`.
    """
    require_integer("n_coefficients", settings.n_coefficients, minimum=1)
    frequencies, spectrum = modulation_spectrum(signal, sample_rate, settings)
    if settings.n_coefficients > len(frequencies):
        raise DBNError(f"n_coefficients={settings.n_coefficients} cannot come from the {len(frequencies)} modulation "
                       f"frequencies up to {settings.max_modulation} Hz; take fewer, or a longer n_fft")
    if settings.log_modulation:
        spectrum = np.log(np.maximum(spectrum, LOG_FLOOR))
    return dct(spectrum, type=2, norm="ortho")[:, :settings.n_coefficients].ravel().astype(np.float32)


def modulation_spectrum(signal, sample_rate=22050, settings=DEFAULTS):
    """How strongly each broad band's energy fluctuates, by the frequency of the fluctuation.

    Parameters
    ----------
    signal, sample_rate, settings
        As for :func:`mim_features`.

    Returns
    -------
    frequencies : float64, [n_modulations]
        From 0 to at most `max_modulation`, in Hz; the same for clips of every length.
    magnitudes : float64, [n_bands, n_modulations]
        Linear, divided by the sum of the envelope's window: at 0 Hz a band's (weighted) mean energy e, and for an
        envelope e (1 + m cos 2πft) about e·m/2 at f, however long the clip.

    Raises
    ------
    DBNError
        As for :func:`mim_features`.
    """
    require_integer("hop_length", settings.hop_length, minimum=1)
    frame_rate = sample_rate / settings.hop_length
    if not 0 < settings.max_modulation <= frame_rate / 2:
        raise DBNError(f"max_modulation is {settings.max_modulation} Hz; it must be positive and at most "
                       f"{frame_rate / 2:.4g} Hz, half of the frames a second (or take a smaller hop_length)")
    envelopes = band_envelopes(signal, sample_rate, settings)
    bounds = window_bounds(len(envelopes), frame_rate, settings.span, settings.span / 2)
    length = bounds[0][1]
    if length > settings.n_fft:
        raise DBNError(f"n_fft={settings.n_fft} is shorter than a span's {length} frames; take a longer n_fft or a "
                       "shorter span")
    taper = _taper(settings.envelope_window, length)
    spectra = [np.abs(rfft(envelopes[start:stop].T * taper, settings.n_fft)) for start, stop in bounds]
    n_modulations = 1 + int(settings.max_modulation * settings.n_fft / frame_rate + 1e-9)
    frequencies = np.arange(n_modulations) * (frame_rate / settings.n_fft)
    return frequencies, np.mean(spectra, axis=0)[:, :n_modulations] / taper.sum()


def band_envelopes(signal, sample_rate=22050, settings=DEFAULTS):
    """Energy of each broad band in each frame.

    Parameters
    ----------
    signal, sample_rate, settings
        As for :func:`mim_features`.

    Returns
    -------
    float64, [n_frames, n_bands]
        From the lowest band to the highest. The mel filters peak at 1, so that the bands add up to the spectrum's
        energy (but for its ends, where only one filter reaches).

    Raises
    ------
    DBNError
        As for :func:`mim_features`.
    """
    require_integer("n_bands", settings.n_bands, minimum=1)
    filters = mel_filterbank(sample_rate, settings.frame_length, settings.n_mels, settings.f_min, settings.f_max,
                             settings.mel_scale, filter_norm=None)
    if settings.n_bands > settings.n_mels:
        raise DBNError(f"n_bands={settings.n_bands} cannot come from n_mels={settings.n_mels}; take n_bands <= n_mels")
    bands = np.array([group.sum(axis=0) for group in np.array_split(filters, settings.n_bands)])
    magnitudes = dft_magnitudes(signal, settings.frame_length, settings.hop_length, settings.window)
    return np.square(magnitudes, dtype=np.float64) @ bands.T


def _taper(window, length):
    """The envelope window's samples, float64 [length]."""
    try:
        return get_window(window, length)
    except (ValueError, TypeError) as error:
        raise DBNError(f"envelope_window is {window!r}, which scipy.signal.get_window refuses ({error}); choose for "
                       "example 'hann' or 'boxcar'") from error
