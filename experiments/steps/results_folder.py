"""Where results go unless ``--out`` says it: a folder of its own for every corpus and profile.

The Makefile runs this file by itself, before anything is installed: it needs nothing but Python.
"""
import hashlib
import os
import re
import sys
from pathlib import Path

RESULTS = Path("results")
MOST_LETTERS = 40  # of a folder's name


def results_folder(dataset, root, profile):
    """The folder of a corpus's results: ``results/<dataset>-<root's name>-<key>-<profile>``.

    The key stands for where the corpus lies. Two folders of one name have different ones; a folder that gets another
    song keeps its own, and what depends on the songs is made anew there.

    Parameters
    ----------
    dataset : str
        One of :data:`experiments.steps.options.DATASETS`.
    root : path-like or None
        The corpus's folder, however it is written; None is the synthetic corpus, which has no other place.
    profile : str
        The profile's name.

    Returns
    -------
    pathlib.Path
        Relative to the working folder.
    """
    if root is None:
        return RESULTS / f"{dataset}-{profile}"
    place = Path(root).expanduser().resolve()
    name = re.sub(r"[^\w.-]+", "_", place.name)[:MOST_LETTERS]
    key = hashlib.sha256(os.fsencode(place)).hexdigest()[:6]
    return RESULTS / "-".join(filter(None, [dataset, name, key, profile]))


if __name__ == "__main__":
    dataset, profile, *roots = sys.argv[1:]
    print(results_folder(dataset, *roots or [None], profile))
