"""What a page shows of a model and some songs: frames drawn from all of them, and a few songs from start to end (§4.1).

Recordings are read one after another. Of each the first ten minutes are used.
"""
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dbn.audio.pooling import frame_rate, pool, pool_blocks, pooled_frames
from dbn.audio.scaling import Scaling
from dbn.audio.spectra import SAMPLE_RATE, dft_magnitudes, frame_count
from dbn.audio.streaming import BLOCK_FRAMES, stream_signal
from dbn.datasets.folder import printable
from dbn.errors import DBNError
from dbn.explorer.plane import frames_a_song
from dbn.explorer.sound import Sound, embedded, linked, parts_around
from dbn.features.aggregate import WindowStatistics
from dbn.features.mfcc import mfcc
from dbn.trained.forward import require_finite

MOST_SECONDS = 600  # of a recording

_ROWS_A_SECOND = 8  # of a song's activations: an eye that follows them sees no more
_MOST_VALUES = 4_000_000  # of all songs' activations, a byte each

_FRAME_DRAW, _ORDER_DRAW = 3, 4  # mark the seeds of these draws


@dataclass(frozen=True)
class Recording:
    """A file to show.

    Attributes
    ----------
    name : str
        As the page gives it.
    path : pathlib.Path
    genre : str or None
        None where nobody has said it.
    """

    name: str
    path: Path
    genre: str | None


@dataclass(frozen=True)
class Song:
    """What the page shows of one recording.

    Attributes
    ----------
    recording : Recording
    probabilities : float64 [n_classes]
        Mean over its frames.
    seconds : float
        That were used.
    sound : dbn.explorer.sound.Sound
    rows : float32 [n, units of all layers + n_classes] or None
        Of the songs in the player: mean activations, then probabilities, over stretches of time.
    row_seconds : float or None
        Length of such a stretch.
    """

    recording: Recording
    probabilities: np.ndarray
    seconds: float
    sound: Sound
    rows: np.ndarray | None = None
    row_seconds: float | None = None


@dataclass(frozen=True)
class Exploration:
    """All that a page shows, but for the planes.

    Attributes
    ----------
    songs : list of Song
        In the order of the recordings.
    numbers : int array [n]
        Which song a frame is of.
    times : float array [n]
        Middle of a frame, in seconds of its song.
    frames : float32 [n, n_ins]
        DFT magnitudes, as the model takes them.
    mfccs : float32 [n, d]
        Not scaled.
    """

    songs: list
    numbers: np.ndarray
    times: np.ndarray
    frames: np.ndarray
    mfccs: np.ndarray


def representations(model, exploration):
    """What the planes show, by the paper's names: inputs as the network sees them, MFCCs, activations (Figure 2).

    MFCCs are standardised over the frames that are shown.

    Parameters
    ----------
    model : dbn.trained.model.Model
    exploration : Exploration

    Returns
    -------
    dict of str to float32 [n, d]
    """
    layers = model.activations(exploration.frames)
    found = {"Inputs (DFTs)": model.scaling.transform(exploration.frames),
             "MFCCs": Scaling("standardize").fit([exploration.mfccs]).transform(exploration.mfccs)}
    found |= {f"Layer {i}": activations for i, activations in enumerate(layers, start=1)}
    return found | ({"All Layers": np.hstack(layers)} if len(layers) > 1 else {})


@dataclass
class Gatherer:
    """Reads recordings and keeps what the page shows of them.

    Attributes
    ----------
    model : dbn.trained.model.Model
        With classes.
    recordings : list of Recording
    n_frames : int
        To draw, as many of each recording.
    n_players : int
        Songs in the player, of all genres in turn.
    seed : int
        Of what is drawn.
    page_folder : path-like or None
        From which the page links to the recordings; None embeds what is heard of them.
    mfccs : callable
        float32 [n_samples] at the model's rate -> float32 [n_frames, d] as :func:`dbn.features.mfcc.mfcc`.
    """

    model: object
    recordings: list
    n_frames: int
    n_players: int
    seed: int
    page_folder: object = None
    mfccs: object = None
    _songs: dict = field(default_factory=dict)
    _drawn: dict = field(default_factory=dict)

    def __post_init__(self):
        if self.model.min_frames > 1:
            raise DBNError("the model is a convolutional network, which sees several frames, and the page's points are "
                           "single ones; give a model of single frames")
        rng = np.random.default_rng([self.seed, _FRAME_DRAW])
        self._counts = frames_a_song(self.n_frames, len(self.recordings), rng)
        self._n_playing = 0
        if self.mfccs is None:
            self.mfccs = default_mfccs(self.model.frame_settings)

    def order(self):
        """Numbers of the recordings in the order to read them: the genres take turns, so the player has of all."""
        shuffled = np.random.default_rng([self.seed, _ORDER_DRAW]).permutation(len(self.recordings)).tolist()
        turns = {}
        of_genre = {}
        for number in shuffled:
            genre = self.recordings[number].genre
            turns[number] = of_genre.get(genre, 0)
            of_genre[genre] = turns[number] + 1
        return sorted(shuffled, key=lambda number: (turns[number], self.recordings[number].genre or "", number))

    def add(self, number):
        """Read the recording of this number, unless the page shows nothing of it.

        Raises
        ------
        AudioError
            It cannot be used.
        """
        playing = self._n_playing < self.n_players
        if not playing and not self._counts[number]:
            return
        recording = self.recordings[number]
        settings = self.model.frame_settings
        signal = _read(recording.path, settings["sample_rate"], settings["frame_length"])
        rows = self._draw(number, _n_rows(signal, settings))
        frames, probabilities, curve = self._through_the_network(recording, signal, rows, playing)
        times = _middles(rows, len(signal), settings)
        seconds = len(signal) / settings["sample_rate"]
        self._songs[number] = Song(recording, probabilities, seconds,
                                   self._sound(recording, signal, None if playing else parts_around(times, seconds)),
                                   *curve)
        self._drawn[number] = times, frames, self.mfccs(signal)[rows]
        self._n_playing += playing

    def exploration(self):
        """What was kept: an :class:`Exploration`, its frames in an order that hides no genre behind another.

        Raises
        ------
        DBNError
            No recording could be used.
        """
        order = sorted(self._songs)
        if not order:
            raise DBNError("no recording could be used, so there is nothing to show")
        numbers = np.repeat(np.arange(len(order)), [len(self._drawn[number][0]) for number in order])
        shuffled = np.random.default_rng([self.seed, _ORDER_DRAW]).permutation(len(numbers))
        columns = zip(*(self._drawn[number] for number in order))
        times, frames, mfccs = (np.concatenate(column)[shuffled] for column in columns)
        return Exploration([self._songs[number] for number in order], numbers[shuffled], times, frames, mfccs)

    def _draw(self, number, n):
        rng = np.random.default_rng([self.seed, _FRAME_DRAW, number])
        return np.sort(rng.permutation(n)[:self._counts[number]])

    def _through_the_network(self, recording, signal, rows, playing):
        """The frames of these rows, all frames' mean probabilities, and the player's rows with their seconds."""
        model, settings = self.model, self.model.frame_settings
        rate = frame_rate(settings)
        n_values = sum(map(len, model.biases))
        most_rows = max(1, _MOST_VALUES // (n_values * max(1, self.n_players)))
        n = _n_rows(signal, settings)
        group = min(n, max(1, round(rate / _ROWS_A_SECOND), -(-n // most_rows)))  # frames of a row
        statistics = WindowStatistics(rate, group / rate, group / rate)
        kept, means, total, start = [], [], np.zeros(len(model.classes)), 0
        for frames in pool_blocks(_magnitude_blocks(signal, settings), settings.get("pooling")):
            with np.errstate(over="ignore", invalid="ignore"):
                probabilities = model.predict_proba(frames)
                if playing:
                    means.append(statistics.add(np.hstack([*model.activations(frames), probabilities])))
            require_finite(probabilities, recording.path)
            total += probabilities.sum(axis=0, dtype=np.float64)
            kept.append(frames[rows[(rows >= start) & (rows < start + len(frames))] - start])
            start += len(frames)
        curve = (np.concatenate(means)[:, :n_values], statistics.step / rate) if playing else (None, None)
        return np.concatenate(kept), total / n, curve

    def _sound(self, recording, signal, parts):
        if self.page_folder is not None:
            return linked(recording.path, self.page_folder)
        if self.model.frame_settings["sample_rate"] != SAMPLE_RATE:
            signal = _read(recording.path, SAMPLE_RATE, 1)
        return embedded(signal, parts)


def default_mfccs(frame_settings):
    """The MFCCs of a model's frames: 20 of 40 mel bands up to 11,025 Hz, fewer where the frames are too short for them.

    Parameters
    ----------
    frame_settings : dict
        See :class:`dbn.trained.model.Model`.

    Returns
    -------
    callable
        float32 [n_samples] -> float32 [n_frames, d].
    """
    rate, length = frame_settings["sample_rate"], frame_settings["frame_length"]
    n_mels = int(min(40, max(1, length * 40 // 1024)))

    def mfccs(signal):
        rows = mfcc(signal, rate, length, frame_settings["hop_length"], n_mels=n_mels, f_max=min(11025.0, rate / 2),
                    n_mfcc=min(20, n_mels))
        return pool(rows, frame_settings.get("pooling"))

    return mfccs


def name_below(path, folders):
    """A recording's name on the page and its genre, the folder next below the one that was given.

    Parameters
    ----------
    path : pathlib.Path
    folders : list of path-like
        That were given.

    Returns
    -------
    name : str
        From that folder on, with ``/``; of a file that was given itself, its own name.
    genre : str or None
        None if there is no folder between.
    """
    for folder in map(Path, folders):
        if path.is_relative_to(folder) and path != folder:
            below = path.relative_to(folder)
            return printable(below.as_posix()), printable(below.parts[0]) if len(below.parts) > 1 else None
    return printable(path.name), None


def _read(path, sample_rate, min_length):
    """The first ten minutes of a recording as float32 [n]."""
    most = MOST_SECONDS * sample_rate
    blocks, n = [], 0
    for block in stream_signal(path, sample_rate, min_length):
        blocks.append(block)
        n += len(block)
        if n >= most:
            break
    return np.concatenate(blocks)[:max(most, min_length)]


def _n_rows(signal, settings):
    n = frame_count(len(signal), settings["frame_length"], settings["hop_length"])
    return -(-n // pooled_frames(settings.get("pooling")))


def _magnitude_blocks(signal, settings):
    """The frames of a signal, not pooled, in blocks: float32 [m, n_bins]."""
    length, hop = settings["frame_length"], settings["hop_length"]
    n = frame_count(len(signal), length, hop)
    for start in range(0, n, BLOCK_FRAMES):
        stop = min(n, start + BLOCK_FRAMES)
        yield dft_magnitudes(signal[start * hop:(stop - 1) * hop + length], length, hop, settings["window"])


def _middles(rows, n_samples, settings):
    """Seconds from the start of a song to the middles of its frames, or of the windows that they were pooled to."""
    n_pooled, hop, length = pooled_frames(settings.get("pooling")), settings["hop_length"], settings["frame_length"]
    first = rows * n_pooled
    last = np.minimum(first + n_pooled, frame_count(n_samples, length, hop)) - 1  # the song's last window may be short
    return ((first + last) * hop + length) / 2 / settings["sample_rate"]
