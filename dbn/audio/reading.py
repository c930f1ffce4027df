"""From an audio file to a mono signal of one sample rate (paper §4.1), in any format that libsndfile reads.

Signals are one-dimensional float32 arrays, of integer formats in [-1, 1).
"""
import math
import os
import re
from contextlib import contextmanager

import numpy as np
import soundfile

from dbn.audio.containers import mp3_goes_on, ogg_is_chained, ogg_is_complete
from dbn.audio.spectra import FRAME_LENGTH, HIGHEST_RATE, SAMPLE_RATE, all_finite
from dbn.errors import AudioError, require_integer

# A file that ends up to this many samples early is used as it is: at most its last frames are lost, and headers that
# count a few bytes too many (their own length, a padding) are common in old AU and WAV files.
TOLERATED_SHORTFALL = FRAME_LENGTH

# What is read. Outside these a header is damaged rather than unusual, and what it asks for would not fit into memory.
_RATES = (1000, HIGHEST_RATE)
_MOST_CHANNELS = 64
_MOST_HOURS = 24

# Samples of all channels that are decoded at once, 17 MB: a corpus's clip as a whole.
_MOST_DECODED = 2**22

# Lengths that mean "unknown": what programs write that could not go back to the header.
_UNKNOWN_BYTES = 0x7FFFF000

# How libsndfile's log tells that a header's count of bytes is wrong: in WAV, AU, AIFF, W64 and RF64 files.
_CORRECTED_LENGTH = r"^ *(?:data|Data Size|SSND|riff|Riff size) *: (\d+) \(should be (\d+)\)"

# No codec makes so few bytes of a second of music. Such a file is silent for most of the time, or its header lies.
_FEWEST_BYTES_A_SECOND = 1000


def load_audio(path, sample_rate=SAMPLE_RATE, min_length=FRAME_LENGTH):
    """Read an audio file as one channel at one sample rate.

    Channels are averaged. Another rate is converted by a polyphase filter (:func:`scipy.signal.resample_poly`), which
    turns n samples into ``ceil(n * sample_rate / file_rate)``. A file that promises up to 1,024 samples more than it
    holds is accepted; one that lacks more is refused as truncated. (A cut is not noticed in an MP3 file whose header
    gives no length.) Up to 64 channels, 24 hours and 768,000 Hz are read.

    Parameters
    ----------
    path : str or path-like
        Any format that libsndfile reads: WAV, AU, AIFF, FLAC, OGG, MP3, ...
    sample_rate : int
        Rate of the result in Hz.
    min_length : int
        Fewest samples that the result may have; the default is one frame.

    Returns
    -------
    signal : ndarray of float32 [shape=(n,)]
        Integer formats are scaled to [-1, 1).

    Raises
    ------
    AudioError
        The file is missing, unreadable, no audio, empty, truncated, too short or silent, or holds NaN or infinite
        samples.
    """
    require_integer("sample_rate", sample_rate, 1, HIGHEST_RATE)
    [(signal, file_rate)] = mono_blocks(path)
    signal = _resample(signal, file_rate, sample_rate)
    require_length(path, len(signal), sample_rate, min_length)
    return signal


def mono_blocks(path, seconds=None):
    """Read an audio file from its start to its end, channels averaged, with the checks of :func:`load_audio`.

    What only the end of a file tells (truncated, silent) is raised after the last block.

    Parameters
    ----------
    path : str or path-like
    seconds : float or None
        Length of a block; None reads the file as one.

    Yields
    ------
    signal : ndarray of float32 [shape=(n,)]
        The next samples, as many as there are in so many seconds; the last block may be shorter, none is empty.
    rate : int
        The file's own sample rate in Hz.

    Raises
    ------
    AudioError
        See :func:`load_audio`; whether the signal is long enough is left to the caller.
    """
    _require_readable_file(path)
    first, is_silent, n = None, True, 0
    try:
        with _opened(path) as file:
            _check_header(path, file)
            promised, container, rate = _promised_frames(file), file.format, file.samplerate
            size = math.inf if seconds is None else max(1, round(seconds * rate))
            more = True
            while more:
                signal = _read_mono(file, size)
                more = len(signal) == size
                if len(signal):
                    if not all_finite(signal):
                        raise AudioError(path, "it holds NaN or infinite samples; write it again with finite ones")
                    first = signal[0] if first is None else first
                    # most recordings need not be looked at any further than this
                    is_silent = is_silent and (signal[:1024] == first).all() and (signal == first).all()
                    n += len(signal)
                    yield signal, rate
    except (soundfile.SoundFileError, OSError) as error:
        detail = getattr(error, "error_string", str(error))
        raise AudioError(path, f"cannot be decoded: damaged, truncated, or of another format, as M4A is ({detail}); "
                               "convert it: ffmpeg -i FILE out.flac") from None
    _check_end(path, container, promised, n)
    if is_silent:
        raise AudioError(path, "it is silent: every sample has the same value")


def require_length(path, n, sample_rate, min_length):
    """Raise an :class:`AudioError` if a file's `n` samples at `sample_rate` Hz are fewer than `min_length`."""
    if n < min_length:
        raise AudioError(path, f"too short: {n} samples at {sample_rate} Hz, {min_length} are needed")


def expected_length(path, sample_rate=SAMPLE_RATE):
    """Most samples that :func:`load_audio` can return, from the header alone; 0 if the header is refused already."""
    try:
        _require_readable_file(path)
        with _opened(path) as file:
            _check_header(path, file)
            return -(-file.frames * sample_rate // file.samplerate)
    except (soundfile.SoundFileError, OSError, AudioError):
        return 0


@contextmanager
def _opened(path):
    """The file as libsndfile opens it, by what is in it and not by its name."""
    if os.fsencode(path).lower().endswith(b".raw"):  # soundfile would ask for the rate of samples without a header
        with open(path, "rb") as plain, soundfile.SoundFile(plain.fileno(), closefd=False) as file:
            yield file
    else:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            yield file


def _read_mono(file, size):
    """The next `size` samples of an open SoundFile, or all that are left, channels averaged: float32 [n]."""
    parts, left, most = [], size, _MOST_DECODED // file.channels
    while left > 0:
        samples = _read_samples(file, min(left, most))
        parts.append(_mono(samples))
        left = left - len(samples) if len(samples) == most else 0
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _read_samples(file, size):
    """The next samples of an open SoundFile, float32 [shape=(n, channels)], as libsndfile scales them: to [-1, 1)."""
    if file.subtype == "PCM_16":  # the same numbers, in half the time
        samples = file.read(size, dtype="int16", always_2d=True)
        return np.multiply(samples, np.float32(2.0 ** -15), dtype=np.float32)
    return file.read(size, dtype="float32", always_2d=True)


def _mono(samples):
    """Average the channels of float32 [shape=(n, channels)]; not finite where a channel, or their sum, is not."""
    first, *others = samples.T
    with np.errstate(over="ignore", invalid="ignore"):
        # channel after channel: mean(axis=1) would loop over the channels of each sample, which takes 20 times as long
        return sum(others, first) / np.float32(samples.shape[1]) if others else first


def _check_end(path, container, promised, n):
    """Refuse a file of which `n` samples could be read, if its header promised more or its end is missing."""
    if container == "OGG" and not ogg_is_complete(path):
        raise AudioError(path, "truncated: its last Ogg page is missing")
    if promised - n > TOLERATED_SHORTFALL or promised > n == 0:
        raise AudioError(path, f"truncated: it holds {n} samples, fewer than its header promises")
    if not n:
        raise AudioError(path, "it holds no samples")


def _require_readable_file(path):
    """libsndfile says only "system error" or "format not recognised" to all of these."""
    if os.path.isdir(path):
        raise AudioError(path, "is a folder, not an audio file")
    if os.path.exists(path) and not os.path.isfile(path):
        raise AudioError(path, "is a pipe or a device, not an audio file")  # to open one may wait forever
    try:
        with open(path, "rb") as file:
            is_empty = not file.read(1)
    except FileNotFoundError:
        raise AudioError(path, "no such file") from None
    except OSError as error:
        raise AudioError(path, f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise AudioError(path, "no file can have this name") from None
    if is_empty:
        raise AudioError(path, "the file is empty")


def _check_header(path, file):
    """Refuse an open SoundFile that would ask for absurd amounts of memory or room, or of which a part is not read."""
    rate, channels, n = file.samplerate, file.channels, file.frames
    if not _RATES[0] <= rate <= _RATES[1]:
        raise AudioError(path, f"its sample rate is {rate} Hz, and {_RATES[0]:,} to {_RATES[1]:,} Hz are read: its "
                               "header is damaged, or convert it")
    if channels > _MOST_CHANNELS:
        raise AudioError(path, f"it has {channels} channels, and at most {_MOST_CHANNELS} are read; mix it down")
    if n > _MOST_HOURS * 3600 * HIGHEST_RATE:
        raise AudioError(path, "its header does not know its length, or is damaged; convert the file once more")
    if n > _MOST_HOURS * 3600 * rate:
        raise AudioError(path, f"its header promises {n / rate / 3600:,.0f} hours, and at most {_MOST_HOURS} are read; "
                               "cut it into parts")
    if n * _FEWEST_BYTES_A_SECOND > os.path.getsize(path) * rate and not _reaches(path, n - TOLERATED_SHORTFALL):
        raise AudioError(path, f"its header promises {n:,} samples, and the file ends before; convert it once more")
    if (file.format == "OGG" and ogg_is_chained(path)) or (file.format == "MP3" and mp3_goes_on(path)):
        raise AudioError(path, "several recordings follow one another in it, and only the first would be read; convert "
                               "it to one: ffmpeg -i FILE out.flac")


def _reaches(path, n):
    """Whether a file's first `n` samples are there; asked of the last of them alone."""
    try:
        with _opened(path) as file:
            file.seek(max(0, n - 1))
            return len(file.read(1)) == 1
    except soundfile.SoundFileError:
        return False


def _promised_frames(file):
    """Frames that the header of an open SoundFile promises.

    libsndfile silently corrects a header that promises more bytes than the file has (WAV, AU, AIFF, W64, RF64), and
    leaves a note of it in its log alone, for example ``data : 132300 (should be 79362)``.
    """
    note = re.search(_CORRECTED_LENGTH, file.extra_info, re.MULTILINE)
    if note is None:
        return file.frames
    promised, present = int(note[1]), int(note[2])
    if promised >= _UNKNOWN_BYTES or promised <= present:
        return file.frames
    return max(1, round(file.frames * promised / max(present, 1)))


def _resample(signal, from_rate, to_rate):
    if from_rate == to_rate:
        return signal
    from scipy.signal import resample_poly  # half a second to import, and the corpora are at 22,050 Hz already
    divisor = math.gcd(from_rate, to_rate)
    return resample_poly(signal, to_rate // divisor, from_rate // divisor)
