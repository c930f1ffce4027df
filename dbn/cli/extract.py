"""``dbn extract``: chosen layers' activations (§4.1), a frame a row or their statistics over windows (§5.1.2).

Recordings are worked on by several processes, each into a part of its own in ``<output>.work/``. The same command goes
on from there after a kill. What is written of the parts does not depend on the number of processes.
"""
import argparse
import hashlib
import json
import os
import sys
from dataclasses import astuple, dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path, PurePosixPath

import numpy as np

from dbn.audio.pooling import frame_rate
from dbn.cli.feature_file import INDEX, Features, files_of, part_length, write_folder, writer_of
from dbn.cli.inputs import open_inputs, open_model
from dbn.cli.options import checked_jobs, output_name, require_jobs
from dbn.cli.recordings import check_output, for_each, outputs, require_folder, windows_of
from dbn.cli.work_folder import WorkFolder
from dbn.datasets.folder import printable
from dbn.errors import AudioError, DBNError
from dbn.features.aggregate import WindowStatistics
from dbn.system.files import disk_errors, file_stamp, npy_header, sole_writer
from dbn.system.workers import in_parallel
from dbn.trained.model import model_path

FORMAT = 1  # raised whenever the same recording and options would give other rows

_LONGEST = 86_400  # seconds, as long as a recording may be
_SECONDS_A_TASK, _FILES_A_TASK = 300, 64  # of a worker, which it is given and says to be done at once
_SECONDS_A_PROCESS = 1200  # of audio: it takes as long to start a process


def add_extract_options(parser):
    """Add the options of ``dbn extract``, but for its files, to its parser."""
    parser.add_argument("-o", "--output", type=output_name, metavar="OUT", required=True,
                        help="the file to write: .npz, .npy or .csv; with --one-file-each a folder")
    parser.add_argument("--one-file-each", action="store_true",
                        help="a .npy for each recording, in the folder OUT, and an index.json")
    parser.add_argument("--layers", default="all", help='numbers of hidden layers, as "1,3", from the bottom; '
                                                        "default: all")
    parser.add_argument("--window", type=_seconds, metavar="SECONDS",
                        help="mean and variance over windows of this length (the paper's: 5) in place of frames")
    parser.add_argument("--hop", type=_seconds, metavar="SECONDS",
                        help="from one window's start to the next; default: half a window")
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 is one a core (default)")
    parser.set_defaults(run=run_extract)


def _seconds(text):
    value = float(text)
    if not 0 < value <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text} is no length of a window; give seconds, more than 0 and at most "
                                         f"{_LONGEST:,}")
    return value


_seconds.__name__ = "seconds"  # as argparse calls it where it is no number


@dataclass(frozen=True)
class _Choice:
    """What is taken of a recording: some layers of a model, their numbers from 1, and windows or frames."""

    model: str
    layers: tuple
    window: float | None
    hop: float | None

    def statistics(self, model):
        """What sums up windows, a new :class:`WindowStatistics`; None where frames are wanted."""
        if self.window is None:
            return None
        hop = self.window / 2 if self.hop is None else self.hop
        return WindowStatistics(frame_rate(model.frame_settings), self.window, hop)

    def columns(self, model):
        """Names of the columns."""
        columns = [f"layer{layer}_unit{unit}" for layer in self.layers
                   for unit in range(len(model.biases[layer - 1]))]
        if self.window is None:
            return columns
        return [f"{column}_{statistic}" for statistic in ("mean", "variance") for column in columns]

    def hop_seconds(self, model):
        """From one row's start to the next one's."""
        statistics = self.statistics(model)
        return (1 if statistics is None else statistics.step) / frame_rate(model.frame_settings)

    def rows(self, model, path, progress=None):
        """A recording's rows, block by block: float32 [m, d]."""
        def features(frames):
            return (np.hstack([activations[layer - 1] for layer in self.layers])
                    for activations in model.activation_blocks(frames))

        blocks, statistics = outputs(model, path, features, progress), self.statistics(model)
        return blocks if statistics is None else windows_of(statistics, blocks)


def run_extract(options):
    """``dbn extract``: see the module.

    Parameters
    ----------
    options : argparse.Namespace
        See :func:`add_extract_options`; and ``model`` and ``files``.

    Returns
    -------
    int
        Exit status: 0, or 1 if some files could not be used.

    Raises
    ------
    DBNError
        Nothing could be written; the message says why.
    """
    model = open_model(options.model)
    path = os.path.abspath(model_path(options.model))
    choice = _Choice(path, _chosen_layers(options.layers, model.n_layers), options.window, options.hop)
    if options.hop is not None and options.window is None:
        raise DBNError("--hop is from one window to the next; give --window too")
    choice.statistics(model)  # refuses windows that cannot be
    require_jobs(options.jobs)
    require_folder(options.output)
    with open_inputs(options.files) as (inputs, problems):
        target = (_Folder if options.one_file_each else _File)(options, inputs)
        work = WorkFolder(options.output, r"\.?part-[0-9a-f]{16}.*")
        work.require_own("dbn extract")
        with disk_errors(options.output):
            work.path.mkdir(exist_ok=True)
        try:
            with sole_writer(work.path):
                return _made(model, choice, inputs, problems, target, work, options.jobs)
        except KeyboardInterrupt:
            if not work.path.exists():
                raise
            print(f"\ndbn extract: stopped; the same command goes on from {printable(str(work.path))}",
                  file=sys.stderr)
            return 130


def _made(model, choice, inputs, problems, target, work, jobs):
    """Make all parts and put them together, tell what came of it, and return the exit status."""
    try:
        parts = [work.path / f"part-{key}.npy" for key in _keys(choice, inputs)]
        status = _extract(model, choice, inputs, problems, parts, jobs)
        used = [number for number, part in enumerate(parts) if part.exists()]
        told = "not written, there are no features"
        if used:
            features = Features([printable(inputs[number].name) for number in used], [parts[number] for number in used],
                                choice.columns(model), choice.hop_seconds(model))
            told = f"{features.lengths.sum()} rows of {len(features.columns)} features, {len(used)} file(s)"
            target.write(features, used)
        work.remove()
    except BaseException:
        if not work.leftovers():  # nothing to go on from
            work.remove()
        raise
    print(f"dbn: {printable(str(target.path))}: {told}", file=sys.stderr)
    return status


class _File:
    """All recordings in one file."""

    def __init__(self, options, inputs):
        self.path, self._write = options.output, writer_of(options.output)
        for path in files_of(self.path):
            check_output(path, options, inputs)

    def write(self, features, _):
        self._write(self.path, features)


class _Folder:
    """A file for each recording; a folder's are found under their paths from there."""

    def __init__(self, options, inputs):
        self.path = Path(options.output)
        if self.path.exists() and not (self.path / INDEX).exists() and (
                not self.path.is_dir() or any(self.path.iterdir())):
            raise DBNError(f"{self.path}: is there and holds no features of dbn extract; give the name of a new folder")
        self._files, names = [], {}
        for source in inputs:
            file = PurePosixPath(f"{source.inner}.npy")
            if file in names:
                raise DBNError(f"{names[file]} and {source.name} would both be {self.path / file}; give one of them, "
                               "or the folder that holds both")
            names[file] = source.name
            self._files.append(file)

    def write(self, features, used):
        with disk_errors(self.path):
            self.path.mkdir(exist_ok=True)
        write_folder(self.path, features, [self._files[number] for number in used])


def _keys(choice, inputs):
    """Of each recording, what names its part: all that its rows depend on. The same recording given twice has two."""
    given, keys = {}, []
    for source in inputs:
        depends_on = json.dumps([FORMAT, *astuple(choice), file_stamp(choice.model), source.name,
                                 file_stamp(source.path)])
        given[depends_on] = given.get(depends_on, 0) + 1
        keys.append(hashlib.sha256(f"{depends_on} {given[depends_on]}".encode()).hexdigest()[:16])
    return keys


def _extract(model, choice, inputs, problems, parts, jobs):
    """Make the parts that are not there, with a progress bar; the exit status: 0, or 1 if some could not be made."""
    width = len(choice.columns(model))
    missing = {part: source for source, part in zip(inputs, parts) if part_length(part, width) is None}
    waiting, reasons = iter(parts), None

    def extract(source, progress):
        nonlocal reasons
        part = next(waiting)
        if part not in missing:
            return
        if reasons is None:
            reasons = _reasons(model, choice, missing, jobs, progress)
        reason = next(reasons)
        if reason:
            raise AudioError(source.name, reason)

    return for_each(inputs, problems, extract, "extract")


def _reasons(model, choice, missing, jobs, progress):
    """Make the parts of a dict of part to recording; an iterator of what :func:`_part_of` returns for each."""
    most = min(len(missing), int(sum(map(progress.length, missing.values())) / _SECONDS_A_PROCESS))
    jobs = min(checked_jobs(jobs), most) if most > 1 else 1  # to count the cores takes a quarter of a second
    if jobs == 1:
        return (_part_of(model, choice, source.path, part, progress) for part, source in missing.items())
    stamp, tasks, seconds = file_stamp(choice.model), [[]], 0
    for part, source in missing.items():
        if seconds > _SECONDS_A_TASK or len(tasks[-1]) == _FILES_A_TASK:
            tasks.append([])
            seconds = 0
        tasks[-1].append((source.path.absolute(), part.absolute()))
        seconds += progress.length(source)
    return chain.from_iterable(in_parallel(_write_parts, [(choice, stamp, task) for task in tasks], jobs))


def _write_parts(choice, stamp, files):
    """Runs in a worker: :func:`_part_of` of each pair of recording and part, by the model of this process."""
    return [_part_of(_model(choice.model, stamp), choice, *each) for each in files]


@lru_cache(maxsize=1)
def _model(path, stamp):
    return open_model(path)


def _part_of(model, choice, path, part, progress=None):
    """Write a recording's part; why there is none, or None."""
    width, n_rows = len(choice.columns(model)), 0
    unfinished = part.with_name(f".{part.stem}-{os.getpid()}")
    try:
        with disk_errors(part), open(unfinished, "wb") as file:
            file.write(npy_header(0, width))
            for rows in choice.rows(model, path, progress):
                file.write(np.ascontiguousarray(rows, dtype="<f4").data)
                n_rows += len(rows)
            file.seek(0)
            file.write(npy_header(n_rows, width))
        # not flushed to the disk, as atomic_path would: for thousands of parts that takes longer than to make them
        os.replace(unfinished, part)
    except AudioError as error:
        return error.reason
    finally:
        unfinished.unlink(missing_ok=True)
    return None


def _chosen_layers(text, n_layers):
    """Numbers of layers, from 1, out of ``all`` or ``1,3``."""
    if text == "all":
        return tuple(range(1, n_layers + 1))
    try:
        layers = tuple(int(part) for part in text.split(","))
    except ValueError:
        layers = ()
    if not layers or len(set(layers)) < len(layers) or not all(1 <= layer <= n_layers for layer in layers):
        raise DBNError(f"--layers is {text!r}: give all, or different numbers from 1 to {n_layers} with commas between")
    return layers
