"""The folder ``<output>.work/`` in which a command keeps what it goes on from after a kill.

What somebody else has put into it is neither used nor removed.
"""
import re
import shutil
from contextlib import suppress
from pathlib import Path

from dbn.errors import DBNError


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
        self.path = Path(f"{output}.work")
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
