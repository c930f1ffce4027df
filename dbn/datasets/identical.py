"""Songs that a corpus holds twice: on both sides of a split they are learnt by heart and then tested on."""
import hashlib
from collections import defaultdict
from itertools import combinations

from dbn.errors import DatasetError


def equal_pairs(digests):
    """Pairs of names with the same digest.

    Parameters
    ----------
    digests : dict of str to hashable
        A digest for every name.

    Returns
    -------
    list of (str, str)
        Sorted; three equal songs are three pairs.
    """
    names = defaultdict(list)
    for name in sorted(digests):
        names[digests[name]].append(name)
    return sorted(pair for equal in names.values() for pair in combinations(equal, 2))


def identical_files(tracks):
    """Pairs of tracks whose files hold the same bytes.

    Works for any corpus. Only files of equal length are read, so a corpus of compressed files costs little.

    Parameters
    ----------
    tracks : iterable of Track

    Returns
    -------
    list of (str, str)
        Pairs of track names, sorted.

    Raises
    ------
    DatasetError
        If a file cannot be read.
    """
    same_size = defaultdict(list)
    try:
        for track in tracks:
            same_size[track.path.stat().st_size].append(track)
        return equal_pairs({track.name: _digest(track.path)
                            for group in same_size.values() if len(group) > 1 for track in group})
    except OSError as error:
        raise DatasetError(f"{error.filename}: {error.strerror}; load the corpus again") from error


def _digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").digest()
