import csv
import hashlib
import subprocess
import sys
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import soundfile

from dbn.datasets import gtzan
from dbn.errors import DatasetError

NAMES = ("blues.00000", "blues.00001", "jazz.00000", "rock.00000")


def samples_of(name):
    """Noise of its own for each track, but the same for rock.00000 and jazz.00000."""
    name = "jazz.00000" if name == "rock.00000" else name
    return np.random.default_rng(list(name.encode())).integers(-2**15, 2**15, 500, dtype=np.int16)


def write(path, name, rate=22050):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples_of(name), rate, subtype="PCM_16")


@pytest.fixture
def index(tmp_path):
    """A track list of four tracks; the MD5s are those of WAV files on disk."""
    rows = [gtzan.INDEX_COLUMNS]
    for name in NAMES:
        write(tmp_path / "official" / f"{name}.wav", name)
        md5 = hashlib.md5((tmp_path / "official" / f"{name}.wav").read_bytes()).hexdigest()
        rows.append((name, name.split(".")[0], md5, "Hooker, John Lee" if name < "c" else "", "train"))
    with open(tmp_path / "tracks.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return tmp_path / "tracks.csv"


@pytest.fixture
def root(tmp_path):
    """The four tracks, in all three formats."""
    for name, suffix in zip(NAMES, ("au", "wav", "flac", "au")):
        write(tmp_path / "root" / "genres" / name.split(".")[0] / f"{name}.{suffix}", name)
    return tmp_path / "root"


def test_index_is_the_whole_data_set():
    entries = gtzan.read_index()
    assert len(entries) == 1000
    assert [sum(entry.genre == genre for entry in entries.values()) for genre in gtzan.GENRES] == [100] * 10
    assert all(name.startswith(f"{entry.genre}.") and len(entry.md5) == 32 for name, entry in entries.items())
    assert {entry.part for entry in entries.values()} == {"train", "valid", "test", "excluded"}


def test_identical_pairs_of_the_data_set():
    pairs = gtzan.identical_pairs()
    assert len(pairs) == 14 and ("metal.00058", "rock.00016") in pairs
    md5 = [line.split(",")[2] for line in gtzan.find_index().read_text(encoding="utf-8").splitlines()[1:]]
    assert len(md5) - len(set(md5)) == 14  # counted without the code under test
    assert gtzan.identical_pairs(["metal.00058", "rock.00016", "blues.00000"]) == [("metal.00058", "rock.00016")]
    assert gtzan.identical_pairs(["metal.00058", "rock.00017"]) == []


def test_the_index_is_looked_for_in_the_checkout_then_in_the_installation(tmp_path, monkeypatch):
    here, there = tmp_path / "repository.csv", tmp_path / "installed.csv"
    monkeypatch.setattr(gtzan, "INDEX_PLACES", (here, there))
    with pytest.raises(DatasetError, match="repository.csv.*installed.csv"):
        gtzan.read_index()
    there.write_text("")
    assert gtzan.find_index() == there
    here.write_text("")
    assert gtzan.find_index() == here


@pytest.mark.parametrize("text, message", [
    ("", "first line"), ("track,genre\n", "first line"), ("\xff", "not a readable"),
    ("{head}\na.0,a,0,x\n", "line 2: incomplete"), ("{head}\na.0,a,0,x,train,y\n", "line 2: incomplete"),
    ("{head}\na.0,a,0,x,train\na.0,a,0,x,test\n", "line 3: .*second line")])
def test_damaged_indices(tmp_path, text, message):
    path = tmp_path / "tracks.csv"
    path.write_text(text.format(head=",".join(gtzan.INDEX_COLUMNS)), encoding="latin-1")
    with pytest.raises(DatasetError, match=f"tracks.csv.*{message}"):
        gtzan.read_index(path)


@pytest.mark.parametrize("level", ["", "genres"])
def test_load_with_and_without_the_genres_level(root, index, level):
    corpus = gtzan.load(root / level, index)
    assert corpus.name == "gtzan" and corpus.classes == ("blues", "jazz", "rock") and corpus.skipped == ()
    assert tuple(track.name for track in corpus.tracks) == NAMES
    assert [track.artist for track in corpus.tracks] == ["Hooker, John Lee", "Hooker, John Lee", "", ""]
    assert all(track.path.is_file() and track.path.name.startswith(track.name) for track in corpus.tracks)
    assert [track.label for track in corpus.tracks] == ["blues", "blues", "jazz", "rock"]


def test_load_says_what_it_leaves_out(root, index):
    genres = root / "genres"
    for junk in ("._blues.00000.au", ".DS_Store", "notes.txt"):
        (genres / "blues" / junk).write_bytes(b"junk")
    (genres / ".hidden").mkdir()
    write(genres / "polka" / "polka.00000.wav", "polka.00000")
    write(genres / "blues" / "blues.00000.wav", "blues.00000")
    write(genres / "blues" / "BLUES.00001.FLAC", "blues.00001")
    write(genres / "blues" / "blues.00099.wav", "blues.00099")
    write(genres / "jazz" / "rock.00000.wav", "rock.00000")
    write(genres / "jazz" / "solo.wav", "solo")
    corpus = gtzan.load(root, index)
    assert [track.path.name for track in corpus.tracks] == ["blues.00000.au", "blues.00001.wav", "jazz.00000.flac",
                                                            "rock.00000.au"]
    assert set(corpus.skipped) == {
        ("genres/polka", "not one of GTZAN's ten genres"),
        ("genres/blues/blues.00000.wav", "blues.00000.au is there too and is taken"),
        ("genres/blues/BLUES.00001.FLAC", "blues.00001.wav is there too and is taken"),
        ("genres/blues/blues.00099.wav", "not a blues track of GTZAN's list"),
        ("genres/jazz/rock.00000.wav", "not a jazz track of GTZAN's list"),
        ("genres/jazz/solo.wav", "not a jazz track of GTZAN's list")}


def test_wrong_roots(tmp_path):
    (tmp_path / "genres" / "blues").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    for root, message in ((tmp_path, "looked for files such as genres/blues/blues.00000.au"),
                          (tmp_path / "nothing", "No such file"), (tmp_path / "file", "Not a directory")):
        with pytest.raises(DatasetError, match=message):
            gtzan.load(root)


def test_validate_compares_samples_whatever_the_format(root, index):
    report = gtzan.validate(root, index)
    assert report == gtzan.ValidationReport(NAMES, (), (), (), (), (("jazz.00000", "rock.00000"),))
    assert report.is_complete


def test_validate_finds_what_is_wrong(root, index):
    genres = root / "genres"
    (genres / "blues" / "blues.00001.wav").unlink()
    (genres / "jazz" / "jazz.00000.flac").write_bytes(b"fLaC, but damaged")
    write(genres / "rock" / "rock.00000.au", "rock.00000", rate=44100)
    write(genres / "rock" / "rock.00001.au", "rock.00001")
    report = gtzan.validate(root, index)
    assert report.matching == ("blues.00000",)
    assert report.missing == ("blues.00001",)
    assert report.differing == ("rock.00000",)
    assert report.extra == (("genres/rock/rock.00001.au", "not a rock track of GTZAN's list"),)
    assert [name for name, _ in report.unreadable] == ["jazz.00000"]
    assert report.identical_pairs == () and not report.is_complete
    lines = str(report).splitlines()
    assert lines[1:3] == ["missing     1: blues.00001", "differing   1: rock.00000"]
    assert lines[3].startswith("unreadable  1: jazz.00000 (")


def test_a_long_report_stays_short():
    names = tuple(gtzan.read_index())
    text = str(gtzan.ValidationReport((), names[:150], names[:150], (), (), ()))
    assert "missing     150: blues 100, classical 50\n" in text
    assert "blues.00019, and 130 more\n" in text and "blues.00020" not in text


def test_a_wav_with_another_header_holds_the_same_samples(root, index):
    path = root / "genres" / "blues" / "blues.00001.wav"
    plain = path.read_bytes()
    soundfile.write(path, samples_of("blues.00001"), 22050, format="WAVEX", subtype="PCM_16")
    assert path.read_bytes() != plain
    assert "blues.00001" in gtzan.validate(root, index).matching


def test_one_changed_sample_differs(root, index):
    path = root / "genres" / "blues" / "blues.00000.au"
    samples, rate = soundfile.read(path, dtype="int16")
    samples[-1] ^= 1
    soundfile.write(path, samples, rate, subtype="PCM_16")
    assert gtzan.validate(root, index).differing == ("blues.00000",)


def test_a_track_that_promises_hours_is_not_waited_for(root, index):
    path = root / "genres" / "jazz" / "jazz.00000.flac"
    data = bytearray(path.read_bytes())
    data[21] |= 15  # the upper bits of its number of samples
    path.write_bytes(data)
    [(name, why)] = gtzan.validate(root, index).unreadable
    assert (name, why) == ("jazz.00000", "more than 10,000,000 samples, which no track has")


def test_real_clips_hold_the_official_samples(gtzan_mini):
    report = gtzan.validate(gtzan_mini, progress=False)
    assert len(report.matching) == 100 and len(report.missing) == 900
    assert report.differing == report.extra == report.unreadable == report.identical_pairs == ()
    corpus = gtzan.load(gtzan_mini)
    assert corpus.classes == gtzan.GENRES
    assert {track.artist for track in corpus.tracks if track.label == "blues"} == {"John Lee Hooker"}


@pytest.fixture
def served(root, index, tmp_path, monkeypatch):
    """``(address, options)`` of a small archive of the tree on a local server."""
    monkeypatch.setattr(gtzan, "UNPACKED_BYTES", 10**6)
    www = tmp_path / "www"
    www.mkdir()
    with tarfile.open(www / "genres.tar.gz", "w:gz") as tar:
        tar.add(root / "genres", "genres")
    content = (www / "genres.tar.gz").read_bytes()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=www)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield (f"http://127.0.0.1:{server.server_port}/genres.tar.gz",
               {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "progress": False})
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("keep", [False, True])
def test_download_gives_a_corpus_once(served, index, tmp_path, keep):
    address, options = served
    got = tmp_path / "got"
    assert gtzan.download(got, address, keep_archive=keep, **options)
    assert sorted(file.name for file in got.iterdir()) == ["genres", "genres.tar.gz"][:1 + keep]
    assert gtzan.validate(got, index).is_complete
    (got / "genres" / "mine").write_text("kept")
    assert not gtzan.download(got, "http://127.0.0.1:9/unreachable", **options)
    assert (got / "genres" / "mine").exists()


def test_an_archive_got_by_hand_is_unpacked(served, index, tmp_path):
    _, options = served
    got = tmp_path / "got"
    got.mkdir()
    (got / "genres.tar.gz").write_bytes((tmp_path / "www" / "genres.tar.gz").read_bytes())
    assert gtzan.download(got, "http://127.0.0.1:9/unreachable", **options)
    assert gtzan.validate(got, index).is_complete


def test_the_official_archive_is_not_any_archive(served, tmp_path):
    address, _ = served
    with pytest.raises(DatasetError, match="not 1,225,571,541"):
        gtzan.download(tmp_path / "got", address, progress=False)
    assert not (tmp_path / "got" / "genres").exists()


def test_command_line(root, tmp_path, capsys):
    assert gtzan.main(["validate", "--root", str(root)]) == 1  # none of these is the real track
    assert "differing   4: blues.00000, blues.00001, jazz.00000, rock.00000" in capsys.readouterr().out
    assert gtzan.main(["download", "--root", str(root)]) == 0
    assert "already there" in capsys.readouterr().out
    assert gtzan.main(["validate", "--root", str(tmp_path / "nothing")]) == 2
    assert gtzan.main(["download", "--root", str(tmp_path / "new"), "--address", "ftp://x/y"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 2


def test_command_line_runs_as_a_module(tmp_path):
    done = subprocess.run([sys.executable, "-W", "error", "-m", "dbn.datasets.gtzan", "validate", "--root", tmp_path],
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{tmp_path}: no GTZAN track found") and "Traceback" not in done.stderr
