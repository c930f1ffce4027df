"""How far a long step is: a bar on a terminal; elsewhere, as in the log of a job, one line when it begins."""
import sys

from tqdm import tqdm


def progress_bar(description, iterable=None, show=True, in_logs=True, **options):
    """A bar on standard error, or the line; neither where standard error is closed.

    Parameters
    ----------
    description : str
        What is being done.
    iterable : iterable, optional
        What the bar counts; without it the caller tells the bar.
    show : bool
        Whether to say anything.
    in_logs : bool
        Whether to write the line where there is no terminal.
    options : dict
        Of :class:`tqdm.tqdm`: ``total``, ``unit``, ...

    Returns
    -------
    tqdm.tqdm
        Iterates over `iterable`.
    """
    show = show and sys.stderr is not None
    bar = tqdm(iterable, desc=description, disable=None if show else True, **options)
    if show and in_logs and bar.disable and "ipykernel" not in sys.modules:  # a notebook is read, not watched
        print(description, file=sys.stderr, flush=True)
    return bar
