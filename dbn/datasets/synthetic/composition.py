"""What the players play: accompaniments from patterns, walking basses, riffs and melodies.

A note is ``(beat, beats, pitch, velocity)``. A pattern is a bar of sixteenths:

====================  ========================================================
``x`` ``X`` ``o``     the whole chord: plain, accented, soft
``r`` ``3`` ``5``     the chord's root, third, fifth,
``7`` ``8``           last tone, and the root an octave up
``-``                 the note before goes on
``.``                 silence
====================  ========================================================

Several bars are separated by ``|``; a bar of three beats takes the first twelve.
"""
from bisect import bisect_right
from dataclasses import dataclass

from dbn.datasets.synthetic.theory import nearest, scale_pitches, voicing

PATTERNS = {
    # basses
    "roots": "r---------------",
    "half notes": "r-------r-------",
    "root and fifth": "r---....5---....",
    "boogie bass": "r-r-3-3-5-5-7-7-",
    "eighths": "r.r.r.r.r.r.r.r.",
    "octaves": "r.8.r.8.r.8.r.8.",
    "syncopated bass": "r--r--5-..r-8-..|r--r--r-..5-7-..",
    "reggae bass": "..r-r-5-r---....|r--5..r-3-5-....",
    "hop bass": "r-----r-..5-....|r--r....8--7....",
    "pop bass": "r-----r-5-----r-",
    # chords
    "held": "x---------------",
    "twice held": "x-------x-------",
    "quarters": "x--.x--.x--.x--.",
    "strum": "X---x-x-..x-x-x-",
    "boom-chick": "r---x-..5---x-..",
    "skank": "....X.......X...",
    "double skank": "..x...x...x...x.",
    "bubble": "..xo..xo..xo..xo",
    "chicken scratch": "xox.oxo.x.oxo.xo",
    "Charleston": "x-....x-........|..x-......x-....",
    "comping": "..x-....x.....x-|....x-....x-....",
    "stabs": "......x-......x.|................",
    "power eighths": "X-x-x-x-X-x-x-x-",
    "shuffle chords": "x-x-x-x-x-x-x-x-",
    "gallop riff": "X-xxX-xxX-xxX-xx",
    "backbeat": "....x--.....x--.",
    # broken chords
    "Alberti": "r-5-3-5-r-5-3-5-",
    "arpeggio": "r-3-5-8-5-3-5-3-",
    "slow arpeggio": "r---3---5---8---",
    "picking": "r.3.5.3.8.3.5.3.",
    "banjo roll": "r358r358r358r358",
    "sixteenths": "r58r58r5r58r58r5",
}
VELOCITIES = {"X": 1.0, "x": 0.8, "o": 0.4}


@dataclass(frozen=True)
class Melody:
    """How a tune moves.

    Attributes
    ----------
    grid : float
        Beats between the places where a note can start.
    density : float
        Share of those places where one does.
    leap : int
        Largest step, in notes of the scale.
    compass : int
        Semitones from the lowest to the highest note.
    rest : float
        Share of the phrases that are silent.
    legato : float
        Share of the time to the next note that a note sounds.
    """

    grid: float
    density: float
    leap: int
    compass: int
    rest: float
    legato: float = 0.9


MELODIES = {
    "song": Melody(0.5, 0.5, 2, 12, 0.2),
    "slow line": Melody(1.0, 0.45, 2, 14, 0.1, 1.0),
    "rap": Melody(0.25, 0.72, 1, 4, 0.1, 0.8),
    "hook": Melody(0.5, 0.65, 3, 10, 0.3, 0.7),
    "solo": Melody(0.5, 0.8, 3, 22, 0.2),
    "fast solo": Melody(0.25, 0.85, 2, 24, 0.3),
    "fills": Melody(0.5, 0.6, 3, 15, 0.6),
    "tune": Melody(0.5, 0.7, 2, 19, 0.1, 0.95),
    "running tune": Melody(0.25, 0.8, 2, 19, 0.15, 0.9),
}


def compose(style, spans, beats_per_bar, centre, mode, key, rng):
    """Notes in a style over a list of chord spans.

    Parameters
    ----------
    style : str
        A name in `PATTERNS` or `MELODIES`, ``"walking"`` or ``"riff"``.
    spans : list of Span
        The chords, in order and without a gap.
    beats_per_bar : int
    centre : int
        Pitch around which the part lies.
    mode, key : str, int
        The scale and its pitch class.
    rng : numpy.random.Generator

    Returns
    -------
    notes : list of (beat, beats, pitch, velocity)
    """
    if style in PATTERNS:
        return accompany(PATTERNS[style], spans, beats_per_bar, centre)
    if style == "walking":
        return walk(spans, centre, mode, key, rng)
    if style == "riff":
        return riff(spans, beats_per_bar, centre, mode, key, rng)
    return sing(MELODIES[style], spans, beats_per_bar, centre, mode, key, rng)


def accompany(pattern, spans, beats_per_bar, centre):
    """A pattern played over the chords."""
    bars = pattern.split("|")
    starts = [span.start for span in spans]
    end = spans[-1].start + spans[-1].beats
    notes = []
    for number in range(round(end / beats_per_bar)):
        steps = bars[number % len(bars)][:4 * beats_per_bar]
        for step, mark in enumerate(steps):
            if mark in ".-":
                continue
            beat = number * beats_per_bar + step / 4
            held = len(steps) - step - len(steps[step + 1:].lstrip("-"))
            chord = spans[bisect_right(starts, beat) - 1].chord
            notes += [(beat, held / 4, pitch, VELOCITIES.get(mark, 0.85)) for pitch in _pitches(mark, chord, centre)]
    return notes


def _pitches(mark, chord, centre):
    """The pitches that one mark of a pattern means."""
    if mark in VELOCITIES:
        return voicing(chord, centre)
    root = nearest(chord.root, centre)
    tones = chord.tones
    return [root + {"r": 0, "3": tones[1], "5": tones[2], "7": tones[-1], "8": 12}[mark]]


def walk(spans, centre, mode, key, rng):
    """A walking bass: the root on the chord's first beat, then steps, and a semitone's approach to the next root."""
    notes = []
    scale = scale_pitches(mode, key, centre - 12, centre + 14)
    for span, following in zip(spans, spans[1:] + spans[:1]):
        pitch = nearest(span.chord.root, centre)
        target = nearest(following.chord.root, centre)
        n_beats = max(1, int(span.beats))
        for beat in range(n_beats):
            if beat and beat == n_beats - 1:
                pitch = target + int(rng.choice((-1, 1)))
            elif beat:
                tones = [root + tone for root in (pitch - 12, pitch) for tone in span.chord.tones]
                near = [p for p in set(scale + tones) if 0 < abs(p - pitch) <= 5 and abs(p - centre) <= 12]
                pitch = int(rng.choice(sorted(near)))
            notes.append((span.start + beat, 0.9, pitch, 0.7 + 0.3 * rng.random()))
    return notes


def riff(spans, beats_per_bar, centre, mode, key, rng):
    """Two bars of power chords around an open string, over and over, as metal's guitars play them."""
    n_steps = 8 * beats_per_bar
    scale = scale_pitches(mode, key, centre, centre + 10)
    low = nearest(key, centre)
    figure = rng.choice(["x.xx", "xxxx", "x.x.", "x...", "xx.x"], size=2 * beats_per_bar)
    marks = "".join(figure)[:n_steps]
    moves = [low if rng.random() < 0.65 or step % 4 else int(rng.choice(scale)) for step in range(n_steps)]
    end = spans[-1].start + spans[-1].beats
    notes = []
    for first in range(0, round(end), 2 * beats_per_bar):
        for step, mark in enumerate(marks):
            if mark == "x":
                length = 1 + len(marks[step + 1:]) - len(marks[step + 1:].lstrip("."))
                velocity = 1.0 if moves[step] != low or not step % 4 else 0.75
                notes += [(first + step / 4, length / 4, moves[step] + tone, velocity) for tone in (0, 7, 12)]
    return [note for note in notes if note[0] < end]


def sing(melody, spans, beats_per_bar, centre, mode, key, rng):
    """A tune of phrases of two bars: a rhythm that comes back, steps in the scale, chord tones on the bar lines."""
    starts = [span.start for span in spans]
    end = spans[-1].start + spans[-1].beats
    scale = scale_pitches(mode, key, centre - melody.compass // 2, centre + (melody.compass + 1) // 2)
    phrase = 2 * beats_per_bar
    rhythms = [_rhythm(melody, phrase, rng) for _ in range(2)]
    place = len(scale) // 2
    notes = []
    for number, first in enumerate(range(0, round(end), phrase)):
        if rng.random() < melody.rest:
            continue
        onsets = rhythms[(0, 0, 1, 0)[number % 4]]
        for onset, following in zip(onsets, onsets[1:] + [phrase]):
            step = int(rng.integers(-melody.leap, melody.leap + 1))
            # Turn round at the ends of the compass instead of sticking to them.
            place = place + step if 0 <= place + step < len(scale) else place - step
            place = min(max(place, 0), len(scale) - 1)
            pitch = scale[place]
            beat = first + onset
            if onset % beats_per_bar == 0 and beat < end:
                chord = spans[bisect_right(starts, beat) - 1].chord
                pitch = min((nearest((chord.root + tone) % 12, pitch) for tone in chord.tones),
                            key=lambda tone: abs(tone - scale[place]))
            length = min(following - onset, 4.0) * melody.legato
            notes.append((beat, length, pitch, 0.7 + 0.3 * rng.random()))
    return [note for note in notes if note[0] < end]


def _rhythm(melody, beats, rng):
    """Where in a phrase of `beats` beats notes start; the phrase takes a breath at its end."""
    places = [i * melody.grid for i in range(int((beats - 0.75) / melody.grid) + 1)]
    return [0.0] + [place for place in places[1:] if rng.random() < melody.density]
