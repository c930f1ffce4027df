"""What happens to a sound after it was played: amplifier, room, tone controls, tape, limiter."""
import numpy as np
from scipy.signal import butter, oaconvolve, sosfilt

from dbn.datasets.synthetic.instruments import SAMPLE_RATE


def low_pass(signal, cutoff, order=2):
    """Butterworth low-pass at `cutoff` Hz, nothing if that is near half the sample rate; float32 in, float32 out."""
    if cutoff > 0.48 * SAMPLE_RATE:
        return signal
    return _filter(signal, butter(order, cutoff, "lowpass", fs=SAMPLE_RATE, output="sos"))


def high_pass(signal, cutoff, order=2):
    """Butterworth high-pass at `cutoff` Hz; float32 in, float32 out."""
    return _filter(signal, butter(order, cutoff, "highpass", fs=SAMPLE_RATE, output="sos"))


def _filter(signal, sections):
    return sosfilt(sections.astype(np.float32), signal)


def overdrive(signal, drive):
    """Soft clipping, `drive` times what just begins to saturate, at about the level that went in."""
    level = np.float32(drive / (2.5 * rms(signal) + 1e-9))
    return np.tanh(signal * level) / level * np.float32(np.sqrt(1 + drive ** 2) / 1.5)


def peaking_section(frequency, gain_db, q):
    """Second-order section [1, 6] of a peaking equaliser: `gain_db` decibels at `frequency` Hz, width 1/`q`."""
    gain = 10 ** (gain_db / 40)
    omega = 2 * np.pi * frequency / SAMPLE_RATE
    alpha = np.sin(omega) / (2 * q)
    numerator = np.array([1 + alpha * gain, -2 * np.cos(omega), 1 - alpha * gain])
    denominator = np.array([1 + alpha / gain, -2 * np.cos(omega), 1 - alpha / gain])
    return np.concatenate([numerator, denominator])[None] / denominator[0]


def shelf_section(frequency, gain_db):
    """Section [1, 6] of a shelf: `gain_db` decibels far above `frequency` Hz, none far below (one pole, one zero)."""
    gain = 10 ** (gain_db / 40)
    omega = np.tan(np.pi * frequency / SAMPLE_RATE)
    numerator = np.array([gain * gain + gain * omega, gain * omega - gain * gain, 0])
    denominator = np.array([1 + gain * omega, gain * omega - 1, 0])
    return np.concatenate([numerator, denominator])[None] / denominator[0]


def equalise(signal, bands, treble):
    """The signal through peaking filters, `bands` being (Hz, dB, q) triples, and a shelf of `treble` dB at 2.5 kHz."""
    sections = [peaking_section(*band) for band in bands] + [shelf_section(2500, treble)]
    return _filter(signal, np.concatenate(sections))


def room(seconds, brightness, rng):
    """Impulse response of a room: noise that falls by 60 dB in `seconds`, duller than `brightness` Hz, unit energy."""
    n_samples = int(seconds * SAMPLE_RATE)
    time = np.arange(n_samples, dtype=np.float32) / np.float32(SAMPLE_RATE)
    response = rng.standard_normal(n_samples, np.float32) * np.exp(-time * np.float32(6.9 / seconds))
    response = low_pass(response, brightness, order=1)
    return response / np.sqrt(np.sum(response ** 2))


def reverberate(signal, response):
    """The signal in the room, as long as it was and without its direct sound."""
    return oaconvolve(signal, response)[:len(signal)]


def limit(signal, threshold=0.7):
    """Nothing below `threshold`; above it a curve that never reaches full scale."""
    over = np.abs(signal) - np.float32(threshold)
    headroom = np.float32(0.995 - threshold)
    loud = over > 0
    limited = signal.copy()
    limited[loud] = np.sign(signal[loud]) * (threshold + headroom * np.tanh(over[loud] / headroom))
    return limited


def rms(signal):
    """Root mean square of a signal."""
    return float(np.sqrt(np.mean(np.square(signal), dtype=np.float64)))
