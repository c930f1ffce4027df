"""Any corpus that is a folder with one sub-folder a class.

Conventions. ``<root>/<class>/.../<file>``: the first folder's name is the class, whatever lies below it belongs to the
class, and a track's name is its path from `root` with ``/`` and with its suffix (``"rock/live/a.wav"``), so that no two
are equal. Hidden files and folders are passed over. Links to folders are followed, but no folder is read twice.
"""
import os
import unicodedata
from pathlib import Path

import soundfile

from dbn.datasets.corpus import Corpus, Track
from dbn.errors import DatasetError

# libsndfile names formats; files are named by suffixes. RAW is without a header: nobody can say how to read it.
READABLE = ({f".{name.lower()}" for name in soundfile.available_formats()} - {".raw"}
            | {".aif", ".aifc", ".snd", ".oga", ".opus", ".wave"})
UNREADABLE = {".m4a", ".mp4", ".aac", ".wma", ".ape", ".wv", ".mpc", ".alac", ".webm", ".mka"}


def load(root):
    """The audio files of a folder, labelled by sub-folder.

    Nothing is decoded here: a damaged file shows when its frames are made.

    Parameters
    ----------
    root : path-like
        The folder.

    Returns
    -------
    Corpus
        Named ``"folder"``; artists are unknown. `skipped` names, as paths from `root`: classes without audio; audio
        files that belong to no class, that libsndfile does not read (such as .m4a), or whose names hold line breaks,
        control characters or bytes that are not UTF-8, because no CSV, JSON or terminal would take them as they are
        (they stand as escapes there); folders that cannot be listed; links to a class's folder that is read already.
        Deeper down such a link is passed over.

    Raises
    ------
    DatasetError
        If `root` is not a folder, or fewer than two of its sub-folders hold audio files.
    """
    root = Path(root)
    try:
        names = sorted(name for name in os.listdir(root) if not name.startswith("."))
    except OSError as error:
        raise DatasetError(f"{root}: {error.strerror}; give a folder with a sub-folder for each class") from error
    tracks, skipped, seen = [], [], {_identity(root)}
    classes = []
    for name in names:
        if (root / name).is_dir():
            if _is_new(root / name, seen):
                classes.append(name)
            else:
                skipped.append((printable(name), "a link to a folder that is read already"))
        elif Path(name).suffix.lower() in READABLE:
            skipped.append((printable(name), "not in a class's sub-folder"))
    for name in classes:
        found = _tracks(root, name, seen, skipped)
        if not found:
            skipped.append((printable(name), "a class without any usable audio file"))
        tracks += found
    labels = tuple(sorted({track.label for track in tracks}))
    if len(labels) < 2:
        raise DatasetError(f"{root}: audio files in {len(labels)} sub-folder(s) ({', '.join(labels) or 'none'}); "
                           f"two classes are needed, each a sub-folder with files such as .wav, .flac or .mp3")
    return Corpus("folder", labels, tuple(sorted(tracks, key=lambda track: track.name)), tuple(sorted(skipped)))


def load_unlabelled(root):
    """All audio files of a folder, at any depth, as one class without a name.

    Returns
    -------
    Corpus
        Named ``"folder"``; `skipped` as of :func:`load`.

    Raises
    ------
    DatasetError
        If `root` is not a folder, or holds no usable audio file.
    """
    root, skipped = Path(root), []
    tracks = _tracks(root, "", {_identity(root)}, skipped) if root.is_dir() else []
    if not tracks:
        raise DatasetError(f"{root}: no folder with audio files such as .wav, .flac or .mp3")
    return Corpus("folder", ("",), tuple(sorted(tracks, key=lambda track: track.name)), tuple(sorted(skipped)))


def _tracks(root, label, seen, skipped):
    """Tracks at any depth of one class's folder; what is left out is added to `skipped`, folders read to `seen`."""
    tracks = []

    def cannot_list(error):
        skipped.append((printable(os.path.relpath(error.filename, root)), f"cannot be listed: {error.strerror}"))

    for folder, subfolders, files in os.walk(root / label, followlinks=True, onerror=cannot_list):
        subfolders[:] = [name for name in sorted(subfolders)
                         if not name.startswith(".") and _is_new(Path(folder, name), seen)]
        for file in sorted(files):
            path = Path(folder, file)
            if file.startswith(".") or path.suffix.lower() not in READABLE | UNREADABLE:
                continue
            name = path.relative_to(root).as_posix()
            why = why_unusable(path, name)
            if why:
                skipped.append((printable(name), why))
            else:
                tracks.append(Track(name, path, label))
    return tracks


def why_unusable(path, name):
    """Why a file that looks like audio is left out; "" if it is not."""
    if path.suffix.lower() in UNREADABLE:
        return f"libsndfile does not read {path.suffix.lower()} files; convert it to .wav or .flac"
    if not path.is_file():
        return "no such file: a link that leads nowhere, or no plain file"
    if not all(map(_is_printable, name)):
        return "a line break, a control character or a byte that is not UTF-8 in its name; rename it"
    return ""


def _is_printable(character):
    """Not a control character, a lone surrogate (how Python holds a byte that was not UTF-8) or a line separator."""
    return unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")


def printable(name):
    """A name that any file and terminal takes: what cannot be printed becomes an escape."""
    return "".join(character if _is_printable(character) else character.encode("unicode_escape").decode("ascii")
                   for character in name)


def _is_new(folder, seen):
    """Whether a folder was not met before, whichever links lead to it; from now on it was."""
    identity = _identity(folder)
    if identity in seen:
        return False
    seen.add(identity)
    return True


def _identity(path):
    status = os.stat(path)
    return status.st_dev, status.st_ino
