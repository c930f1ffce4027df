"""A corpus's frames written to one file by several processes at once.

The headers tell how many frames every song will have, so each song owns a slot of the file before any is decoded, and
every process writes its songs where they belong, block by block: no frames travel between processes, few are in memory
in each, and the file is the same for any number of them. Songs that turn out shorter or unusable leave gaps, which are
closed in place.
"""
import os
import shutil

import numpy as np

from dbn.audio.pooling import pooled_frames, pooled_width
from dbn.audio.reading import expected_length
from dbn.audio.spectra import HIGHEST_RATE, LONGEST_FRAME, LONGEST_HOP, dft_magnitudes, frame_count
from dbn.audio.streaming import stream_magnitudes
from dbn.errors import AudioError, require_integer
from dbn.system.files import disk_errors, flush_to_disk, npy_header
from dbn.system.progress import progress_bar
from dbn.system.workers import in_parallel

_COPY_BYTES = 2**24


def checked_settings(sample_rate, frame_length, hop_length, window, pooling=None):
    """What is wrong with the options is wrong for every song: find it out before the first.

    Returns
    -------
    dict
        Of the options; without ``pooling`` where frames are not pooled.
    """
    require_integer("sample_rate", sample_rate, 1, HIGHEST_RATE)
    require_integer("frame_length", frame_length, 2, LONGEST_FRAME)
    require_integer("hop_length", hop_length, 1, LONGEST_HOP)
    dft_magnitudes(np.zeros(frame_length), frame_length, hop_length, window)
    settings = {"sample_rate": int(sample_rate), "frame_length": int(frame_length), "hop_length": int(hop_length),
                "window": window}
    pooled_frames(pooling)
    return settings if pooling is None else settings | {"pooling": pooling}


def n_columns(settings):
    """Values of a row of frames of these settings."""
    return pooled_width(settings.get("pooling"), settings["frame_length"] // 2 + 1)


def extract_frames(files, target, settings, jobs=1, progress=True):
    """Write the DFT magnitudes of audio files, one after another, to a new ``.npy`` file.

    Parameters
    ----------
    files : list of path
    target : path
        Written to as the work goes on, so the caller must hide it until it is complete.
    settings : dict
        See :func:`checked_settings`.
    jobs : int or None
        Processes, counted as joblib does: None is 1, -1 is one a core. There are no more than cores or files.
    progress : bool
        Whether to show a progress bar where standard error is a terminal.

    Returns
    -------
    counts : list of int
        Frames of each file.
    reasons : list of (str or None)
        Why a file has none.

    Raises
    ------
    DBNError
        The disk is full or cannot be written.
    """
    width = n_columns(settings)
    slots = [_expected_frames(file, settings) for file in files]
    starts = np.cumsum([0] + slots).tolist()
    layout = _Layout(len(npy_header(starts[-1], width)), 4 * width)
    with disk_errors(target, layout.position(starts[-1])):
        longest, its_rows = max(zip(files, slots), key=lambda each: each[1], default=("none", 0))
        _reserve(target, layout.position(starts[-1]), f"{longest} alone asks for {its_rows * layout.row_bytes:,}")
        counts, reasons = [], []
        for count, reason in _of_all(jobs, progress, _write_song, [
                (file, target, layout.position(start), slot, settings)
                for file, start, slot in zip(files, starts, slots)]):
            counts.append(count)
            reasons.append(reason)
        _close_gaps(target, layout, starts, counts)
        with open(target, "r+b") as file:
            file.write(npy_header(sum(counts), width))
        flush_to_disk(target)
    return counts, reasons


class _Layout:
    """Where rows lie in the file."""

    def __init__(self, header_bytes, row_bytes):
        self.header_bytes = header_bytes
        self.row_bytes = row_bytes

    def position(self, row):
        return self.header_bytes + row * self.row_bytes


def _expected_frames(file, settings):
    n = frame_count(expected_length(file, settings["sample_rate"]), settings["frame_length"], settings["hop_length"])
    return -(-n // pooled_frames(settings.get("pooling")))


def _reserve(target, n_bytes, largest):
    free = shutil.disk_usage(os.path.dirname(target)).free
    if free < n_bytes:
        raise OSError(f"only {free:,} bytes are free; {largest}")
    with open(target, "wb") as file:
        file.truncate(n_bytes)


def _of_all(jobs, progress, function, arguments):
    """What :func:`in_parallel` gives, with a progress bar; there are no more jobs than cores or calls."""
    from joblib import effective_n_jobs  # not for the command line, which asks this module for its checks alone
    jobs = min(effective_n_jobs(jobs), effective_n_jobs(-1), max(1, len(arguments)))
    results = in_parallel(function, arguments, jobs)
    return progress_bar("frames", results, progress, total=len(arguments), unit="song")


def _write_song(file, target, position, slot, settings):
    """Runs in a worker: put one file's frames into its slot, return their number and the reason if there are none."""
    n_frames = 0
    try:
        with open(target, "r+b", buffering=0) as output:
            output.seek(position)
            for magnitudes in stream_magnitudes(file, **settings):
                n_frames += len(magnitudes)
                if n_frames > slot:
                    raise AudioError(file, "it changed while it was read")
                _write(output, magnitudes.data.cast("B"))
                _begin_flush(output.fileno(), magnitudes.nbytes, position)
                position += magnitudes.nbytes
    except AudioError as error:  # what is in the slot by now counts as a gap
        return 0, error.reason
    return n_frames, None


def _write(file, data):
    while data:  # one call on an unbuffered file writes 2 GiB at most
        data = data[file.write(data):]


def _begin_flush(descriptor, n_bytes, position):
    """Have what was just written brought to the disk while the next frames are computed, without a wait for it.

    Otherwise all of it would lie in memory until the end, and the processors then wait for the disk. The advice, to
    forget what is there, has Linux begin to write what is not on the disk yet, which therefore stays.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, position, n_bytes, os.POSIX_FADV_DONTNEED)


def _close_gaps(target, layout, starts, counts):
    """Move each song's rows towards the file's start, to the end of the song before, and cut the rest off."""
    n_rows, at_once = 0, max(1, _COPY_BYTES // layout.row_bytes)
    with open(target, "r+b") as file:
        for start, count in zip(starts, counts):
            for row in range(0, count if start > n_rows else 0, at_once):
                file.seek(layout.position(start + row))
                data = file.read(min(at_once, count - row) * layout.row_bytes)
                file.seek(layout.position(n_rows + row))
                file.write(data)
            n_rows += count
        file.truncate(layout.position(n_rows))
