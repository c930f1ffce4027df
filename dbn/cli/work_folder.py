"""What commands that take long have in common: a file that is made once, and a folder to go on from after a kill.

What somebody else has put into that folder, ``<output>.work/``, is neither used nor removed.
"""
import re
import shutil
from contextlib import suppress
from pathlib import Path

from dbn.errors import DatasetError, DBNError, ModelFileError
from dbn.system.files import disk_errors, link_target, require_plain_file, sole_writer


def checked_output(path, what):
    """Where the file that a command is to make belongs.

    Parameters
    ----------
    path : path-like
        As it was given; a link stays one, and what it leads to is written.
    what : str
        What the file is to be, for the messages.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ModelFileError
        A name that does not end in ``.npz`` or is that of a folder, a pipe or a device; a folder that is not there.
    """
    path = link_target(path)
    if path.suffix != ".npz" or path.is_dir():
        raise ModelFileError(f"{path}: not the name of a {what}, which ends in .npz; give another with -o")
    require_plain_file(path, ModelFileError)
    if not path.parent.is_dir():
        raise ModelFileError(f"{path}: there is no folder {path.parent}; make it first")
    return path


def finished(path, load, key, force):
    """The model that this very command has made already; None if it may be made.

    Parameters
    ----------
    path : pathlib.Path
        Where it belongs.
    load : callable
        Reads it from there; a ModelFileError of its own says that there is no such model.
    key : str
        Names all that the model depends on; a model carries it in its ``about``.
    force : bool
        Whether what is there is to be replaced.

    Raises
    ------
    ModelFileError
        What is there is made of something else.
    """
    if force or not path.exists():
        return None
    try:
        model = load(path)
    except ModelFileError:
        model = None
    if model is None or model.about.get("key") != key:
        raise ModelFileError(f"{path}: is there already, made of other files or with other options; --force replaces "
                             "it, or give another name with -o")
    return model


class WorkFolder:
    """The work folder of one output.

    Parameters
    ----------
    output : path
        What the command makes.
    left : str
        A regular expression for the names of what the command leaves in the folder.
    """

    def __init__(self, output, left):
        self.path = Path(f"{Path(output)}.work")  # beside the folder "out/", not in it
        self._left = re.compile(left)

    def leftovers(self):
        """What runs for this output have left: a list of paths."""
        return [path for path in (self.path.iterdir() if self.path.is_dir() else ())
                if self._left.fullmatch(path.name)]

    @property
    def is_own(self):
        """Whether a run made it, and its lock in it, before anything else."""
        return (self.path / ".lock").exists()

    def require_own(self, command):
        """Raise a DBNError if somebody else keeps in it what `command` would take for its own, and remove at its end.
        """
        found = [] if self.is_own else self.leftovers()
        if found:
            raise DBNError(f"{self.path}: holds {found[0].name}, which no {command} has made; move it away, or give "
                           "another name with -o")

    def made(self, command, finished, make, keep=False):
        """The output of `command`, by this process or by another one that is at it; the folder goes at its end.

        Parameters
        ----------
        command : str
            Name of the command, for the message.
        finished : callable
            Returns what was made already, or None, see :func:`finished`. It is asked again once nobody else is at it.
        make : callable
            Makes and returns it, from what the folder holds.
        keep : bool
            Whether the folder stays.

        Raises
        ------
        DBNError
            As :meth:`require_own`; the folder cannot be made; whatever `finished` and `make` raise. After a
            DatasetError or a ModelFileError there is nothing to go on from: a folder that is new goes again.
        """
        model = finished()
        if model is not None:
            if not keep and self.is_own:  # of a run that was killed when it had made the model
                with sole_writer(self.path):
                    self.remove()
            return model
        self.require_own(command)
        is_new = not self.path.exists()
        with disk_errors(self.path):
            self.path.mkdir(exist_ok=True)
        with sole_writer(self.path):
            try:
                model = finished() or make()
            except (DatasetError, ModelFileError):
                if is_new or not self.leftovers():
                    self.remove()
                raise
            if not keep:  # within the lock: whoever waits for it begins with an empty folder
                self.remove()
            return model

    def remove(self):
        """Remove what the runs have left, and the folder if it is empty then; the caller holds its lock."""
        for leftover in self.leftovers():
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
        # somebody may keep something else in it, or it is a link to a folder of theirs; Windows removes a lock itself
        with suppress(OSError):
            (self.path / ".lock").unlink()
            self.path.rmdir()
