"""What the commands do with each recording: its frames' features block by block, their windows, and complaints."""
import os
import sys
from pathlib import Path

import numpy as np

from dbn.audio.pooling import frame_rate, pool_blocks
from dbn.audio.streaming import stream_magnitudes
from dbn.cli.output import Progress
from dbn.errors import AudioError, DBNError
from dbn.system.blas import one_blas_thread
from dbn.system.standard_streams import is_standard_stream
from dbn.trained.forward import require_finite


def for_each(inputs, problems, work, description):
    """Call `work(source, progress)` for each recording; the exit status: 0, or 1 if some could not be used."""
    # the products are too small for several threads: a second one doubles the processor's work and saves no time
    with Progress(inputs, description) as progress, one_blas_thread:
        for problem in problems:
            progress.complain(problem)
        for source in inputs:
            try:
                work(source, progress)
            except AudioError as error:
                progress.complain(AudioError(source.name, error.reason))
            progress.end_file(source)
    if progress.n_failed:
        print(f"dbn: {progress.n_failed} of {len(inputs) + len(problems)} files failed", file=sys.stderr)
    return 1 if progress.n_failed else 0


def outputs(model, path, stream, progress=None):
    """What `stream` makes of the blocks of frames of the recording in a file, block by block: float32 [m, d]."""
    settings, n_frames = dict(model.frame_settings), 0
    pooling = settings.pop("pooling", None)

    def magnitudes():
        for frames in stream_magnitudes(path, **settings):
            if progress is not None:
                progress.advance(len(frames), frame_rate(settings))
            yield frames

    def blocks():
        nonlocal n_frames
        for frames in pool_blocks(magnitudes(), pooling):
            n_frames += len(frames)
            yield frames
        if n_frames < model.min_frames:
            raise AudioError(path, f"has {n_frames} frames, and the network takes {model.min_frames} at least")

    rows_of = stream(blocks())
    while True:
        with np.errstate(over="ignore", invalid="ignore"):
            rows = next(rows_of, None)
        if rows is None:
            return
        require_finite(rows, path)
        yield rows


def windows_of(statistics, blocks):
    """What a :class:`dbn.features.aggregate.WindowStatistics` makes of blocks of rows: float32 [m, 2 d] each."""
    for block in blocks:
        yield statistics.add(block)
    short = statistics.finish()
    if short is not None:
        yield short


def require_folder(path):
    """Refuse a file or folder to write whose own folder is not there."""
    folder = Path(path).parent
    if not folder.is_dir():
        raise DBNError(f"{path}: cannot be written: there is no folder {folder}; make it first")


def check_output(path, options, inputs):
    """Refuse to write over the model, a recording, a folder, a device or what standard output is connected to."""
    if path is None or not os.path.exists(path):
        return
    if not os.path.isfile(path):
        raise DBNError(f"{path}: is a folder, a pipe or a device; give the name of a file")
    for read in (options.model, *(source.path for source in inputs)):
        if os.path.exists(read) and os.path.samefile(read, path):
            raise DBNError(f"{path}: is read by this command; write to another file")
    if is_standard_stream(path):
        raise DBNError(f"{path}: standard input, output or error of this command is connected to it; leave -o out, or "
                       "give another file")
