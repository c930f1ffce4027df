"""The errors that a user can put right.

Every script turns a :class:`DBNError` into one message on standard error and
exit status 2; any other exception is a defect of this package.
"""
from numbers import Integral


class DBNError(ValueError):
    """Base class: the message names the file or option, what is wrong and what to do."""


class AudioError(DBNError):
    """An audio file that cannot be used.

    Attributes
    ----------
    path : str
        The file, as it was given.
    reason : str
        What is wrong with it, without the path.
    """

    def __init__(self, path, reason):
        super().__init__(str(path), reason)
        self.path = str(path)
        self.reason = reason

    def __str__(self):
        return f"{self.path}: {self.reason}"


class DatasetError(DBNError):
    """A corpus, a split or a list of tracks that does not fit together."""


class TrainingError(DBNError):
    """Training that cannot start or cannot go on (diverged, wrong option)."""


class DivergedError(TrainingError):
    """A cost or a parameter is no longer a finite number.

    Attributes
    ----------
    history : list of dict
        The epochs until then, see :class:`dbn.training.running.TrainingResult`.
    """

    def __init__(self, message, history=()):
        super().__init__(message)
        self.history = list(history)


class ModelFileError(DBNError):
    """A model or checkpoint file that is damaged, foreign or too new."""


class DamagedError(DBNError):
    """A file that this program wrote for itself and that now holds something else."""


def require_integer(name, value, minimum, maximum=None):
    """Raise a :class:`DBNError` that names the option unless `value` is a whole number between these."""
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or value < minimum or (maximum is not None and value > maximum):
        most = "" if maximum is None else f" and at most {maximum:,}"
        raise DBNError(f"{name} must be a whole number of at least {minimum}{most}, not {value!r}")
