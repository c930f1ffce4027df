"""Tones: additive, plucked-string, vocal and frequency-modulation synthesis.

A tone of the additive engine is a sum of harmonics, each with its own attack
and its own exponential decay. One period is made for every moment of the tone
by an inverse FFT, the periods are laid end to end, and the tone reads along
them; vibrato and unison voices are other ways of reading the same table.
A plucked string is the same thing: the closed form of the Karplus-Strong loop,
where a burst of noise, notched by the place where it was plucked, goes round
and loses in each round what the loop's filter takes from every harmonic.
"""
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
import scipy.fft

from dbn.datasets.synthetic.theory import hertz

SAMPLE_RATE = 22050
MAX_HARMONICS = 90


@dataclass(frozen=True)
class Timbre:
    """How an instrument sounds; an artist's instrument has every number drawn near the one given here.

    Attributes
    ----------
    family : str
        What a listener would call it: ``"guitar"``, ``"keys"``, ``"voice"``, ...
    slope : float
        Harmonic k has amplitude k**-slope.
    even : float
        Weight of the even harmonics, 0 to 1 (a clarinet has few).
    pluck : float
        Where the string is plucked, as a share of its length; 0 for no string.
        Plucked tones start from a noise burst: the phases and amplitudes of their harmonics are random.
    decay, damping : float
        Seconds in which the fundamental falls by 60 dB (0: it does not), and by how much faster
        every further harmonic does.
    attack, bloom, release : float
        Seconds of onset of the fundamental, share by which each further harmonic is later, seconds of the end.
    vibrato, scoop : float
        Depth of the vibrato, and how flat a tone begins, as shares of the frequency.
    voices, detune : int, float
        Unison voices, and the share of the frequency over which they are spread.
    noise : float
        Level of a noise at the onset (hammer, pick, breath, consonant).
    body : float
        Hz of a broad resonance; 0 for none.
    formants : float
        Factor on the frequencies of the vowels' formants (1 for a man); 0 for no voice.
    fm_ratio, fm_index : float
        Frequency modulation: the modulator's frequency as a multiple of the carrier's, and the peak
        phase deviation in radians; ratio 0 for additive synthesis.
    drive, cutoff : float
        Amplifier: gain before a soft clipping (0: none) and Hz of the low-pass after it (0: none).
    strum : float
        Seconds between the notes of a chord.
    """

    family: str
    slope: float = 1.3
    even: float = 1.0
    pluck: float = 0.0
    decay: float = 0.0
    damping: float = 0.1
    attack: float = 0.005
    bloom: float = 0.0
    release: float = 0.05
    vibrato: float = 0.0
    scoop: float = 0.0
    voices: int = 1
    detune: float = 0.0
    noise: float = 0.0
    body: float = 0.0
    formants: float = 0.0
    fm_ratio: float = 0.0
    fm_index: float = 0.0
    drive: float = 0.0
    cutoff: float = 0.0
    strum: float = 0.0


INSTRUMENTS = {
    "acoustic guitar": Timbre("guitar", 1.0, pluck=0.2, decay=3.0, damping=0.22, noise=0.05, body=210, strum=0.012),
    "clean guitar": Timbre("guitar", 1.1, pluck=0.12, decay=4.0, damping=0.16, cutoff=4500, strum=0.008),
    "muted guitar": Timbre("guitar", 0.8, pluck=0.1, decay=0.35, damping=0.05, noise=0.1, cutoff=5500, strum=0.004),
    "slide guitar": Timbre("guitar", 1.3, pluck=0.25, decay=7.0, damping=0.08, attack=0.06, vibrato=0.006,
                           cutoff=4500, scoop=0.04),
    "overdriven guitar": Timbre("guitar", 1.0, pluck=0.14, decay=6.0, damping=0.12, drive=4.0, cutoff=3600,
                                strum=0.006),
    "distorted guitar": Timbre("guitar", 0.9, pluck=0.1, decay=9.0, damping=0.07, drive=16.0, cutoff=4300),
    "lead guitar": Timbre("guitar", 0.9, pluck=0.14, decay=9.0, damping=0.06, vibrato=0.006, drive=9.0,
                          cutoff=4000, scoop=0.03),
    "banjo": Timbre("banjo", 0.5, pluck=0.07, decay=0.8, damping=0.06, noise=0.15, body=700),
    "harpsichord": Timbre("harpsichord", 0.45, pluck=0.08, decay=2.5, damping=0.05, noise=0.06),
    "electric bass": Timbre("bass", 1.5, pluck=0.2, decay=4.0, damping=0.3, cutoff=1800),
    "slapped bass": Timbre("bass", 0.9, pluck=0.08, decay=2.5, damping=0.14, noise=0.12, cutoff=4000),
    "upright bass": Timbre("bass", 1.7, pluck=0.3, decay=2.0, damping=0.5, noise=0.05, body=110, attack=0.012),
    "synth bass": Timbre("bass", 1.0, decay=1.6, damping=0.25, attack=0.004, voices=2, detune=0.003),
    "sub bass": Timbre("bass", 3.0, decay=5.0, damping=0.5, attack=0.008, release=0.1, drive=1.5),
    "piano": Timbre("keys", 1.35, decay=5.0, damping=0.22, attack=0.003, release=0.12, voices=2,
                    detune=0.0008, noise=0.04),
    "electric piano": Timbre("keys", decay=3.5, fm_ratio=1.0, fm_index=1.1, attack=0.003, release=0.1, noise=0.02),
    "vibraphone": Timbre("mallets", decay=4.5, fm_ratio=3.98, fm_index=0.35, attack=0.003, release=0.25),
    "synth bells": Timbre("synth", decay=2.5, fm_ratio=3.5, fm_index=1.6, attack=0.003, release=0.3),
    "organ": Timbre("keys", 0.9, even=0.8, attack=0.01, release=0.04, vibrato=0.004, voices=2, detune=0.002,
                    cutoff=4000),
    "accordion": Timbre("keys", 0.8, attack=0.04, release=0.06, voices=2, detune=0.006, body=900),
    "strings": Timbre("strings", 1.15, attack=0.12, bloom=0.03, release=0.25, vibrato=0.003, voices=4,
                      detune=0.007, body=500),
    "violin": Timbre("strings", 1.05, attack=0.06, bloom=0.05, release=0.1, vibrato=0.006, noise=0.02,
                     body=900, scoop=0.01),
    "cello": Timbre("strings", 1.1, attack=0.08, bloom=0.04, release=0.12, vibrato=0.004, noise=0.02, body=350),
    "flute": Timbre("winds", 2.2, attack=0.06, release=0.08, vibrato=0.005, noise=0.06),
    "clarinet": Timbre("winds", 1.2, even=0.15, attack=0.04, release=0.06, noise=0.01),
    "harmonica": Timbre("winds", 0.75, attack=0.05, release=0.05, vibrato=0.004, voices=2, detune=0.003,
                        body=1300, cutoff=4500, scoop=0.02),
    "saxophone": Timbre("brass", 0.95, attack=0.03, bloom=0.1, release=0.06, vibrato=0.005, noise=0.05,
                        body=650, scoop=0.02),
    "trumpet": Timbre("brass", 0.8, attack=0.03, bloom=0.15, release=0.05, vibrato=0.004, noise=0.02,
                      body=1100, scoop=0.01),
    "horn section": Timbre("brass", 0.9, attack=0.03, bloom=0.12, release=0.06, voices=3, detune=0.005, body=800),
    "french horn": Timbre("brass", 1.7, attack=0.06, bloom=0.2, release=0.12, voices=2, detune=0.002, body=400),
    "synth lead": Timbre("synth", 1.0, attack=0.008, release=0.08, vibrato=0.003, voices=3, detune=0.006, cutoff=5000),
    "synth pad": Timbre("synth", 1.4, attack=0.2, bloom=0.05, release=0.4, voices=3, detune=0.008),
    "male voice": Timbre("voice", 1.0, attack=0.04, release=0.08, vibrato=0.006, noise=0.06, formants=1.0, scoop=0.03),
    "female voice": Timbre("voice", 1.15, attack=0.05, release=0.08, vibrato=0.008, noise=0.05,
                           formants=1.17, scoop=0.03),
    "rapping voice": Timbre("voice", 0.85, attack=0.015, release=0.03, noise=0.25, formants=1.02,
                            vibrato=0.001, scoop=-0.06),
    "choir": Timbre("voice", 1.2, attack=0.15, release=0.3, vibrato=0.006, voices=4, detune=0.009, formants=1.08),
}

# Formant frequencies in Hz of a man's vowels, and their relative levels.
VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))
FORMANT_LEVELS = (1.0, 0.5, 0.25)
N_SYLLABLES = len(VOWELS)


# What varies less than the rest from one instrument of a kind to the next: vowels stay vowels, bells stay bells.
STEADY = {"fm_ratio": 0.0, "formants": 0.25, "slope": 0.6}


def personal(timbre, rng, spread=0.15):
    """The timbre with every number multiplied by its own log-normal factor, `spread` being the deviation of its log."""
    changes = {}
    for field in fields(timbre):
        if field.name not in ("family", "voices"):
            deviation = spread * STEADY.get(field.name, 1.0) * np.clip(rng.standard_normal(), -2, 2)
            changes[field.name] = float(getattr(timbre, field.name) * np.exp(deviation))
    return replace(timbre, **changes | {"even": min(1.0, changes["even"])})


class Player:
    """An instrument in somebody's hands: makes tones on request and keeps them.

    Parameters
    ----------
    timbre : Timbre
    seed : int
        Fixes the noise in the tones; a tone does not depend on which were asked for before it.
    """

    def __init__(self, timbre, seed):
        self.timbre = timbre
        self.seed = seed
        self._tones = {}

    def tone(self, pitch, n_samples, syllable=0):
        """A tone that lasts at least `n_samples`: float32 [>= n_samples], root mean square of the order of 1.

        A singer's tones differ by `syllable`, 0 to `N_SYLLABLES` - 1; other instruments ignore it.
        """
        syllable = syllable if self.timbre.formants else 0
        known = self._tones.get((pitch, syllable))
        if known is None or len(known) < n_samples:
            rng = np.random.default_rng([self.seed, pitch, syllable])
            make = _fm_tone if self.timbre.fm_ratio else _additive_tone
            known = make(self.timbre, hertz(pitch), n_samples, syllable, rng)
            known = known + _onset_noise(self.timbre.noise, n_samples, rng) if self.timbre.noise else known
            self._tones[pitch, syllable] = known
        return known


def _additive_tone(timbre, frequency, n_samples, syllable, rng):
    """A sum of harmonics, float32 [n_samples] (see the module's docstring)."""
    n_harmonics = int(np.clip(0.46 * SAMPLE_RATE / frequency, 1, MAX_HARMONICS))
    harmonic = np.arange(1, n_harmonics + 1)
    start, end = _amplitudes(timbre, frequency, harmonic, syllable)
    phases = rng.uniform(0, 2 * np.pi, n_harmonics)
    if timbre.pluck:
        burst = rng.rayleigh(0.8, n_harmonics)
        start, end = start * burst, end * burst

    reading = _positions(timbre, frequency, n_samples, rng)
    n_periods = int(max(position[-1] for position in reading)) + 3
    time = (np.arange(n_periods, dtype=np.float32) / np.float32(frequency))[:, None]
    envelope = 1 - np.exp(-time / (timbre.attack * (1 + timbre.bloom * (harmonic - 1))).astype(np.float32))
    if timbre.decay:
        envelope *= np.exp(-time * (6.9 / timbre.decay * (1 + timbre.damping * (harmonic - 1))).astype(np.float32))
    size = 1 << int(np.ceil(np.log2(3 * n_harmonics + 8)))
    spectra = np.zeros((n_periods, size // 2 + 1), np.complex64)
    glide = np.minimum(time / 0.25, 1) if timbre.formants else np.float32(0)
    phasors = np.exp(1j * phases)
    spectra[:, 1:n_harmonics + 1] = envelope * ((start * phasors).astype(np.complex64)
                                                + glide * ((end - start) * phasors).astype(np.complex64))
    periods = scipy.fft.irfft(spectra, size, axis=1).ravel()
    periods *= size / (2 * np.sqrt(np.sum(start ** 2)) * np.sqrt(len(reading)))

    signal = np.zeros(n_samples, np.float32)
    for position in reading:
        position *= size
        index = position.astype(np.int32)
        below = periods[index]
        signal += below + (position - index).astype(np.float32) * (periods[index + 1] - below)
    return signal


def _positions(timbre, frequency, n_samples, rng):
    """Where each unison voice is in its vibrating, in periods: a list of float64 [n_samples]."""
    time = np.arange(n_samples) / SAMPLE_RATE
    bend = 0.0
    if timbre.vibrato:
        rate = rng.uniform(4.8, 6.2)
        grown = np.minimum(time / 0.4, 1)
        bend = grown * timbre.vibrato / (2 * np.pi * rate) * np.sin(2 * np.pi * rate * time)
    # The integral of a flatness that is gone within a few times 0.06 s.
    if timbre.scoop:
        bend = bend - timbre.scoop * 0.06 * (1 - np.exp(-time / 0.06))
    spread = np.linspace(-0.5, 0.5, timbre.voices) * timbre.detune if timbre.voices > 1 else [0.0]
    starts = rng.uniform(0, 1, timbre.voices) if timbre.voices > 1 else [0.0]
    return [np.maximum(frequency * (1 + shift) * (time + bend), 0) + start for shift, start in zip(spread, starts)]


def _amplitudes(timbre, frequency, harmonic, syllable):
    """Amplitudes of the harmonics where a tone starts and ends; they differ only for a voice, which moves its vowel."""
    amplitude = harmonic ** -float(timbre.slope)
    amplitude[1::2] *= timbre.even
    if timbre.pluck:
        amplitude *= np.abs(np.sin(np.pi * harmonic * timbre.pluck)) + 0.05
    if timbre.body:
        octaves = np.log2(harmonic * frequency / timbre.body)
        amplitude *= 0.4 + np.exp(-octaves ** 2)
    if not timbre.formants:
        return amplitude, amplitude
    vowels = VOWELS[syllable], VOWELS[(2 * syllable + 1) % N_SYLLABLES]
    return tuple(amplitude * _vocal_tract(harmonic * frequency / timbre.formants, vowel) for vowel in vowels)


def _vocal_tract(frequencies, vowel):
    """Gain of a vowel's three resonances at the given frequencies."""
    gains = [level / (1 + ((frequencies - centre) / (60 + 0.06 * centre)) ** 2)
             for centre, level in zip(vowel, FORMANT_LEVELS)]
    return 0.02 + np.sum(gains, axis=0)


def _fm_tone(timbre, frequency, n_samples, syllable, rng):
    """Two-operator frequency modulation whose brightness decays faster than its loudness."""
    time = np.arange(n_samples, dtype=np.float32) / np.float32(SAMPLE_RATE)
    omega = np.float32(2 * np.pi * frequency)
    # Bandwidth grows with index and modulator (Carson): bound it so that high notes do not fold over.
    room = (0.45 * SAMPLE_RATE - frequency) / (frequency * timbre.fm_ratio) - 1
    index = np.float32(np.clip(timbre.fm_index, 0, max(room, 0)))
    loudness = np.exp(-time * np.float32(6.9 / timbre.decay)) * (1 - np.exp(-time / np.float32(timbre.attack)))
    index = index * np.exp(-time * np.float32(20.0 / timbre.decay))
    return loudness * np.sin(omega * time + index * np.sin(omega * np.float32(timbre.fm_ratio) * time))


def _onset_noise(level, n_samples, rng):
    """Noise that dies away within a few hundredths of a second, float32 [n_samples]."""
    n_noise = min(n_samples, SAMPLE_RATE // 10)
    noise = np.zeros(n_samples, np.float32)
    noise[:n_noise] = rng.standard_normal(n_noise, np.float32) * _onset_decay()[:n_noise] * level
    return noise


@lru_cache(maxsize=1)
def _onset_decay():
    return np.exp(-np.arange(SAMPLE_RATE // 10, dtype=np.float32) / (0.018 * SAMPLE_RATE))
