"""What a command reads: the model, and audio from files, folders and standard input."""
import os
import shutil
import stat
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dbn.audio.extraction import checked_settings, n_columns
from dbn.datasets.folder import READABLE, UNREADABLE
from dbn.errors import AudioError, DBNError, ModelFileError
from dbn.system.files import temporary_folder
from dbn.trained import model as model_io
from dbn.trained.tagger import load_tagger

# Of one recording on standard input, which is kept on disk while it is worked on: six hours of 44,100 Hz stereo.
MAX_STDIN_BYTES = 4 * 2**30


@dataclass(frozen=True)
class AudioInput:
    """A recording to work on.

    Attributes
    ----------
    name : str
        As the user gave it, or ``"-"``.
    path : pathlib.Path
        The file that holds it.
    inner : str
        Its path from the folder that was given, a file's own name if it was given itself.
    """

    name: str
    path: Path
    inner: str


def open_model(path):
    """Read a model, or the shipped one of that name, and see that its network takes the frames that it speaks of.

    Returns
    -------
    dbn.trained.model.Model

    Raises
    ------
    ModelFileError
        No model, or one whose frames do not fit its network.
    """
    if _is_special(path):
        raise ModelFileError(f"{path}: is not a regular file but a pipe or a device; give a model file (.npz)")
    model = model_io.open_model(path)
    _check_frames(model, path)
    return model


def open_classifier(path):
    """Read a model as :func:`open_model` does, one that has classes.

    Raises
    ------
    ModelFileError
        No model, or one that was trained without labels.
    """
    model = open_model(path)
    if not model.classes:
        raise ModelFileError(f"{path}: has no classes, it was trained without labels; dbn extract gives its features")
    return model


def open_tagger(path):
    """Read a tagger as :func:`open_model` reads a model.

    Returns
    -------
    dbn.trained.tagger.Tagger

    Raises
    ------
    ModelFileError
        No tagger, or one whose frames do not fit its network.
    """
    tagger = load_tagger(path)
    _check_frames(tagger.model, path)
    return tagger


def _check_frames(model, path):
    try:
        settings = checked_settings(**model.frame_settings)
    except (TypeError, DBNError) as error:
        raise ModelFileError(f"{path}: damaged: its frame settings cannot be used ({error})") from None
    n_bins, n_inputs = n_columns(settings), model.scaling.n_features
    if n_bins != n_inputs:
        raise ModelFileError(f"{path}: its frames have {n_bins} values and its network takes {n_inputs}; it was not "
                             "trained on frames of audio")


@contextmanager
def open_inputs(arguments):
    """Find the recordings that a command line names.

    Parameters
    ----------
    arguments : list of str
        Files, folders (walked to any depth, hidden entries left out, links followed, none read twice) and ``"-"``,
        standard input, which is copied to a temporary file of at most 4 GiB for as long as the context lasts.

    Yields
    ------
    inputs : list of AudioInput
        In the order given; a folder's sorted by path.
    problems : list of AudioError
        What cannot be read.
    """
    inputs, problems, seen = [], [], set()
    with temporary_folder() as spool:
        for argument in arguments:
            try:
                if argument == "-":
                    inputs.append(AudioInput("-", _copy_of_stdin(spool), "stdin"))
                elif os.path.isdir(argument):
                    found, wrong = _walk(argument, seen)
                    inputs += found
                    problems += wrong
                elif _is_special(argument):
                    raise AudioError(argument, 'is not a regular file but a pipe or a device; connect it to standard '
                                               'input and give "-"')
                else:
                    inputs.append(AudioInput(argument, Path(argument), Path(argument).name))
            except AudioError as error:
                problems.append(error)
        yield inputs, problems


def _is_special(path):
    """Whether it is a pipe or a device, on which reading might wait for ever; what is wrong else shows when opened."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _copy_of_stdin(folder):
    target = folder / "stdin"
    if target.exists():
        raise AudioError("-", "standard input can be read once only; give it once")
    if sys.stdin is None or sys.stdin.isatty():
        raise AudioError("-", "standard input is a terminal; connect a file or a pipe to it")
    left = MAX_STDIN_BYTES
    with open(target, "wb") as file:
        try:
            while chunk := sys.stdin.buffer.read(2**20):
                left -= len(chunk)
                if left < 0:
                    raise AudioError("-", f"more than {MAX_STDIN_BYTES:,} bytes on standard input; give a file")
                file.write(chunk)
        except OSError as error:
            free = shutil.disk_usage(folder).free
            raise AudioError("-", f"cannot be kept in {folder.parent} ({error.strerror}, {free:,} bytes are free); "
                                  "set TMPDIR to a folder with more room") from None
    return target


def _walk(root, seen):
    """Recordings below a folder and what is wrong there; identities of the folders read are added to `seen`."""
    inputs, problems, is_met_again = [], [], False

    def cannot_list(error):
        problems.append(AudioError(error.filename, f"cannot be listed: {error.strerror}"))

    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=cannot_list):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            is_met_again = True
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(files):
            path, suffix = os.path.join(folder, name), os.path.splitext(name)[1].lower()
            if name.startswith(".") or suffix not in READABLE | UNREADABLE:
                continue
            if suffix in UNREADABLE:
                problems.append(AudioError(path, f"libsndfile does not read {suffix} files; convert it to .wav or "
                                                 ".flac"))
            elif not os.path.isfile(path):
                problems.append(AudioError(path, "a link that leads nowhere, or no plain file"))
            else:
                inputs.append(AudioInput(path, Path(path), os.path.relpath(path, root)))
    if not (inputs or problems or is_met_again):
        problems.append(AudioError(root, "no audio file in this folder, such as .wav, .flac or .mp3"))
    return inputs, problems
