"""From an audio file to a mono signal of one sample rate (paper §4.1), in any format that libsndfile reads.

Signals are one-dimensional float32 arrays, of integer formats in [-1, 1).
"""
import math
import os
import re

import numpy as np
import soundfile

from dbn.audio.spectra import FRAME_LENGTH, SAMPLE_RATE, all_finite
from dbn.errors import AudioError, require_integer

# A file that ends up to this many samples early is used as it is: at most its last frames are lost, and headers that
# count a few bytes too many (their own length, a padding) are common in old AU and WAV files.
TOLERATED_SHORTFALL = FRAME_LENGTH

# Outside these a header is damaged rather than unusual, and its resampling filter would not fit into memory.
_PLAUSIBLE_RATES = (1000, 768000)

# Lengths that mean "unknown": what programs write that could not go back to the header.
_UNKNOWN_BYTES = 0x7FFFF000

# How libsndfile's log tells that a header's count of bytes is wrong: in WAV, AU, AIFF, W64 and RF64 files.
_CORRECTED_LENGTH = r"^ *(?:data|Data Size|SSND|riff|Riff size) *: (\d+) \(should be (\d+)\)"

# A header that promises more samples a byte than any codec reaches (6 kbit/s at 48 kHz is 64) is damaged, or was
# written before the end was known (FLAC through a pipe).
_MOST_SAMPLES_PER_BYTE = 100


def load_audio(path, sample_rate=SAMPLE_RATE, min_length=FRAME_LENGTH):
    """Read an audio file as one channel at one sample rate.

    Channels are averaged. Another rate is converted by a polyphase filter (:func:`scipy.signal.resample_poly`), which
    turns n samples into ``ceil(n * sample_rate / file_rate)``. A file that promises up to 1,024 samples more than it
    holds is accepted; one that lacks more is refused as truncated. (A cut is not noticed in an MP3 file whose header
    gives no length.)

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
    require_integer("sample_rate", sample_rate, minimum=1)
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
        with soundfile.SoundFile(os.fsencode(path)) as file:
            _check_header(path, file)
            promised, container, rate = _promised_frames(file), file.format, file.samplerate
            size = -1 if seconds is None else max(1, round(seconds * rate))
            more = True
            while more:
                samples = _read_samples(file, size)
                more = len(samples) == size
                if len(samples):
                    signal = _mono(samples)
                    if not all_finite(signal):
                        raise AudioError(path, "it holds NaN or infinite samples; write it again with finite ones")
                    first = signal[0] if first is None else first
                    # most recordings need not be looked at any further than this
                    is_silent = is_silent and (signal[:1024] == first).all() and (signal == first).all()
                    n += len(signal)
                    yield signal, rate
    except (soundfile.SoundFileError, OSError) as error:
        detail = getattr(error, "error_string", str(error))
        raise AudioError(path, f"cannot be decoded: damaged, truncated or no audio ({detail})") from None
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
        with soundfile.SoundFile(os.fsencode(path)) as file:
            _check_header(path, file)
            return -(-file.frames * sample_rate // file.samplerate)
    except (soundfile.SoundFileError, OSError, AudioError):
        return 0


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
    if container == "OGG" and not _ogg_is_complete(path):
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
    """Refuse an open SoundFile whose header would ask for absurd amounts of memory."""
    if not _PLAUSIBLE_RATES[0] <= file.samplerate <= _PLAUSIBLE_RATES[1]:
        raise AudioError(path, f"its header claims a sample rate of {file.samplerate} Hz: damaged")
    if file.frames > _MOST_SAMPLES_PER_BYTE * os.path.getsize(path):
        raise AudioError(path, "its header does not know its length, or is damaged; convert the file once more")


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


def _ogg_is_complete(path):
    """Whether an Ogg file ends with a whole page marked as the stream's last one; libsndfile does not mind if not."""
    longest_page = 27 + 255 + 255 * 255
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - 2 * longest_page))
        tail = file.read()
    start = tail.rfind(b"OggS")
    header = tail[start:start + 27]
    if start < 0 or len(header) < 27:
        return False
    ends_stream, n_segments = header[5] & 4, header[26]
    segments = tail[start + 27:start + 27 + n_segments]
    page_length = 27 + n_segments + sum(segments)
    return bool(ends_stream) and len(segments) == n_segments and start + page_length <= len(tail)


def _resample(signal, from_rate, to_rate):
    if from_rate == to_rate:
        return signal
    from scipy.signal import resample_poly  # half a second to import, and the corpora are at 22,050 Hz already
    divisor = math.gcd(from_rate, to_rate)
    return resample_poly(signal, to_rate // divisor, from_rate // divisor)
