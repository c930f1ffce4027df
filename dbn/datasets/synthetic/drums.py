"""Drum sounds and grooves.

A groove names for each drum a bar of sixteenths: ``x`` a stroke, ``X`` an
accent, ``o`` a soft stroke, ``.`` none; several bars are separated by ``|``. A
bar of three beats takes the first twelve sixteenths.
"""
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfilt

from dbn.datasets.synthetic.instruments import SAMPLE_RATE

STROKES = {"X": 1.0, "x": 0.75, "o": 0.35}


@dataclass(frozen=True)
class Kit:
    """How a set of drums sounds; an artist's kit has every number drawn near the one given here.

    Attributes
    ----------
    kick, kick_sweep, kick_decay : float
        Hz that the bass drum settles at, how many times higher it starts, seconds of its decay.
    snare, snare_noise, snare_decay : float
        Hz of the snare drum's skin, level of its wires, seconds of its decay.
    metal, metal_decay : float
        Hz above which cymbals sound, seconds of a closed hi-hat's decay.
    """

    kick: float
    kick_sweep: float
    kick_decay: float
    snare: float
    snare_noise: float
    snare_decay: float
    metal: float
    metal_decay: float


KITS = {
    "drum kit": Kit(62, 2.5, 0.12, 190, 1.0, 0.07, 5000, 0.04),
    "soft drum kit": Kit(75, 1.6, 0.10, 210, 0.5, 0.06, 4500, 0.05),
    "hard drum kit": Kit(68, 4.0, 0.09, 200, 1.4, 0.09, 5500, 0.04),
    "drum machine": Kit(48, 5.0, 0.22, 175, 1.2, 0.08, 6500, 0.03),
    "timpani": Kit(60, 1.1, 0.2, 200, 0.3, 0.07, 5000, 0.05),
}

GROOVES = {
    "shuffle": {"kick": "x.......x.......", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
    "slow blues": {"kick": "x.......x.x.....", "snare": "....X.......X...", "ride": "x.xxx.xxx.xxx.xx"},
    "train": {"kick": "x...x...x...x...", "snare": "o.xoo.xoo.xoo.xX"},
    "two-beat": {"kick": "x.......x.......", "snare": "....x.......x...", "hat": "..x...x...x...x."},
    "four on the floor": {"kick": "X...X...X...X...", "snare": "....X.......X...", "hat": "x...x...x...x...",
                          "open hat": "..x...x...x...x."},
    "disco sixteenths": {"kick": "X...X...X...X...", "clap": "....X.......X...", "hat": "xoxoxoxoxoxoxoxo",
                         "conga": "...x..x....x..x."},
    "dance pop": {"kick": "X...X...X...X...", "clap": "....X.......X...", "hat": "..x...x...x...x.",
                  "shaker": "oooooooooooooooo"},
    "boom bap": {"kick": "X.....x...X.....|X..x......X..x..", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
    "lazy hop": {"kick": "X......x..x.....", "snare": "....X.......X...", "hat": "x.xox.x.x.xox.xx"},
    "electro": {"kick": "X..x..x...X.....", "clap": "....X.......X...", "hat": "xxxxxxxxxxxxxxxx",
                "cowbell": "...x..x.....x..."},
    "swing ride": {"ride": "x...x.x.x...x.x.", "hat": "....x.......x...", "kick": "o.......o...o...",
                   "snare": "......o.......o."},
    "brushes": {"shaker": "x.o.x.o.x.o.x.o.", "ride": "o...x.o.o...x.o.", "kick": "o.......o......."},
    "bossa": {"kick": "x..xx..xx..xx..x", "rim": "x..x..x...x..x..", "hat": "xoxoxoxoxoxoxoxo"},
    "double kick": {"kick": "xxxxxxxxxxxxxxxx", "snare": "....X.......X...", "crash": "x.......x......."},
    "gallop": {"kick": "x.xxx.xxx.xxx.xx", "snare": "....X.......X...", "ride": "x...x...x...x..."},
    "half-time": {"kick": "X.....x.x.......", "snare": "........X.......", "crash": "x...x...x...x..."},
    "thrash": {"kick": "x...x...x...x...", "snare": "..X...X...X...X.", "hat": "x.x.x.x.x.x.x.x."},
    "rock beat": {"kick": "X.......X.x.....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
    "rock drive": {"kick": "X.x...x.X.x...x.", "snare": "....X.......X...", "crash": "x...x...x...x..."},
    "ballad": {"kick": "x.........x.....", "rim": "....x.......x...", "hat": "x.o.x.o.x.o.x.o."},
    "pop beat": {"kick": "X.....x.x..x....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x.",
                 "tambourine": "....x.......x..."},
    "one drop": {"kick": "........X.......", "rim": "........X.......", "hat": "x.x.x.x.x.x.x.x."},
    "steppers": {"kick": "x...x...x...x...", "rim": "........X.......", "hat": "..x.o.x...x.o.xo",
                 "conga": "......x.......xx"},
    "rockers": {"kick": "x.......x.......", "snare": "....x.......X...", "hat": "x.xox.x.x.xox.x."},
    "timpani": {"tom": "x...............|................|x.......x.......|................"},
}
# Peaks of the drums beside each other.
LEVELS = {"kick": 1.0, "snare": 0.75, "clap": 0.6, "cowbell": 0.25, "hat": 0.3, "open hat": 0.3, "ride": 0.22,
          "crash": 0.35, "shaker": 0.25, "tambourine": 0.3, "rim": 0.45, "tom": 0.7, "conga": 0.35}
FILL = {"snare": "........x.xxX.xx", "tom": "..........x..x.x"}


def strokes(groove, n_bars, beats_per_bar, fill_every=8):
    """The strokes of a groove over `n_bars` bars, as (beat, drum, velocity); every `fill_every`-th ends in a fill."""
    events = []
    for bar in range(n_bars):
        is_fill = "snare" in groove and bar % fill_every == fill_every - 1
        pieces = {drum: _fill(drum, pattern) for drum, pattern in groove.items()} | FILL if is_fill else groove
        for drum, pattern in pieces.items():
            bars = pattern.split("|")
            steps = bars[bar % len(bars)][:4 * beats_per_bar]
            events += [(bar * beats_per_bar + step / 4, drum, STROKES[mark])
                       for step, mark in enumerate(steps) if mark != "."]
    return events


def _fill(drum, pattern):
    """A bar's first half; the second belongs to the fill."""
    return pattern.split("|")[0][:8]


def drum_sound(drum, kit, rng):
    """One stroke on a drum: float32 [n], its peak as in `LEVELS`."""
    sound = _MAKERS[drum](kit, rng)
    sound[-64:] *= np.linspace(1, 0, 64, dtype=np.float32)
    return (sound * (LEVELS[drum] / np.abs(sound).max())).astype(np.float32)


def _time(seconds):
    return np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _noise(seconds, decay, band, rng, order=2):
    """Noise between the two frequencies of `band`, decaying with the time constant `decay`."""
    time = _time(seconds)
    low, high = band[0], min(band[1], 0.47 * SAMPLE_RATE)
    shape = butter(order, (min(low, 0.8 * high), high), "bandpass", fs=SAMPLE_RATE, output="sos")
    return sosfilt(shape, rng.standard_normal(len(time))) * np.exp(-time / decay)


def _skin(frequency, sweep, decay):
    """A drum skin: a sine that falls from `sweep` times its frequency to it."""
    time = _time(6 * decay)
    fall = 0.025
    phase = frequency * (time + (sweep - 1) * fall * (1 - np.exp(-time / fall)))
    return np.sin(2 * np.pi * phase) * np.exp(-time / decay)


def _metal(kit, decay, rng):
    """A cymbal: noise and inharmonic partials above `kit.metal`."""
    noise = _noise(min(5 * decay, 2.0), decay, (kit.metal, 10300), rng)
    time = np.arange(len(noise)) / SAMPLE_RATE
    partials = kit.metal * rng.uniform(0.5, 1.8, 6)
    ring = np.sin(2 * np.pi * np.minimum(partials, 10000)[:, None] * time).sum(axis=0)
    return noise / np.abs(noise).max() + 0.12 * ring * np.exp(-time / decay)


def _snare(kit, rng):
    wires = _noise(6 * kit.snare_decay, kit.snare_decay, (700, 8500), rng, order=1) * kit.snare_noise
    skin = _skin(kit.snare, 1.4, kit.snare_decay * 0.6)
    wires[:len(skin)] += 0.8 * skin
    return wires


def _clap(kit, rng):
    burst = _noise(0.35, 0.06, (800, 4500), rng)
    for delay in (0.011, 0.023):
        shift = int(delay * SAMPLE_RATE)
        burst[shift:] += 0.7 * burst[:-shift]
    return burst


def _cowbell(kit, rng):
    time = _time(0.3)
    tones = np.sign(np.sin(2 * np.pi * 540 * time)) + np.sign(np.sin(2 * np.pi * 800 * time))
    return tones * np.exp(-time / 0.06)


def _kick(kit, rng):
    skin = _skin(kit.kick, kit.kick_sweep, kit.kick_decay)
    click = _noise(0.03, 0.004, (1500, 6000), rng)
    skin[:len(click)] += 0.15 * click
    return skin


_MAKERS = {
    "kick": _kick,
    "snare": _snare,
    "clap": _clap,
    "cowbell": _cowbell,
    "hat": lambda kit, rng: _metal(kit, kit.metal_decay, rng),
    "open hat": lambda kit, rng: _metal(kit, 4 * kit.metal_decay, rng),
    "ride": lambda kit, rng: _metal(kit, 7 * kit.metal_decay, rng),
    "crash": lambda kit, rng: _metal(kit, 12 * kit.metal_decay, rng),
    "shaker": lambda kit, rng: _noise(0.12, 0.03, (0.8 * kit.metal, 9000), rng),
    "tambourine": lambda kit, rng: _noise(0.25, 0.06, (1.1 * kit.metal, 10000), rng),
    "rim": lambda kit, rng: _skin(1.9 * kit.snare, 1.2, 0.02) + _noise(0.12, 0.006, (1500, 5000), rng),
    "tom": lambda kit, rng: _skin(1.7 * kit.kick, 1.5, 0.22),
    "conga": lambda kit, rng: _skin(3.6 * kit.kick, 1.15, 0.08),
}
