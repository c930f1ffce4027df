"""Pitches, scales, chords and progressions.

Conventions: a pitch is a MIDI number (69 is the A of 440 Hz, 12 to an octave);
a pitch class is a pitch modulo 12; a progression is text, one word a bar, in
numerals of the major scale: ``"I7 IV7 bVIImaj7"``; two chords that share a bar
are joined by a comma, ``"IIm7,V7"``.
"""
import re
from dataclasses import dataclass

PITCH_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "major pentatonic": (0, 2, 4, 7, 9),
    "minor pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
}

QUALITIES = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "5": (0, 7, 12),
    "6": (0, 4, 7, 9),
    "7": (0, 4, 7, 10),
    "9": (0, 4, 7, 10, 14),
    "m7": (0, 3, 7, 10),
    "m9": (0, 3, 7, 10, 14),
    "maj7": (0, 4, 7, 11),
    "m7b5": (0, 3, 6, 10),
    "o7": (0, 3, 6, 9),
    "sus4": (0, 5, 7),
}

_DEGREES = {"I": 0, "II": 2, "III": 4, "IV": 5, "V": 7, "VI": 9, "VII": 11}
_SYMBOL = re.compile(r"([b#]?)(VII|VI|IV|V|III|II|I)([^IV]*)$")


@dataclass(frozen=True)
class Chord:
    """A chord: the pitch class of its root and its tones in semitones above the root."""

    root: int
    tones: tuple[int, ...]


@dataclass(frozen=True)
class Span:
    """A chord that sounds from beat `start` for `beats` beats."""

    start: float
    beats: float
    chord: Chord


def hertz(pitch):
    """Frequency in Hz of a MIDI pitch (equal temperament, A at 440 Hz)."""
    return 440.0 * 2.0 ** ((pitch - 69) / 12.0)


def parse_chord(symbol, key=0):
    """The chord that a numeral such as ``"bVIImaj7"`` means in the major key on pitch class `key`.

    Raises
    ------
    ValueError
        A symbol that is no numeral, or a quality that is not in `QUALITIES`.
    """
    match = _SYMBOL.match(symbol)
    if match is None or match[3] not in QUALITIES:
        raise ValueError(f"no chord is called {symbol!r}")
    accidental = {"": 0, "b": -1, "#": 1}[match[1]]
    return Chord((key + _DEGREES[match[2]] + accidental) % 12, QUALITIES[match[3]])


def lay_out(progression, key, n_bars, beats_per_bar, first_bar=0):
    """The progression, repeated over `n_bars` bars from its bar `first_bar` on, as a list of `Span`."""
    bars = [[parse_chord(symbol, key) for symbol in bar.split(",")] for bar in progression.split()]
    spans = []
    for number in range(n_bars):
        chords = bars[(first_bar + number) % len(bars)]
        length = beats_per_bar / len(chords)
        spans += [Span(number * beats_per_bar + i * length, length, chord) for i, chord in enumerate(chords)]
    return spans


def nearest(pitch_class, centre):
    """The pitch of a class that lies nearest to the pitch `centre` (the upper one of two equally near)."""
    return centre + (pitch_class - centre + 5) % 12 - 5


def voicing(chord, centre):
    """The chord's tones, each in the octave nearest to `centre`, lowest first.

    Tones stay within one octave, so consecutive chords move by small steps, as
    a pianist's or a guitarist's hand would.
    """
    return sorted({nearest((chord.root + tone) % 12, centre) for tone in chord.tones})


def scale_pitches(mode, key, low, high):
    """Pitches of a scale on pitch class `key` from `low` to `high`, both included, as a list."""
    classes = {(key + step) % 12 for step in SCALES[mode]}
    return [pitch for pitch in range(low, high + 1) if pitch % 12 in classes]
