"""Speed of what comes before training: the features of one recording, and the frame store of a corpus."""
import shutil
from functools import partial

import joblib
import numpy as np
import scipy.fft
import soundfile

from dbn.audio.frames import FrameStore
from dbn.audio.spectra import FRAME_LENGTH, HOP_LENGTH, SAMPLE_RATE
from dbn.audio.streaming import stream_magnitudes
from dbn.datasets.corpus import Corpus, Track
from dbn.system.files import flush_to_disk
from dbn.trained.model import open_model
from experiments.bench.common import alternate, row, times_faster

MODEL = "synthetic-demo"  # the shipped model is of the paper's sizes, 513-50-50-50-10
JOBS = 2

# name, file suffix, rate in Hz, channels, target; GTZAN's clips are 22,050 Hz mono, not compressed
RECORDINGS = (("WAV, 22,050 Hz mono", ".wav", SAMPLE_RATE, 1, 2000.0),
              ("FLAC, 22,050 Hz mono", ".flac", SAMPLE_RATE, 1, None),
              ("WAV, 44,100 Hz stereo", ".wav", 2 * SAMPLE_RATE, 2, None))

STORE, DECODING, REMOVAL = "frame store", "decode + rfft (SciPy) alone, two processes", "removal of the store"
WRITING = "writing and flushing as many bytes alone, one process"


def write_noise(path, seconds, rng, rate=SAMPLE_RATE, channels=1):
    """A recording of white noise, 16 bits a sample."""
    samples = rng.integers(-2**13, 2**13, size=(round(seconds * rate), channels), dtype=np.int16)
    soundfile.write(path, samples, rate, subtype="PCM_16")


def feature_rows(sizes, folder):
    """Features of one clip, from the file to the activations of all layers, as ``dbn extract`` computes them."""
    model, rows = open_model(MODEL), []
    for number, (name, suffix, rate, channels, target) in enumerate(RECORDINGS):
        path = folder / f"recording-{number}{suffix}"
        write_noise(path, sizes.clip_seconds, np.random.default_rng(number), rate, channels)
        work = f"features of one clip of {sizes.clip_seconds:g} s, {name}"
        seconds = alternate({name: partial(_features, model, path)}, sizes.rounds, work)[name]
        rows.append(row(work, "real time", sizes.clip_seconds / seconds, "x", target,
                        note=f"{1000 * np.median(seconds):.1f} ms in a running process; nothing is compiled; "
                             "white noise"))
    return rows


def _features(model, path):
    return [model.activations(frames) for frames in stream_magnitudes(path, **model.frame_settings)]


def noise_corpus(folder, n_clips, seconds):
    """A corpus of white noise in ten classes, its clips written into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    classes, tracks = tuple(f"class{i}" for i in range(10)), []
    for number in range(n_clips):
        path = folder / f"{number:05d}.wav"
        write_noise(path, seconds, np.random.default_rng(number))
        tracks.append(Track(path.stem, path, classes[number % 10]))
    return Corpus("noise", classes, tuple(tracks))


def store_rows(sizes, folder):
    """The frame store of a corpus by two processes, against two that decode and transform and write nothing.

    And against one that writes as many bytes and does nothing else: how much the disk and its cache have to do with it.
    """
    corpus, cache = noise_corpus(folder / "clips", sizes.clips, sizes.clip_seconds), folder / "store"
    paths = [track.path for track in corpus.tracks]
    work = f"frame store of {sizes.clips:,} clips of {sizes.clip_seconds:g} s, {JOBS} jobs"
    n_bytes = FrameStore.build(corpus, cache, jobs=JOBS, progress=False).frames.nbytes
    shutil.rmtree(cache)
    contestants = {STORE: partial(FrameStore.build, corpus, cache, jobs=JOBS, progress=False),
                   REMOVAL: partial(shutil.rmtree, cache), DECODING: partial(_decode_all, paths),
                   WRITING: partial(_write, folder / "bytes", n_bytes)}
    seconds = alternate(contestants, sizes.slow_rounds, work)
    rows = []
    for peer, target in ((DECODING, 1.3), (WRITING, None)):
        [speed] = times_faster(work, seconds, STORE, {peer: None}, sizes.clips, "clips/s")
        rows.append(row(work, peer, seconds[STORE] / seconds[peer], "times as long", target, at_most=True,
                        note=f"{speed['note']}; WAV of white noise, flushed to the disk"))
    return rows


def _write(path, n_bytes):
    """A file of `n_bytes`, flushed to the disk and removed."""
    block = np.random.default_rng(0).bytes(2**20)
    with open(path, "wb", buffering=0) as file:
        for start in range(0, n_bytes, len(block)):
            file.write(block[:n_bytes - start])
    flush_to_disk(path)
    path.unlink()


def _decode_all(paths):
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        joblib.Parallel(n_jobs=JOBS)(joblib.delayed(_decode)(path) for path in paths)


def _decode(path):
    signal, _ = soundfile.read(path, dtype="float32")
    # several times as fast as NumPy's
    scipy.fft.rfft(np.lib.stride_tricks.sliding_window_view(signal, FRAME_LENGTH)[::HOP_LENGTH])
