"""From a mono signal to the network's inputs: overlapping frames and their DFT magnitudes (paper §4.1).

The paper cuts 22,050 Hz audio into frames of 1,024 samples and feeds the absolute values of each frame's DFT, its 513
distinct values, to the network. Signals are one-dimensional float32 arrays; frames are rows.
"""
import numpy as np

from dbn.errors import DBNError, require_integer

SAMPLE_RATE = 22050
FRAME_LENGTH = 1024
HOP_LENGTH = 512

# Of frames of a whole recording, which are made in blocks of 512: a block of the longest takes 0.2 GB.
HIGHEST_RATE = 768_000
LONGEST_FRAME = LONGEST_HOP = 2**16

MOST_SIDELOBES = 100  # of a Taylor window: for each of them SciPy holds a frame

SPECTRUM_BLOCK = 128  # frames transformed at once: one block and its spectrum stay in the processor's cache


def frame_count(n, frame_length=FRAME_LENGTH, hop_length=HOP_LENGTH):
    """Number of whole frames in `n` samples; 0 if not one fits."""
    return max(0, 1 + (n - frame_length) // hop_length)


def frame_signal(signal, frame_length=FRAME_LENGTH, hop_length=HOP_LENGTH):
    """Cut a signal into overlapping frames without a copy; samples after the last whole frame are left out.

    Parameters
    ----------
    signal : ndarray [shape=(n,)]
        At least one frame long.
    frame_length, hop_length : int
        In samples.

    Returns
    -------
    frames : ndarray [shape=(1 + (n - frame_length) // hop_length, frame_length)]
        Read-only view of `signal`.

    Raises
    ------
    DBNError
        A length below 1, or a signal that is not one-dimensional or shorter than one frame.
    """
    require_integer("frame_length", frame_length, minimum=1)
    require_integer("hop_length", hop_length, minimum=1)
    signal = np.asarray(signal)
    if signal.ndim != 1:
        raise DBNError(f"signal must have one dimension (mono), but its shape is {signal.shape}")
    if len(signal) < frame_length:
        raise DBNError(f"signal has {len(signal)} samples, fewer than one frame of frame_length={frame_length}")
    return np.lib.stride_tricks.sliding_window_view(signal, frame_length)[::hop_length]


def dft_magnitudes(signal, frame_length=FRAME_LENGTH, hop_length=HOP_LENGTH, window=None):
    r"""Absolute values of each frame's DFT, :math:`|X_k| = |\sum_t w_t x_t e^{-2 \pi i k t / N}|` (paper §4.1).

    Linear, not normalised, computed in single precision. Bin k lies at ``k * sample_rate / frame_length`` Hz; the other
    half of the spectrum of a real signal mirrors these bins.

    Parameters
    ----------
    signal : array_like [shape=(n,)]
        Finite; at least one frame long.
    frame_length : int
        N in samples, at least 2.
    hop_length : int
        Samples from one frame's start to the next.
    window : None, str or tuple
        None leaves the frames as they are (rectangular); otherwise one of :func:`scipy.signal.get_window`: ``"hann"``.

    Returns
    -------
    magnitudes : ndarray of float32 [shape=(n_frames, frame_length // 2 + 1)]
        There is no padding: ``n_frames = 1 + (n - frame_length) // hop_length``.

    Raises
    ------
    DBNError
        An unusable signal, length or window.

    Examples
    --------
    >>> time = np.arange(2048) / 22050
    >>> magnitudes = dft_magnitudes(np.sin(2 * np.pi * 22050 / 1024 * 100 * time))
    >>> magnitudes.shape, int(magnitudes[0].argmax())
    ((3, 513), 100)
    """
    from scipy.fft import rfft  # as long to import as the rest of this library; not needed where the frames are there
    require_integer("frame_length", frame_length, minimum=2)
    signal = np.asarray(signal, dtype=np.float32)
    frames = frame_signal(signal, frame_length, hop_length)
    if not all_finite(signal):
        raise DBNError("signal holds NaN or infinite samples")
    taper = _window(window, frame_length)
    magnitudes = np.empty((len(frames), frame_length // 2 + 1), dtype=np.float32)
    for start in range(0, len(frames), SPECTRUM_BLOCK):
        block = slice(start, start + SPECTRUM_BLOCK)
        windowed = frames[block] if taper is None else frames[block] * taper
        np.abs(rfft(windowed), out=magnitudes[block])
    return magnitudes


def all_finite(signal):
    """Whether no sample is NaN or infinite: the sum of squares, which is quick, tells, if it does not overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.dot(signal, signal)) or np.isfinite(signal).all())


def _window(window, frame_length):
    """The window's float32 samples in its periodic form, the one meant for spectra; None for a rectangular one."""
    if window is None:
        return None
    from scipy.signal import get_window  # half a second to import, not needed by default
    try:
        if isinstance(window, (list, tuple)):
            window = tuple(window)  # which a store and a model, in JSON, hold as a list
            if str(window[0]).startswith("taylor") and max(window[1:2], default=0) > MOST_SIDELOBES:
                raise ValueError(f"it has more than {MOST_SIDELOBES} sidelobes")
        with np.errstate(all="ignore"):
            taper = get_window(window, frame_length).astype(np.float32)
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise DBNError(f"window={window!r} is not one that scipy.signal.get_window knows ({error})") from None
    if not np.isfinite(taper).all():
        raise DBNError(f"window={window!r} has values that are no finite numbers")
    return taper
