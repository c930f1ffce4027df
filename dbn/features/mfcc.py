"""Mel-frequency cepstral coefficients, the features that the paper compares its own with (§5.1).

The paper names MFCCs and gives none of their parameters; here each is an argument. In order:

    power spectrum -> mel bands -> logarithm -> DCT-II, of which the first few coefficients are kept.

Frames are those of the network's own inputs (:func:`dbn.audio.frame_signal`: nothing is padded), so that MFCCs and
activations describe the same stretches of audio one to one.

References
----------
S. B. Davis and P. Mermelstein, "Comparison of parametric representations for monosyllabic word recognition in
continuously spoken sentences", IEEE TASSP 28, 1980.
"""
import numpy as np
from scipy.fft import dct, rfft
from scipy.signal import get_window, savgol_filter

from dbn.audio.spectra import frame_signal
from dbn.errors import DBNError, require_integer

DELTA_FRAMES = 9  # a delta is a slope over so many neighbours: 0.2 s at the paper's hop

BLOCK_FRAMES = 512  # frames transformed at once: 8 MB of complex spectrum at 1,024 samples

# Slaney's scale: linear up to 1 kHz at 3 mel every 200 Hz, from there 27 mel for every factor of 6.4
_SLANEY_BREAK_HZ = 1000.0
_SLANEY_MEL_PER_HZ = 3 / 200
_SLANEY_BREAK_MEL = _SLANEY_BREAK_HZ * _SLANEY_MEL_PER_HZ
_SLANEY_MEL_PER_LOG = 27 / np.log(6.4)


def hz_to_mel(frequency, scale="slaney"):
    """Frequency on the mel scale.

    Parameters
    ----------
    frequency : float or array_like
        In Hz, not negative.
    scale : {"slaney", "htk"}
        ``"htk"``: 2595 log10(1 + f / 700). ``"slaney"`` (Auditory Toolbox): linear below 1 kHz, logarithmic above.

    Returns
    -------
    float64 scalar or array of the same shape
    """
    frequency = np.asarray(frequency, dtype=np.float64)
    if scale == "htk":
        return 2595.0 * np.log10(1.0 + frequency / 700.0)
    above = np.log(np.maximum(frequency, _SLANEY_BREAK_HZ) / _SLANEY_BREAK_HZ) * _SLANEY_MEL_PER_LOG
    return np.where(frequency < _SLANEY_BREAK_HZ, frequency * _SLANEY_MEL_PER_HZ, _SLANEY_BREAK_MEL + above)


def mel_to_hz(mel, scale="slaney"):
    """Frequency in Hz of a point on the mel scale, the inverse of :func:`hz_to_mel`."""
    mel = np.asarray(mel, dtype=np.float64)
    if scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    above = _SLANEY_BREAK_HZ * np.exp(np.maximum(mel - _SLANEY_BREAK_MEL, 0.0) / _SLANEY_MEL_PER_LOG)
    return np.where(mel < _SLANEY_BREAK_MEL, mel / _SLANEY_MEL_PER_HZ, above)


def mel_filterbank(sample_rate=22050, frame_length=1024, n_mels=40, f_min=0.0, f_max=11025.0, mel_scale="slaney",
                   filter_norm="slaney"):
    """Triangular filters, equally spaced and half overlapping on the mel scale.

    Parameters
    ----------
    sample_rate : float
        Samples a second.
    frame_length : int
        Samples a frame, the length of the DFT.
    n_mels : int
        Number of filters.
    f_min, f_max : float
        Lower edge of the first filter and upper edge of the last, in Hz.
    mel_scale : {"slaney", "htk"}
        Formula of the mel scale (:func:`hz_to_mel`).
    filter_norm : {"slaney", None}
        ``"slaney"``: each triangle has area 1 in Hz; None: each peaks at 1.

    Returns
    -------
    float64, [n_mels, frame_length // 2 + 1]
        A filter's weight for every bin of the spectrum.

    Raises
    ------
    DBNError
        A filter so narrow that it holds no bin of the spectrum, or parameters out of range.
    """
    require_integer("frame_length", frame_length, minimum=2)
    require_integer("n_mels", n_mels, minimum=1)
    _require(
        (0 <= f_min < f_max <= sample_rate / 2,
         f"f_min={f_min} and f_max={f_max} must satisfy 0 <= f_min < f_max <= {sample_rate / 2} Hz, half the sample "
         "rate"),
        (mel_scale in ("slaney", "htk"), f"mel_scale is {mel_scale!r}; choose 'slaney' or 'htk'"),
        (filter_norm in ("slaney", None), f"filter_norm is {filter_norm!r}; choose 'slaney' or None"))
    _require((n_mels <= frame_length, f"n_mels is {n_mels}: so many mel filters hold no DFT bin each of {frame_length} "
                                      "samples; take a smaller n_mels or a longer frame_length"))
    bins = np.arange(frame_length // 2 + 1) * (sample_rate / frame_length)
    edges = mel_to_hz(np.linspace(hz_to_mel(f_min, mel_scale), hz_to_mel(f_max, mel_scale), n_mels + 2), mel_scale)
    lower, peak, upper = (edges[i:i + n_mels, None] for i in range(3))
    filters = np.maximum(0.0, np.minimum((bins - lower) / (peak - lower), (upper - bins) / (upper - peak)))
    empty = np.flatnonzero(~filters.any(axis=1))
    if empty.size:
        first = empty[0]
        raise DBNError(f"mel filter {first} of {n_mels} ({lower[first, 0]:.1f}-{upper[first, 0]:.1f} Hz) holds no "
                       f"DFT bin (one every {sample_rate / frame_length:.1f} Hz): take a smaller n_mels or a longer "
                       "frame_length")
    if filter_norm == "slaney":
        filters *= 2.0 / (upper - lower)
    return filters


def mfcc(signal, sample_rate=22050, frame_length=1024, hop_length=512, window="hann", n_mels=40, f_min=0.0,
         f_max=11025.0, n_mfcc=20, mel_scale="slaney", filter_norm="slaney", log_floor=1e-10):
    """Mel-frequency cepstral coefficients of a signal (§5.1).

    Parameters
    ----------
    signal : float array, [n_samples]
        Mono audio, full scale ±1.
    sample_rate : float
        Samples a second.
    frame_length, hop_length : int
        Samples a frame, and from one frame's start to the next.
    window : str, tuple or None
        A window that :func:`scipy.signal.get_window` knows (periodic); None for a rectangular one.
    n_mels, f_min, f_max, mel_scale, filter_norm
        The filters: see :func:`mel_filterbank`.
    n_mfcc : int
        Coefficients kept, counted from the zeroth (the level), at most `n_mels`.
    log_floor : float
        Band powers below are raised to it, so that silence has a finite logarithm.

    Returns
    -------
    float32, [n_frames, n_mfcc]
        Orthonormal DCT-II of the natural logarithm of the band powers;
        n_frames = 1 + (n_samples - frame_length) // hop_length.

    Raises
    ------
    DBNError
        A parameter out of range, or a signal that is not mono, not finite or shorter than a frame.

    Notes
    -----
    The spectrum is computed in float64: in float32 the rounding noise of a loud frame lies above `log_floor` and would
    stand in for its quietest bands.
    """
    require_integer("n_mfcc", n_mfcc, minimum=1)
    _require(
        (n_mfcc <= n_mels, f"n_mfcc={n_mfcc} coefficients cannot come from n_mels={n_mels}; take n_mfcc <= n_mels"),
        (log_floor > 0, f"log_floor is {log_floor}; it must be positive"))
    filters = mel_filterbank(sample_rate, frame_length, n_mels, f_min, f_max, mel_scale, filter_norm)
    taper = _taper(window, frame_length)
    frames = frame_signal(signal, frame_length, hop_length)
    _require((np.isfinite(signal).all(), "the signal holds NaN or infinite samples"))
    coefficients = np.empty((len(frames), n_mfcc), dtype=np.float32)
    for start in range(0, len(frames), BLOCK_FRAMES):
        spectrum = rfft(frames[start:start + BLOCK_FRAMES] * taper)
        bands = (spectrum.real ** 2 + spectrum.imag ** 2) @ filters.T
        log_bands = np.log(np.maximum(bands, log_floor))
        coefficients[start:start + BLOCK_FRAMES] = dct(log_bands, type=2, norm="ortho")[:, :n_mfcc]
    return coefficients


def deltas(features):
    """How features change over time: in each frame the slope of the line through `DELTA_FRAMES` neighbouring ones.

    Parameters
    ----------
    features : float array, [n_frames, d]
        One frame at least; before the first and after the last one, those are taken to stay.

    Returns
    -------
    float32, [n_frames, d]
        Per frame.
    """
    slopes = savgol_filter(np.asarray(features, dtype=np.float64), DELTA_FRAMES, polyorder=1, deriv=1, axis=0,
                           mode="nearest")
    return slopes.astype(np.float32)


def _require(*conditions):
    """Raise DBNError with the message of the first (condition, message) that does not hold."""
    for holds, message in conditions:
        if not holds:
            raise DBNError(message)


def _taper(window, frame_length):
    """The window's float64 samples, [frame_length]."""
    try:
        return get_window("boxcar" if window is None else window, frame_length)
    except (ValueError, TypeError) as error:
        raise DBNError(f"window is {window!r}, which scipy.signal.get_window refuses ({error}); choose for example "
                       "'hann', 'hamming' or None") from error
