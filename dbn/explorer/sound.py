"""The sound of a page: MP3 inside it, or a link to the file.

MP3 and not Ogg Vorbis: every browser plays it, it is smaller at the lowest rate, and libsndfile draws a random number
for each Ogg file, so that the same sound would not give the same page.
"""
import base64
import io
import os
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
import soundfile

from dbn.audio.spectra import SAMPLE_RATE
from dbn.errors import DBNError

CLIP_SECONDS = 2.0  # what is heard of a frame: as much before its middle as after it

# of file names whose sound all of today's browsers play
PLAYABLE = {".flac", ".mp3", ".ogg", ".oga", ".opus", ".wav", ".wave"}

_QUALITY = 0.9  # libsndfile's level of compression, of 0 to 1: 28 kbit/s for music at 22,050 Hz


@dataclass(frozen=True)
class Sound:
    """Where the page finds a song's sound.

    Attributes
    ----------
    url : str
        Of the file, or the sound itself as a ``data:`` URL.
    parts : list of (float, float) or None
        Seconds of the song, (start, stop), that follow one another in the sound; None is the whole song.
    """

    url: str
    parts: list | None = None


def linked(path, folder):
    """The :class:`Sound` of a file that stays where it is.

    Parameters
    ----------
    path : path-like
    folder : path-like
        The page's; the link is relative to it, so that both can move together.
    """
    try:
        relative = os.path.relpath(os.path.abspath(path), os.path.abspath(folder))
    except ValueError:  # on Windows, on another drive
        return Sound("file:///" + quote(os.fsencode(os.path.abspath(path).replace(os.sep, "/")), safe="/:"))
    return Sound(quote(os.fsencode(relative.replace(os.sep, "/"))))


def embedded(signal, parts=None):
    """The :class:`Sound` of a signal, inside the page.

    Parameters
    ----------
    signal : float32 [n]
        At 22,050 Hz; what is beyond full scale is clipped.
    parts : list of (float, float), optional
        Seconds (start, stop) of it to take; all by default.

    Raises
    ------
    DBNError
        This libsndfile writes no MP3.
    """
    if parts is not None:
        bounds = [(round(start * SAMPLE_RATE), round(stop * SAMPLE_RATE)) for start, stop in parts]
        signal = np.concatenate([signal[start:stop] for start, stop in bounds])
    return Sound("data:audio/mpeg;base64," + base64.b64encode(_mp3(signal)).decode(), parts)


def require_mp3():
    """Raise a :class:`DBNError` where sound cannot be embedded."""
    if "MP3" not in soundfile.available_formats():
        raise DBNError("--embed: this libsndfile writes no MP3; install the wheel of soundfile, or libsndfile 1.1 or "
                       "newer")


def parts_around(times, length):
    """The seconds of a song that are heard of its frames, put together where they overlap.

    Parameters
    ----------
    times : float array [n]
        Middles of frames, in seconds.
    length : float
        Of the song, in seconds.

    Returns
    -------
    list of (float, float)
        (start, stop), in order.
    """
    parts = []
    for time in sorted(times):
        start, stop = max(0.0, time - CLIP_SECONDS / 2), min(length, time + CLIP_SECONDS / 2)
        if parts and start <= parts[-1][1]:
            parts[-1] = (parts[-1][0], stop)
        else:
            parts.append((start, stop))
    return parts


def _mp3(signal):
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", SAMPLE_RATE, 1, "MPEG_LAYER_III", format="MP3", bitrate_mode="VARIABLE",
                             compression_level=_QUALITY) as mp3:
        mp3.write(np.clip(signal, -1, 1))
    return file.getvalue()
