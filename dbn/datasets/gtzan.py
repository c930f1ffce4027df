"""GTZAN, the genre data set of Tzanetakis and Cook (2002): 1,000 clips of 30 s in ten genres (§4.1).

Conventions. A track's name is ``<genre>.<NNNNN>``. The tree is the official one, ``genres/<genre>/<name>.<suffix>``,
with or without the ``genres/`` level, as AU (the archive's own format), WAV or FLAC. The track list
``data/gtzan/tracks.csv`` says for each track its artist (Sturm's index), its part in the Sturm-filtered split, and the
MD5 of its official 16-bit WAV file. What :func:`validate` compares is therefore the MD5 of the decoded *samples*
written as such a WAV, whatever format the file has: a FLAC or AU copy of the right samples matches.

On the command line::

    python -m dbn.datasets.gtzan download --root data/gtzan
    python -m dbn.datasets.gtzan validate --root data/gtzan

References
----------
G. Tzanetakis and P. Cook. Musical genre classification of audio signals. IEEE Transactions on Speech and Audio
Processing 10(5), 2002.
B. L. Sturm. The GTZAN dataset: its contents, its faults, their effects on evaluation, and its future use.
arXiv:1306.1461, 2013.
"""
from __future__ import annotations

import argparse
import csv
import hashlib
import io
import re
import sys
import sysconfig
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import soundfile

from dbn.datasets.corpus import Corpus, Track
from dbn.datasets.download import fetch, unpack
from dbn.datasets.identical import equal_pairs
from dbn.errors import AudioError, DatasetError, DBNError
from dbn.system.progress import progress_bar

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
SUFFIXES = (".au", ".wav", ".flac")  # of a track in two formats the first is taken: AU is the original
MOST_SAMPLES = 10**7  # of a file, all channels together; a track has 0.7 million
TRACK_FILE = re.compile(r"((%s)\.\d{5})(\.au|\.wav|\.flac)" % "|".join(GENRES), re.IGNORECASE)

ADDRESS = "http://opihi.cs.uvic.ca/sound/genres.tar.gz"
ARCHIVE_BYTES = 1_225_571_541
ARCHIVE_SHA256 = "24347e0223d2ba798e0a558c4c172d9d4a19c00bb7963fe055d183dadb4ef2c6"
UNPACKED_BYTES = 1_500_000_000  # no more than this: 1,000 tracks of 1.32 MB and the archive's own headers
MEMBER = re.compile(r"genres/(%s)/\1\.\d{5}\.(au|wav|flac)" % "|".join(GENRES))

INDEX_COLUMNS = ("track", "genre", "md5", "artist", "fault_filtered_split")
INDEX_PLACES = (Path(__file__).resolve().parents[2] / "data" / "gtzan" / "tracks.csv",  # a checkout
                Path(sys.prefix) / "share" / "dbn" / "gtzan" / "tracks.csv",  # installed by pip
                Path(sysconfig.get_path("data")) / "share" / "dbn" / "gtzan" / "tracks.csv")  # by a system's own pip


@dataclass(frozen=True)
class IndexEntry:
    """One line of the track list; `part` is train, valid, test or excluded, and `artist` "" if unknown."""

    name: str
    genre: str
    md5: str
    artist: str
    part: str


def find_index():
    """The track list's path: in the checkout, else where the installed package keeps it.

    Raises
    ------
    DatasetError
        If it is at none of these places.
    """
    for path in INDEX_PLACES:
        if path.is_file():
            return path
    raise DatasetError("GTZAN's track list tracks.csv is missing; looked for "
                       f"{', '.join(map(str, dict.fromkeys(INDEX_PLACES)))}; install the package again")


def read_index(path=None):
    """Read the track list.

    Parameters
    ----------
    path : path-like, optional
        A CSV file with the columns of `INDEX_COLUMNS`; the project's own by default.

    Returns
    -------
    dict of str to IndexEntry
        By track name, in the file's order.

    Raises
    ------
    DatasetError
        If the file is missing, unreadable, or has other columns, a name twice or an incomplete line.
    """
    path = find_index() if path is None else Path(path)
    entries = {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if tuple(rows.fieldnames or ()) != INDEX_COLUMNS:
                raise DatasetError(f"{path}: its first line must be {','.join(INDEX_COLUMNS)}")
            for row in rows:
                entry = IndexEntry(*row.values()) if len(row) == len(INDEX_COLUMNS) else None
                if entry is None or None in row.values() or entry.name in entries:
                    raise DatasetError(f"{path}, line {rows.line_num}: incomplete, or a track's second line")
                entries[entry.name] = entry
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: not a readable track list: {error}") from error
    return entries


def identical_pairs(names=None, index=None):
    """Pairs of tracks whose official files are byte-identical, by the track list's MD5s.

    Parameters
    ----------
    names : iterable of str, optional
        Track names to look among; all 1,000 by default.
    index : path-like, optional
        Another track list.

    Returns
    -------
    list of (str, str)
        Sorted. The whole data set has 14, one of them with two labels: ``("metal.00058", "rock.00016")``.
    """
    entries = read_index(index)
    return equal_pairs({name: entries[name].md5 for name in (entries if names is None else names) if name in entries})


def load(root, index=None):
    """The tracks of a GTZAN tree.

    Nothing is decoded here: a damaged file shows when its frames are made, or in :func:`validate`. A tree with some
    of the tracks is a corpus of those tracks; genres without any are not among its classes.

    Parameters
    ----------
    root : path-like
        The folder that holds ``genres/``, or that folder itself.
    index : path-like, optional
        Another track list.

    Returns
    -------
    Corpus
        Named ``"gtzan"``. `skipped` names folders that are no genre, audio files that are no track of the list, and
        for a track in two formats all but the first of AU, WAV, FLAC. Hidden files (such as macOS's ``._*``) and
        other files are passed over.

    Raises
    ------
    DatasetError
        If `root` is no such tree or holds no track.
    """
    entries = read_index(index)
    files, skipped = _scan(Path(root), entries)
    if not files:
        raise DatasetError(f"{root}: no GTZAN track found; looked for files such as genres/blues/blues.00000.au (or "
                           ".wav, .flac), with or without the genres level; see data/README.md on how to get them")
    tracks = tuple(Track(name, files[name], entries[name].genre, entries[name].artist) for name in sorted(files))
    return Corpus("gtzan", tuple(sorted({track.label for track in tracks})), tracks, skipped)


def _scan(root, entries):
    """Files of a tree by track name, and ``(file, why)`` for what looks like a track and is not taken."""
    tree = root / "genres" if (root / "genres").is_dir() else root
    files, skipped = {}, []
    try:
        for folder in sorted(tree.iterdir()):
            if folder.name.startswith(".") or not folder.is_dir():
                continue
            if folder.name not in GENRES:
                skipped.append((_shown(folder, root), "not one of GTZAN's ten genres"))
                continue
            for file in sorted(folder.iterdir(), key=_by_format):
                if file.name.startswith(".") or file.suffix.lower() not in SUFFIXES:
                    continue
                found = TRACK_FILE.fullmatch(file.name)
                name = found[1].lower() if found else None
                if name not in entries or entries[name].genre != folder.name:
                    skipped.append((_shown(file, root), f"not a {folder.name} track of GTZAN's list"))
                elif name in files:
                    skipped.append((_shown(file, root), f"{files[name].name} is there too and is taken"))
                else:
                    files[name] = file
    except OSError as error:
        raise DatasetError(f"{error.filename}: {error.strerror}; give the folder that holds genres/") from error
    return files, tuple(skipped)


def _by_format(file):
    suffix = file.suffix.lower()
    return SUFFIXES.index(suffix) if suffix in SUFFIXES else len(SUFFIXES), file.name


def _shown(path, root):
    """A path below `root` as text that any file or terminal takes, even where its name is not UTF-8."""
    return path.relative_to(root).as_posix().encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(frozen=True)
class ValidationReport:
    """How a tree compares with the track list.

    Attributes
    ----------
    matching, missing, differing : tuple of str
        Track names: the right samples; no file; other samples, rate or channels.
    extra, unreadable : tuple of (str, str)
        ``(file, why)``: files that are not the list's, or a second copy; and ``(track, why)``: files that libsndfile
        cannot decode.
    identical_pairs : tuple of (str, str)
        Tracks whose files hold the same samples.
    """

    matching: tuple[str, ...]
    missing: tuple[str, ...]
    differing: tuple[str, ...]
    extra: tuple[tuple[str, str], ...]
    unreadable: tuple[tuple[str, str], ...]
    identical_pairs: tuple[tuple[str, str], ...]

    @property
    def is_complete(self):
        """Whether every track of the list is there with the right samples."""
        return not (self.missing or self.differing or self.unreadable)

    def __str__(self):
        lines = [f"matching    {len(self.matching)} tracks hold the official samples",
                 f"missing     {len(self.missing)}{_listed(_by_genre(self.missing))}",
                 f"differing   {len(self.differing)}{_listed(self.differing)}"]
        for title, found in (("unreadable", self.unreadable), ("extra", self.extra)):
            lines.append(f"{title:<11} {len(found)}{_listed(f'{name} ({why})' for name, why in found)}")
        pairs = [f"{one} = {other}" for one, other in self.identical_pairs]
        lines.append(f"identical   {len(pairs)} pairs{_listed(pairs)}")
        return "\n".join(lines)


def _by_genre(names):
    """``["blues 90", "jazz.00054"]``: one entry a genre, and a single track by its name."""
    genres = defaultdict(list)
    for name in names:
        genres[name.partition(".")[0]].append(name)
    return [f"{genre} {len(found)}" if len(found) > 1 else found[0] for genre, found in genres.items()]


def _listed(items, most=20):
    items = list(items)
    rest = f", and {len(items) - most} more" if len(items) > most else ""
    return ": " + ", ".join(items[:most]) + rest if items else ""


def validate(root, index=None, progress=True):
    """Compare every file of a tree with the track list.

    Parameters
    ----------
    root : path-like
        As for :func:`load`.
    index : path-like, optional
        Another track list.
    progress : bool
        Show a progress bar where standard error is a terminal.

    Returns
    -------
    ValidationReport

    Raises
    ------
    DatasetError
        As :func:`load`.
    """
    entries = read_index(index)
    corpus = load(root, index)
    digests, unreadable = {}, []
    for track in progress_bar("validate", corpus.tracks, progress, unit="track"):
        try:
            digests[track.name] = wav_md5(track.path)
        except (soundfile.SoundFileError, OSError, AudioError) as error:
            unreadable.append((track.name, getattr(error, "reason", str(error))))
    present = {track.name for track in corpus.tracks}
    return ValidationReport(
        matching=tuple(name for name, digest in digests.items() if digest == entries[name].md5),
        missing=tuple(name for name in sorted(entries) if name not in present),
        differing=tuple(name for name, digest in digests.items() if digest != entries[name].md5),
        extra=corpus.skipped,
        unreadable=tuple(unreadable),
        identical_pairs=tuple(equal_pairs(digests)))


def wav_md5(path):
    """MD5 of an audio file's samples as a 16-bit WAV file with the plain 44-byte header.

    Parameters
    ----------
    path : path-like
        Any format that libsndfile reads; 16-bit samples are kept exactly.

    Returns
    -------
    str
        32 hexadecimal digits; of a plain 16-bit WAV file, its own MD5.

    Raises
    ------
    AudioError
        It has many more samples than any track.
    """
    with soundfile.SoundFile(path) as file:
        rate = file.samplerate
        if file.frames * file.channels > MOST_SAMPLES:  # or so it says: room would be made for them before
            raise AudioError(path, f"more than {MOST_SAMPLES:,} samples, which no track has")
        samples = file.read(dtype="int16", always_2d=True)
    wav = io.BytesIO()
    soundfile.write(wav, samples, rate, format="WAV", subtype="PCM_16")
    return hashlib.md5(wav.getbuffer()).hexdigest()


def download(root, address=ADDRESS, size=ARCHIVE_BYTES, sha256=ARCHIVE_SHA256, keep_archive=False, progress=True):
    """Download GTZAN, verify it and unpack it as ``<root>/genres``.

    Stopped half-way, the next call goes on. An archive that is already there as ``<root>/genres.tar.gz`` is verified
    and unpacked, and a ``<root>/genres`` that is already there is left as it is.

    Parameters
    ----------
    root : path-like
        Folder for it, made if need be. 2.8 GB must be free.
    address : str
        Where the archive is; any copy of the same bytes.
    size, sha256 : int, str
        What the archive must be: length in bytes, SHA-256.
    keep_archive : bool
        Keep ``genres.tar.gz`` after unpacking it.
    progress : bool
        Show progress bars where standard error is a terminal.

    Returns
    -------
    bool
        Whether anything was done.

    Raises
    ------
    DatasetError
        See :func:`dbn.datasets.download.fetch` and :func:`~dbn.datasets.download.unpack`.
    """
    root = Path(root)
    if (root / "genres").exists():
        return False
    archive = root / "genres.tar.gz"
    fetch(address, archive, size, sha256, spare=UNPACKED_BYTES, progress=progress)
    unpack(archive, root / "genres", MEMBER, UNPACKED_BYTES, progress=progress)
    if not keep_archive:
        archive.unlink()
    return True


def main(argv=None):
    """The command line; exit status 0, 1 (`validate` found something amiss) or 2 (it could not be done)."""
    parser = argparse.ArgumentParser(prog="python -m dbn.datasets.gtzan", description="Get and check the GTZAN corpus.")
    commands = parser.add_subparsers(dest="command", required=True)
    getting = commands.add_parser("download", help="download, verify and unpack the archive (1.2 GB)")
    getting.add_argument("--address", default=ADDRESS, help="where the archive is (default: %(default)s)")
    getting.add_argument("--keep-archive", action="store_true", help="keep genres.tar.gz beside genres/")
    checking = commands.add_parser("validate", help="compare the files with the track list")
    for command in (getting, checking):
        command.add_argument("--root", default="data/gtzan", help="folder with genres/ (default: %(default)s)")
    options = parser.parse_args(argv)
    try:
        if options.command == "validate":
            report = validate(options.root)
            print(report)
            return 0 if report.is_complete else 1
        done = download(options.root, options.address, keep_archive=options.keep_archive)
        state = "unpacked" if done else "already there, left as it is"
        print(f"{options.root}/genres: {state}; check it with validate")
        return 0
    except DBNError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
