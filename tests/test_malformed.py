"""Files and options that nobody should trust: every one a clear message or a right result, and nothing left half done.

The cases go through the functions that the command line uses, and through the command line. A hang fails by a timer.
"""
import csv
import io
import os
import re
import signal
import struct

import numpy as np
import pytest
import soundfile

from dbn.audio.reading import expected_length, load_audio
from dbn.cli.parser import main
from dbn.datasets import folder, labels
from dbn.errors import AudioError, DatasetError, ModelFileError
from dbn.trained.model import load_model
from small_network import replace_compiled

RATE = 22050
TINY = ["--recipe", "paper", "--hidden-layers-sizes", "4", "--pretrain-epochs", "1", "--finetune-epochs", "1",
        "--jobs", "1"]


@pytest.fixture(autouse=True)
def no_hang():
    """What waits for ever fails after a minute."""
    def late(*_):
        raise AssertionError("this takes for ever")

    old = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


@pytest.fixture
def quick(monkeypatch):
    replace_compiled(monkeypatch)


def noise(n=RATE, channels=1, seed=0):
    signal_ = 0.2 * np.random.default_rng(seed).standard_normal((n, channels))
    return signal_[:, 0] if channels == 1 else signal_


def wav(samples=None, **header):
    """A 16-bit mono WAV file whose header says what it is told to: bytes."""
    samples = noise() if samples is None else samples
    data = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    fields = {"riff_size": 36 + len(data), "format_size": 16, "format": 1, "channels": 1, "rate": RATE,
              "bytes_per_second": 2 * RATE, "block": 2, "bits": 16, "data_size": len(data)} | header
    return (struct.pack("<4sI4s4sI", b"RIFF", fields["riff_size"], b"WAVE", b"fmt ", fields["format_size"])
            + struct.pack("<HHIIHH", *(fields[name] for name in ("format", "channels", "rate", "bytes_per_second",
                                                                 "block", "bits")))
            + struct.pack("<4sI", b"data", fields["data_size"]) + data)


def encoded(kind, samples=None, rate=RATE):
    """A file of this format: bytes."""
    file = io.BytesIO()
    soundfile.write(file, noise() if samples is None else samples, rate, format=kind)
    return file.getvalue()


def flac_of_length(n, rate=RATE):
    """A FLAC file of a second whose header promises `n` samples."""
    data = bytearray(encoded("FLAC", noise(rate), rate))
    data[18:26] = (int.from_bytes(data[18:26], "big") & ~(2**36 - 1) | n).to_bytes(8, "big")
    return bytes(data)


# Audio that is unusual and right.


@pytest.mark.parametrize("subtype, container", [("PCM_U8", "WAV"), ("PCM_S8", "AIFF"), ("PCM_16", "WAV"),
                                                ("PCM_24", "WAV"), ("PCM_32", "WAV"), ("FLOAT", "WAV"),
                                                ("DOUBLE", "WAV"), ("ULAW", "AU"), ("PCM_24", "FLAC"),
                                                ("VORBIS", "OGG")])
def test_sample_formats(tmp_path, subtype, container):
    soundfile.write(tmp_path / "a", noise(), RATE, subtype=subtype, format=container)
    signal_ = load_audio(tmp_path / "a")
    assert signal_.dtype == np.float32 and len(signal_) == RATE
    if subtype != "VORBIS":
        np.testing.assert_allclose(signal_, noise(), atol=0.03)


@pytest.mark.parametrize("channels", range(1, 9))
def test_channels_are_averaged(tmp_path, channels):
    samples = noise(channels=channels)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    np.testing.assert_allclose(load_audio(tmp_path / "a.wav"), samples.reshape(RATE, channels).mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 32000, 44100, 48000, 88200, 96000, 192000])
def test_rates_keep_the_pitch(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate) / rate), rate)
    signal_ = load_audio(tmp_path / "a.wav")
    assert len(signal_) == RATE
    assert abs(np.abs(np.fft.rfft(signal_)).argmax() - 1000) <= 1  # bins of 1 Hz


@pytest.mark.parametrize("samples", [noise() + 0.5, np.clip(20 * noise(), -1, 1), 1e-4 * noise(), noise(1024)],
                         ids=["offset", "clipped", "faint", "one frame"])
def test_unusual_signals_are_kept(tmp_path, samples):
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    np.testing.assert_allclose(load_audio(tmp_path / "a.wav"), samples, atol=1e-6)


@pytest.mark.parametrize("name", ["a.mp3", "a.txt", "a", "a b'\"$.wav", "ü.wav", "line\nbreak.wav",
                                  os.fsdecode(b"\xff\xfe.wav"), "-o.wav"], ids=ascii)
def test_names_say_nothing_of_the_content(tmp_path, name):
    (tmp_path / name).write_bytes(wav())
    assert len(load_audio(tmp_path / name)) == expected_length(tmp_path / name) == RATE


def test_half_an_hour_with_a_second_of_sound(tmp_path):
    """Of silence FLAC makes almost nothing: so many samples a byte are not a lie."""
    samples = np.zeros(1800 * 8000)
    samples[:8000] = noise(8000)
    (tmp_path / "a").write_bytes(encoded("FLAC", samples, 8000))
    assert len(load_audio(tmp_path / "a", 8000)) == 1800 * 8000


def test_a_name_that_stands_for_samples_without_a_header(tmp_path):
    (tmp_path / "a.raw").write_bytes(wav())
    assert len(load_audio(tmp_path / "a.raw")) == expected_length(tmp_path / "a.raw") == RATE
    (tmp_path / "b.RAW").write_bytes(noise().astype("<i2").tobytes())
    with pytest.raises(AudioError, match="of another format"):
        load_audio(tmp_path / "b.RAW")


def test_tags_behind_an_mp3_are_no_second_recording(tmp_path):
    tag = b"APETAGEX" + np.random.default_rng(0).bytes(200_000)  # a picture, say
    before = b"ID3\4\0\0\0\0" + bytes([7, 104]) + bytes(1000)
    for name, data in (("a", encoded("MP3")), ("b", encoded("MP3") + tag), ("c", before + encoded("MP3") + tag)):
        (tmp_path / name).write_bytes(data)
        assert len(load_audio(tmp_path / name)) == RATE


@pytest.mark.parametrize("size", [0, 1, 0x7FFFF000, 0xFFFFFFFF])
def test_a_length_that_nobody_knew_in_time(tmp_path, size):
    """What programs write into a pipe: the data go to the end of the file, or the file is refused."""
    (tmp_path / "a.wav").write_bytes(wav(data_size=size, riff_size=size))
    try:
        assert len(load_audio(tmp_path / "a.wav")) in (RATE, RATE + 18)
    except AudioError as error:
        assert "samples" in error.reason or "short" in error.reason


# Audio that is wrong.

WRONG = {
    "an empty file": b"",
    "one byte": b"R",
    "zeros": bytes(5000),
    "text": b"this is not music\n" * 100,
    "RIFF and no more": b"RIFF",
    "RIFF without WAVE": wav()[:8] + b"EVAW" + wav()[12:],
    "a header cut off": wav()[:20],
    "a header alone": wav()[:44],
    "half of the data": wav()[:RATE],
    "no samples": wav(np.zeros(0)),
    "few samples": wav(noise(1023)),
    "no channels": wav(channels=0),
    "65535 channels": wav(channels=65535),
    "no rate": wav(rate=0),
    "a rate of 1 Hz": wav(rate=1),
    "a rate of 4 GHz": wav(rate=0xFFFFFFFF),
    "bits that nobody uses": wav(bits=77, block=77),
    "a codec that nobody knows": wav(format=0x7777),
    "a length of gigabytes": wav(data_size=0x70000000, riff_size=0x70000024),
    "silence": wav(np.zeros(RATE)),
    "an offset alone": wav(np.full(RATE, 0.5)),
    "FLAC and no more": b"fLaC" + bytes(100),
    "Ogg and no more": b"OggS" + bytes(200),
    "MP3 and no more": b"ID3\x04\x00\x00\x00\x00\x0f\x76" + bytes(300),
    "AU of unknown length, no samples": struct.pack(">4sIIIII", b".snd", 24, 0xFFFFFFFF, 3, RATE, 1),
    "FLAC of a false length": flac_of_length(3 * 10**6),
    "FLAC of unknown length": flac_of_length(0),
    "FLAC of days": flac_of_length(10**9, 2000),
    "65 channels": encoded("WAV", noise(2000, channels=65)),
    "two Ogg files one after another": encoded("OGG") + encoded("OGG", noise(seed=1)),
    "two MP3 files one after another": encoded("MP3") + encoded("MP3", noise(seed=1)),
    "an archive": b"PK\x05\x06" + bytes(18),
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG.keys())
def test_wrong_audio_is_refused_with_a_reason(tmp_path, content):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError) as error:
        load_audio(path)
    assert str(error.value).startswith(f"{path}: ") and len(error.value.reason) > 10
    assert expected_length(path) >= 0


@pytest.mark.parametrize("name, reason", [
    ("a rate of 1 Hz", "1,000 to 768,000 Hz are read"), ("65 channels", "at most 64 are read"),
    ("FLAC of a false length", "promises 3,000,000 samples"), ("FLAC of days", "139 hours, and at most 24"),
    ("two Ogg files one after another", "only the first"), ("two MP3 files one after another", "only the first")])
def test_what_cannot_be_kept_is_not_promised(tmp_path, name, reason):
    """A corpus's frames have their places by the headers: what is refused there is left out, and named."""
    (tmp_path / "a").write_bytes(WRONG[name])
    with pytest.raises(AudioError, match=reason):
        load_audio(tmp_path / "a")
    assert expected_length(tmp_path / "a") == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(tmp_path, value):
    samples = noise()
    samples[700] = value
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match="NaN or infinite"):
        load_audio(tmp_path / "a.wav")


def special_files(directory):
    """Things that have a name like an audio file's and are none: dict of name to reason."""
    os.mkfifo(directory / "pipe.wav")
    (directory / "folder.wav").mkdir()
    (directory / "loop.wav").symlink_to("loop.wav")
    (directory / "nowhere.wav").symlink_to("nothing.wav")
    (directory / "device.wav").symlink_to("/dev/zero")
    return {"pipe.wav": "pipe", "folder.wav": "folder", "loop.wav": "symbolic links", "nowhere.wav": "no such file",
            "device.wav": "device", "a\0b.wav": "name", "a" * 300: "too long"}


def test_what_is_no_file_is_not_waited_for(tmp_path):
    for name, reason in special_files(tmp_path).items():
        path = f"{tmp_path}/{name}"
        with pytest.raises(AudioError, match=reason):
            load_audio(path)
        assert expected_length(path) == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav())
    (tmp_path / "a.wav").chmod(0)
    with pytest.raises(AudioError, match="Permission denied"):
        load_audio(tmp_path / "a.wav")


# Folders and tables.


def make_folder(root, files=3):
    for label in ("x", "y"):
        (root / label).mkdir(parents=True)
        for number in range(files):
            (root / label / f"{number}.wav").write_bytes(wav(noise(4096, seed=10 * ord(label) + number)))
    return root


def test_a_folder_full_of_wrong_files_is_still_trained_on(quick, tmp_path, capsys):
    root = make_folder(tmp_path / "music")
    for number, content in enumerate(WRONG.values()):
        (root / "x" / f"wrong {number}.wav").write_bytes(content)
    n_special = len(special_files(root / "y")) - 3  # two cannot be made, a folder is looked into
    (root / "y" / "line\nbreak.wav").write_bytes(wav())
    (root / "y" / os.fsdecode(b"\xff.wav")).write_bytes(wav())
    assert len(folder.load(root).skipped) == n_special + 2
    assert main(["train", str(root), "-o", str(tmp_path / "m.npz"), *TINY]) == 1
    out, err = capsys.readouterr()
    assert f"{len(WRONG) + n_special + 2} skipped, 6 used" in err, err
    assert len(err[err.index("skipped: "):].splitlines()) == len(WRONG) + n_special + 3
    assert load_model(tmp_path / "m.npz").about["songs"] == {"x": [1, 1, 1], "y": [1, 1, 1]}
    assert "Traceback" not in err


HEADER = "file,label\n"
ROWS = "".join(f"{label}/{number}.wav,{label}\n" for label in "xy" for number in range(3))
TABLES = {
    "an empty table": ("", "line 1: the header"),
    "a header alone": (HEADER, "no rows"),
    "no header": (ROWS, "line 1: the header"),
    "other columns": ("path,genre\n" + ROWS, "line 1: the header"),
    "semicolons": ((HEADER + ROWS).replace(",", ";"), "line 1: the header"),
    "a field too few": (HEADER + ROWS + "x/0.wav\n", "line 8: 1 field"),
    "a field too many": (HEADER + ROWS + "z.wav,x,train\n", "line 8: 3 field"),
    "an empty label": (HEADER + ROWS + "x/4.wav, \n", "line 8: an empty field"),
    "an empty file name": (HEADER + ROWS + ",x\n", "line 8: an empty field"),
    "a file twice": (HEADER + ROWS + "x/0.wav,y\n", "line 8: file 'x/0.wav' is in line 2"),
    "a way out": (HEADER + ROWS + "../secret.wav,x\n", "line 8: .* not a path within"),
    "an absolute path": (HEADER + ROWS + "/etc/passwd,x\n", "line 8: .* not a path within"),
    "a file twice, spelt otherwise": (HEADER + "x/0.wav,x\nx//0.wav,y\n", "line 3: file 'x/0.wav' is in line 2"),
    "an unknown part": ("file,label,part\nx/0.wav,x,tets\n", "line 2: unknown part 'tets'"),
    "a line break in a label": (HEADER + ROWS + 'x/4.wav,"a\nb"\n', "line break"),
    "an open quotation": (HEADER + ROWS + '"x/4.wav,x\n', "not a readable table"),
    "one label": (HEADER + ROWS.replace(",y", ",x"), r"1 label\(s\); two"),
    "files that are not there": (HEADER + "a.wav,x\nb.wav,y\n",
                                 r"0 label\(s\).* 2 files cannot be used; the first: a.wav: no such"),
    "Latin-1": ((HEADER + ROWS + "é.wav,x\n").encode("latin-1"), "not a readable table"),
    "UTF-16": ((HEADER + ROWS).encode("utf-16"), "not a readable table"),
    "zeros": (bytes(100), "line 1|NUL"),
    "a field of a megabyte": (HEADER + "x" * 2**20 + ",x\n", "not a readable table"),
    "no test songs": ("file,label,part\nx/0.wav,x,train\ny/0.wav,y,valid\n", "no usable song in part 'test'"),
    "classes too small": (HEADER + "x/0.wav,x\ny/0.wav,y\n", r"class 'x' has 1 song\(s\)"),
}


@pytest.mark.parametrize("text, message", TABLES.values(), ids=TABLES.keys())
def test_wrong_tables_name_the_line(tmp_path, capsys, text, message):
    root = make_folder(tmp_path / "music")
    table = tmp_path / "labels.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    if message.startswith(("no usable", "class")):
        corpus, _ = labels.load(root, table)
        assert len(corpus.tracks) == 2
    else:
        with pytest.raises(DatasetError, match=message):
            labels.load(root, table)
    assert_refused(tmp_path, capsys, message, "--labels", str(table))


def test_tables_as_spreadsheets_write_them(tmp_path):
    root = make_folder(tmp_path / "music")
    with open(tmp_path / "t.csv", "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
        writer.writerows([("file", "label"), ("x/0.wav", "Drum & Bass"), ("y/0.wav", "naïve, \"loud\""), ("nope", "x")])
    corpus, parts = labels.load(root, tmp_path / "t.csv")
    assert corpus.classes == ("Drum & Bass", 'naïve, "loud"')
    assert parts is None and [name for name, _ in corpus.skipped] == ["nope"]


def test_a_table_that_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("pipe", "pipe"), (".", "directory"), ("nothing", "No such file"), ("a\0", "null")):
        with pytest.raises(DatasetError, match=message):
            labels.load(tmp_path, f"{tmp_path}/{name}")


def assert_refused(tmp_path, capsys, message, *options):
    """``dbn train`` on ``music/`` says so in one message, and leaves no file behind."""
    before = sorted(tmp_path.rglob("*"))
    try:
        status = main(["train", str(tmp_path / "music"), "-o", str(tmp_path / "m.npz"), *TINY, *options])
    except SystemExit as end:  # argparse's
        status = end.code
    err = capsys.readouterr().err
    assert status == 2
    assert "Traceback" not in err and re.search(message, err), err
    assert sorted(tmp_path.rglob("*")) == before


OPTIONS = {
    "--hidden-layers-sizes 0": "hidden_layers_sizes",
    "--hidden-layers-sizes 5,,5": "hidden-layers-sizes",
    "--hidden-layers-sizes five": "hidden-layers-sizes",
    "--visible binary": "visible",
    "--output tanh": "output",
    "--pretrain-lr 0": "pretrain_lr",
    "--pretrain-lr nan": "pretrain_lr",
    "--finetune-lr inf": "finetune_lr",
    "--finetune-lr -1": "finetune_lr",
    "--pretrain-epochs -1": "pretrain_epochs",
    "--finetune-epochs 1.5": "finetune-epochs",
    "--k 0": "k is 0",
    "--batch-size 0": "batch_size",
    "--patience 0": "patience",
    "--patience none": "patience",
    "--shard-frames 0": "shard_frames",
    "--seed -1": "seed",
    "--seed 1e3": "seed",
    "--jobs 0": "--jobs",
    "--jobs -2": "--jobs",
    "--scaling decibel": "scaling",
    "--split 0.5,0.5": r"--split .*must be three positive numbers",
    "--split 0.5,0.5,0.5": r"--split .*must be three positive numbers",
    "--split 1,0,0": r"--split .*must be three positive numbers",
    "--split nan,nan,nan": r"--split .*must be three positive numbers",
    "--split a": "split",
    "--labels nothing.csv": "nothing.csv: not a readable table",
    "--hidden-layers-sizes 100000000": r"hidden_layers_sizes .* 513 inputs the weights take 205.20 GB",
    "--hidden-layers-sizes 10000,10000": "hidden_layers_sizes .* one layer up to 0.40 GB",
    "--hidden-layers-sizes " + "1," * 100 + "1": "at most 100 layers",
    "--batch-size 10000000000000000000": "batch_size",
    "--seed 10000000000000000000": "seed",
    "--patience 10000000000000000000": "patience",
    "--jobs 10000000000000000000": "--jobs",
    "--tempo 3": "tempo",
    "-o model.txt": "ends in .npz",
    "-o no/such/folder/m.npz": "there is no folder",
    "-o .": "ends in .npz",
}


@pytest.mark.parametrize("options", OPTIONS)
def test_wrong_options_name_themselves(tmp_path, capsys, options):
    make_folder(tmp_path / "music")
    assert_refused(tmp_path, capsys, OPTIONS[options], *options.split())


@pytest.mark.parametrize("make, message", [
    (lambda root: None, "No such file"),
    (lambda root: root.write_text("x"), "Not a directory"),
    (lambda root: root.mkdir(), "two classes are needed"),
    (lambda root: (root / "x").mkdir(parents=True), "two classes are needed"),
    (lambda root: make_folder(root, 2), "class 'x' has 2"),
    (lambda root: [path.write_bytes(b"") for path in make_folder(root).glob("*/*")],
     "none of 6 audio files can be used; the first: .*empty"),
], ids=["nothing", "a file", "empty", "one class", "two songs a class", "all songs bad"])
def test_folders_that_cannot_be_trained_on(tmp_path, capsys, make, message):
    make(tmp_path / "music")
    assert_refused(tmp_path, capsys, message)


def test_a_model_path_that_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "loop.npz").symlink_to("loop.npz")
    for name, message in (("pipe.npz", "pipe"), ("loop.npz", "symbolic links"), (".", "directory"),
                          ("nothing.npz", "No such file"), ("a\0.npz", "null")):
        with pytest.raises(ModelFileError, match=message):
            load_model(f"{tmp_path}/{name}")
