"""From two seeds to a clip: draw the artist, draw the song, play every part, mix."""
import numpy as np

from dbn.datasets.synthetic.artists import draw_artist, draw_song
from dbn.datasets.synthetic.composition import compose
from dbn.datasets.synthetic.drums import GROOVES, drum_sound, strokes
from dbn.datasets.synthetic.effects import equalise, high_pass, limit, low_pass, overdrive, reverberate, rms, room
from dbn.datasets.synthetic.genres import GENRES
from dbn.datasets.synthetic.instruments import N_SYLLABLES, SAMPLE_RATE, Player
from dbn.datasets.synthetic.theory import lay_out
from dbn.datasets.synthetic.truth import describe
from dbn.errors import DatasetError

# How much of a family's sound goes to the room; what is deep stays dry, as mixing engineers like it.
SENDS = {"bass": 0.1, "drums": 0.4}
# Share of the players that come in only after some bars.
LATE = 0.15
# A stem that is softer than this beside the mix, in dB, does not count as sounding.
AUDIBLE = -35.0


def render_clip(genre, artist_seed, clip_seed, seconds=30.0):
    """Synthesise one clip.

    Parameters
    ----------
    genre : str
        One of `GENRES`.
    artist_seed, clip_seed : int or tuple of int
        Seeds of the artist and of the song, none negative. The same artist seed gives the same artist, whatever
        the clips; artists of different genres have nothing in common, even with the same seed.
    seconds : float
        Length of the clip.

    Returns
    -------
    signal : ndarray of float32, shape (round(seconds * 22050),)
        Mono, at 22,050 Hz, within (-1, 1).
    truth : dict
        What there is to know about the clip: see `truth.describe`.

    Raises
    ------
    DatasetError
        A genre that is not in `GENRES`.

    Examples
    --------
    >>> signal, truth = render_clip("reggae", artist_seed=(0, 500), clip_seed=3, seconds=10.0)
    >>> len(signal), truth["genre"]
    (220500, 'reggae')
    """
    stems, song, rng = render_stems(genre, artist_seed, clip_seed, seconds)
    signal = mix(stems, round(seconds * SAMPLE_RATE), song.studio, rng)
    return signal, describe(genre, song, _sounding(stems))


def render_stems(genre, artist_seed, clip_seed, seconds=30.0):
    """The players of a clip, each alone and before the studio.

    Parameters
    ----------
    genre, artist_seed, clip_seed, seconds
        As for `render_clip`.

    Returns
    -------
    stems : dict of (str, str) to ndarray of float32, shape (n_samples,)
        The sound of every (instrument, family) at its level in the mix.
    song : artists.Song
    rng : numpy.random.Generator
        The song's generator, for what is still to be drawn.
    """
    if genre not in GENRES:
        raise DatasetError(f"genre {genre!r}: there is a recipe for {', '.join(GENRES)} only")
    number = GENRES.index(genre)
    artist = draw_artist(genre, np.random.default_rng([number, 0, *np.atleast_1d(artist_seed)]))
    rng = np.random.default_rng([number, 1, *np.atleast_1d(artist_seed), *np.atleast_1d(clip_seed)])
    song = draw_song(artist, rng)
    timing = Timing(song, rng.uniform(0, song.metre), rng.uniform(0.001, 0.008))
    n_samples = round(seconds * SAMPLE_RATE)
    n_bars = int(np.ceil(timing.beats_in(seconds) / song.metre)) + 1
    spans = lay_out(song.progression, song.key, n_bars, song.metre, first_bar=int(rng.integers(16)))

    stems = {}
    for place, seat in enumerate(song.seats):
        notes = compose(seat.style, spans, song.metre, seat.centre, song.mode, song.key, rng)
        if place and rng.random() < LATE:
            entry = song.metre * int(rng.integers(1, n_bars // 2 + 1))
            notes = [note for note in notes if note[0] >= entry]
        stem = _play(seat.timbre, notes, timing, n_samples, rng)
        _add_stem(stems, seat.instrument, seat.timbre.family, stem, seat.level)
    if song.drummer:
        stem = _drum(song, n_bars, timing, n_samples, rng)
        _add_stem(stems, song.drummer.instrument, "drums", stem, song.drummer.level)
    return stems, song, rng


def mix(stems, n_samples, studio, rng):
    """The clip as the studio leaves it: float32 [n_samples], within (-1, 1)."""
    # In a very short clip everybody may pause; what remains is the hiss.
    dry, sent = np.zeros((2, n_samples), np.float32)
    for (_, family), stem in stems.items():
        dry += stem
        sent += np.float32(SENDS.get(family, 1.0)) * stem
    signal = dry + np.float32(studio.wet) * reverberate(sent, room(studio.room, studio.brightness, rng))
    signal = equalise(high_pass(signal, 40), studio.bands, studio.treble)
    signal *= _swell(len(signal), studio.dynamics, rng)
    signal *= np.float32(studio.loudness / max(rms(signal), 1e-9))
    signal += rng.standard_normal(len(signal), np.float32) * np.float32(10 ** (studio.hiss / 20))
    return limit(low_pass(signal, studio.bandwidth, order=3))


def _swell(n_samples, deviation, rng):
    """A band's getting louder and softer, `deviation` in dB: gains, float32 [n_samples]."""
    knots = np.arange(0, n_samples + 4 * SAMPLE_RATE, 3 * SAMPLE_RATE)
    gains = 10 ** (deviation * rng.standard_normal(len(knots)) / 20)
    return np.interp(np.arange(n_samples), knots, gains).astype(np.float32)


class Timing:
    """When beats fall.

    Parameters
    ----------
    song : artists.Song
    first_beat : float
        The beat at which the clip begins: excerpts do not start on a bar line.
    looseness : float
        Standard deviation in seconds of the players' timing.
    """

    def __init__(self, song, first_beat, looseness):
        self._beat = 60.0 / song.tempo
        self._swing = song.swing
        self._first = first_beat
        self.looseness = looseness

    def beats_in(self, seconds):
        """Beats from the song's start to the end of a clip of that length."""
        return self._first + seconds / self._beat

    def sample(self, beats):
        """Sample numbers of an array of beats (before the clip's begin they are negative)."""
        whole = np.floor(beats)
        part = beats - whole
        swung = np.where(part < 0.5, 2 * self._swing * part, self._swing + 2 * (1 - self._swing) * (part - 0.5))
        return np.rint((whole + swung - self._first) * self._beat * SAMPLE_RATE).astype(int)


def _play(timbre, notes, timing, n_samples, rng):
    """One player's notes: float32 [n_samples]."""
    stem = np.zeros(n_samples, np.float32)
    if not notes:
        return stem
    beats, lengths, pitches, velocities = (np.array(column) for column in zip(*notes))
    starts = timing.sample(beats)
    durations = timing.sample(beats + lengths) - starts
    _, chord = np.unique(beats, return_inverse=True)
    place = np.arange(len(beats)) - np.searchsorted(chord, chord)
    late = timbre.strum * place + timing.looseness * rng.standard_normal(chord[-1] + 1)[chord]
    starts = starts + np.rint(late * SAMPLE_RATE).astype(int)
    syllables = rng.integers(N_SYLLABLES, size=chord[-1] + 1)[chord]
    fade = np.linspace(1, 0, max(int(timbre.release * SAMPLE_RATE), 2), dtype=np.float32)

    player = Player(timbre, int(rng.integers(2 ** 31)))
    tone_lengths = durations + len(fade)
    longest = {}
    for pitch, length in zip(pitches, tone_lengths):
        longest[pitch] = max(length, longest.get(pitch, 0))
    for start, length, pitch, velocity, syllable in zip(starts, tone_lengths, pitches, velocities, syllables):
        if start + length <= 0 or start >= n_samples:
            continue
        note = player.tone(int(pitch), int(longest[pitch]), int(syllable))[:length] * np.float32(velocity)
        note[-len(fade):] *= fade
        _add(stem, note, start)
    if timbre.drive and stem.any():
        stem = overdrive(stem, timbre.drive)
    return low_pass(stem, timbre.cutoff) if timbre.cutoff else stem


def _drum(song, n_bars, timing, n_samples, rng):
    """The drummer's part: float32 [n_samples]."""
    stem = np.zeros(n_samples, np.float32)
    sounds = {}
    events = strokes(GROOVES[song.groove], n_bars, song.metre)
    starts = timing.sample(np.array([beat for beat, _, _ in events]))
    late = np.rint(timing.looseness * SAMPLE_RATE * rng.standard_normal(len(events))).astype(int)
    for (_, drum, velocity), start in zip(events, starts + late):
        if drum not in sounds:
            sounds[drum] = drum_sound(drum, song.drummer.kit, rng)
        _add(stem, sounds[drum] * np.float32(velocity), start)
    return stem


def _add(stem, note, start):
    """Add a note that may begin before the clip or end after it."""
    first, last = max(start, 0), min(start + len(note), len(stem))
    if first < last:
        stem[first:last] += note[first - start:last - start]


def _add_stem(stems, instrument, family, stem, level):
    """Put a part at its level in dB, measured where it sounds, beside what the same instrument already plays."""
    # Of the silence before and between notes a filter leaves traces that are not zero.
    sounding = stem[np.abs(stem) > 1e-4 * np.abs(stem).max()]
    if len(sounding):
        stem = stem * np.float32(10 ** (level / 20) / rms(sounding))
        stems[instrument, family] = stems.get((instrument, family), 0) + stem


def _sounding(stems):
    """The (instrument, family) pairs that can be heard in the mix."""
    threshold = 10 ** (AUDIBLE / 20) * rms(sum(stems.values()))
    return [name for name, stem in stems.items() if rms(stem) > threshold]
