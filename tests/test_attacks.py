"""Headers and metadata that a stranger chose, in a process that has little memory: right results, or our own errors.

The process is this file as a program. When all is imported it takes away its own memory, but for `ROOM`.
"""
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from command_line import REPOSITORY, SETTINGS, SIZES
from dbn.audio import load_audio, stream_magnitudes
from dbn.audio.reading import expected_length
from dbn.audio.scaling import Scaling
from dbn.cli.parser import main
from dbn.datasets import labels
from dbn.errors import AudioError, DatasetError
from dbn.trained.model import Model, save_model

ROOM = 300 * 2**20  # bytes of address space

attacked = settings(max_examples=300, derandomize=True, deadline=None, database=None)

numbers = st.one_of(st.integers(-2**70, 2**70), st.integers(-2, 3), st.sampled_from([2**n for n in range(8, 64)]),
                    st.floats(), st.sampled_from([64, 32, 22050, 10**9]))
values = st.recursive(numbers | st.text(max_size=5) | st.none() | st.booleans() | st.sampled_from(["hann", "mean-4"]),
                      lambda inner: (st.lists(inner, max_size=3)
                                     | st.dictionaries(st.text(max_size=3), inner, max_size=2)), max_leaves=4)
entries = st.sampled_from(["version", "visible", "output", "n_layers", "classes", "scaling", "history", "about",
                           "activation"])
frame_entries = st.sampled_from([*SETTINGS, "pooling", "more"])


def write_model(path):
    """A small model; its metadata as a dict."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape).astype("f4") for shape in zip(SIZES, SIZES[1:])]
    save_model(path, Model(weights, [np.zeros(n, "f4") for n in SIZES[1:]], [np.zeros(n, "f4") for n in SIZES[:-2]],
                           "bernoulli", "softmax", Scaling("max").fit([np.ones((1, SIZES[0]), "f4")]), ("a", "b", "c"),
                           SETTINGS))
    return json.loads(str(np.load(path)["meta"]))


def with_meta(path, meta):
    """Give a model file other metadata."""
    arrays = dict(np.load(path)) | {"meta": np.array(json.dumps(meta))}
    np.savez(path, **arrays)


def command(*arguments):
    """Exit status of ``dbn``, and what it says on standard error."""
    with (contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())),
          contextlib.redirect_stderr(io.StringIO()) as error):
        return main(arguments), error.getvalue()


def attack_with_metadata(folder):
    """Any value in any place of a model's metadata: the commands end as they should."""
    write_wav(folder / "song.wav")
    meta = write_model(folder / "model.npz")

    @attacked
    @given(st.dictionaries(entries, values, max_size=2), st.dictionaries(frame_entries, values, max_size=2))
    def attack(changes, frame_changes):
        with_meta(folder / "model.npz", meta | changes | {"frame_settings": meta["frame_settings"] | frame_changes})
        for arguments in (["info", "model.npz"], ["classify", "model.npz", "song.wav"]):
            status, said = command(*arguments)
            is_short = status == 1 and "too short" in said  # at the rate that the model asks for
            assert status == 0 and not said or status == 2 and said.count("\n") == 1 or is_short, said

    attack()


def write_wav(path, n=4096):
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, n), 22050, subtype="PCM_16", format="WAV")


# Where a header has numbers: (offset, bytes, byte order).
FIELDS = {"WAV": [(20, 2, "little"), (22, 2, "little"), (24, 4, "little"), (32, 2, "little"), (34, 2, "little"),
                  (40, 4, "little")],
          "AU": [(4, 4, "big"), (8, 4, "big"), (12, 4, "big"), (16, 4, "big"), (20, 4, "big")],
          "AIFF": [(4, 4, "big"), (20, 2, "big"), (22, 4, "big"), (26, 2, "big"), (28, 10, "big")],
          "FLAC": [(8, 2, "big"), (10, 2, "big"), (18, 8, "big")]}
headers = st.sampled_from(sorted(FIELDS)).flatmap(lambda kind: st.tuples(st.just(kind), st.lists(st.tuples(
    st.sampled_from(FIELDS[kind]), st.integers(0, 2**80) | st.sampled_from([0, 1, 2, 64, 255, 2**16 - 1, 2**31 - 1,
                                                                           2**32 - 1, 192000])), max_size=3)))


def attack_with_headers(folder):
    """Any channels, rates and lengths in a header: what is read is bounded, and what is promised too."""
    signal, path = np.random.default_rng(0).uniform(-0.5, 0.5, 4096), folder / "audio"
    whole = {}
    for kind in FIELDS:
        soundfile.write(path, signal, 22050, format=kind)
        whole[kind] = path.read_bytes()

    @attacked
    @given(headers)
    def attack(header):
        kind, changes = header
        data = bytearray(whole[kind])
        for (offset, n, order), value in changes:
            data[offset:offset + n] = (value % 256**n).to_bytes(n, order)
        path.write_bytes(data)
        assert expected_length(path) <= 25 * len(data) * 22
        try:
            assert np.isfinite(load_audio(path)).all()
        except AudioError:
            return
        for magnitudes in stream_magnitudes(path):
            assert np.isfinite(magnitudes).all()

    attack()


def attack_with_channels(folder):
    """Ten seconds of 64 channels at 192 kHz are 250 MB of samples, and a file of zeros that takes no room."""
    n = 64 * 2 * 1_920_000
    header = io.BytesIO()
    soundfile.write(header, np.ones((1, 64)), 192_000, subtype="PCM_16", format="WAV")
    data = bytearray(header.getvalue()[:-128])
    data[-4:] = n.to_bytes(4, "little")
    (folder / "wide.wav").write_bytes(data)
    os.truncate(folder / "wide.wav", len(data) + n)
    with pytest.raises(AudioError, match="silent"):
        load_audio(folder / "wide.wav")


def attack_with_a_line(folder):
    """A table of one line, of 500 MB that take no room."""
    (folder / "table.csv").write_text("file,label\n")
    os.truncate(folder / "table.csv", 500 * 2**20)
    with pytest.raises(DatasetError, match="line 2 is longer than"):
        labels.load(folder, folder / "table.csv")


def attack_with_arrays(folder):
    """Many arrays that each have as many bytes as one may, by what the archive says."""
    write_model(folder / "model.npz")
    small = 123_457
    with zipfile.ZipFile(folder / "model.npz", "a") as archive:
        for number in range(5):
            archive.writestr(f"more{number}.npy", bytes(small))
    data = (folder / "model.npz").read_bytes()
    (folder / "model.npz").write_bytes(data.replace(small.to_bytes(4, "little"), (2**28).to_bytes(4, "little")))
    status, said = command("info", "model.npz")
    assert status == 2 and "a model at most 1,073,741,824" in said


def attack_with_a_text(folder):
    """Twenty million empty lists, in a file of 200 kB."""
    meta = write_model(folder / "model.npz")
    text = json.dumps(meta)[:-1] + ', "more": [' + "[]," * 2 * 10**7 + "[]]}"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": f"<U{len(text)}", "fortran_order": False, "shape": ()})
    with zipfile.ZipFile(folder / "model.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("meta.npy", "w") as member:
            member.write(header.getvalue())
            for start in range(0, len(text), 2**20):
                member.write(text[start:start + 2**20].encode("utf-32-le"))
    status, said = command("info", "model.npz")
    assert status == 2 and "at most 67,108,864 are read" in said


def attack_with_sizes(folder):
    """What is large and no guess."""
    for attack in (attack_with_channels, attack_with_a_line, attack_with_arrays, attack_with_a_text):
        attack(folder)


ATTACKS = [attack_with_metadata, attack_with_headers, attack_with_sizes]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system tells no process its memory")
@pytest.mark.parametrize("attack", [attack.__name__ for attack in ATTACKS])
def test_with_little_memory(attack):
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])
    done = subprocess.run([sys.executable, __file__, attack], timeout=100, capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": paths})
    assert done.returncode == 0, done.stderr[-3000:]


if __name__ == "__main__":
    import scipy.fft  # noqa: F401  before the memory is gone
    import scipy.signal
    scipy.signal.resample_poly(np.ones(9), 2, 3)
    attacked(given(values)(lambda value: None))()  # Hypothesis makes its tables of letters when first it needs one
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        globals()[sys.argv[1]](Path(name))
