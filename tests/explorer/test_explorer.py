"""What a page holds, beside the model and the audio files that it was made of."""
import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from dbn.audio import dft_magnitudes, load_audio, pool
from dbn.audio.pooling import pooled_frames, pooled_width
from dbn.audio.scaling import Scaling
from dbn.errors import DBNError
from dbn.explorer.gather import Gatherer, Recording, name_below, representations
from dbn.explorer.page import page_data, write_page
from dbn.explorer.plane import embed, frames_a_song, planes
from dbn.explorer.sound import embedded, linked, parts_around
from dbn.features.mfcc import mfcc
from dbn.trained.model import Model

SETTINGS = {"sample_rate": 22050, "frame_length": 1024, "hop_length": 512, "window": None}
HOSTILE = "</script><script>alert(1)</script>"
GENRES = ("high", HOSTILE, HOSTILE, None)


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(7)
    sizes = (513, 6, 5, 2)
    return Model([rng.normal(size=shape).astype("f4") / 3 for shape in zip(sizes, sizes[1:])],
                 [rng.normal(size=n).astype("f4") for n in sizes[1:]], [np.zeros(n, "f4") for n in sizes[:2]],
                 "bernoulli", "softmax", Scaling("max").fit([np.full((1, 513), 30, "f4")]), ("high", "low"), SETTINGS)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    root = tmp_path_factory.mktemp("explored")
    rng, t, found = np.random.default_rng(0), np.arange(4 * 22050) / 22050, []
    for number in range(4):
        path = root / f"{number}.flac"
        tone = 0.3 * np.sin(2 * np.pi * (300 + 900 * number) * t)
        soundfile.write(path, tone + 0.05 * rng.normal(size=len(t)), 22050)
        found.append(Recording(HOSTILE if number == 3 else path.name, path, GENRES[number]))
    return found


@pytest.fixture(scope="module")
def exploration(model, recordings):
    gatherer = Gatherer(model, recordings, 30, 2, seed=0)
    for number in gatherer.order():
        gatherer.add(number)
    return gatherer.exploration()


def frames_of(recording):
    return dft_magnitudes(load_audio(recording.path))


def test_frames_are_those_of_the_files_at_their_times(exploration, recordings):
    assert len(exploration.frames) == 30
    assert np.bincount(exploration.numbers).tolist() in ([8, 8, 7, 7], [8, 7, 8, 7], [8, 7, 7, 8], [7, 8, 8, 7],
                                                         [7, 8, 7, 8], [7, 7, 8, 8])
    for number, time, frame, coefficients in zip(exploration.numbers, exploration.times, exploration.frames,
                                                 exploration.mfccs):
        row = round((time * 22050 - 512) / 512)
        np.testing.assert_array_equal(frame, frames_of(recordings[number])[row])
        np.testing.assert_array_equal(coefficients, mfcc(load_audio(recordings[number].path))[row])


@pytest.mark.parametrize("kind", ["stack-3", "max-5"])
def test_frames_that_are_put_together(model, recordings, kind, monkeypatch):
    """Over the borders of blocks too; a frame of the page stands for the middle of its window."""
    monkeypatch.setattr("dbn.explorer.gather.BLOCK_FRAMES", 128)  # of the recordings' 171
    width = pooled_width(kind, 513)
    pooled = replace(model, weights=[np.full((width, 6), 0.01, "f4"), *model.weights[1:]],
                     visible_biases=[np.zeros(width, "f4"), *model.visible_biases[1:]],
                     scaling=Scaling("max").fit([np.full((1, width), 30, "f4")]),
                     frame_settings=SETTINGS | {"pooling": kind})
    gatherer = Gatherer(pooled, recordings, 20, 1, seed=0)
    for number in gatherer.order():
        gatherer.add(number)
    found, n_pooled = gatherer.exploration(), pooled_frames(kind)
    for number, time, frame in zip(found.numbers, found.times, found.frames):
        row = int(time * 22050 // 512 // n_pooled)
        last = min((row + 1) * n_pooled, 171) - 1  # the last window is not full
        assert time * 22050 == pytest.approx((row * n_pooled * 512 + last * 512 + 1024) / 2)
        np.testing.assert_array_equal(frame, pool(frames_of(recordings[number]), kind)[row])
    for song in found.songs:
        frames = pool(frames_of(song.recording), kind)
        np.testing.assert_allclose(song.probabilities, pooled.predict_proba(frames).mean(axis=0), atol=1e-6)
    data = page_data(pooled, found, {"Layer 1": np.random.default_rng(0).random((20, 2))}, "title")
    assert data["points"]["spectrum"]["shape"][0] == 20


def test_songs_say_what_the_network_says(model, exploration, recordings):
    playing = [song for song in exploration.songs if song.rows is not None]
    assert len(playing) == 2 and len({song.recording.genre for song in playing}) == 2  # the genres take turns
    for song in exploration.songs:
        frames = frames_of(song.recording)
        np.testing.assert_allclose(song.probabilities, model.predict_proba(frames).mean(axis=0), atol=1e-6)
        assert song.seconds == 4
        if song.rows is not None:
            everything = np.hstack([*model.activations(frames), model.predict_proba(frames)])
            group = round(song.row_seconds * 22050 / 512)
            np.testing.assert_allclose(song.rows[1], everything[group:2 * group].mean(axis=0), atol=1e-6)
            assert song.sound.parts is None


def test_planes_are_of_inputs_mfccs_and_layers(model, exploration):
    found = representations(model, exploration)
    assert list(found) == ["Inputs (DFTs)", "MFCCs", "Layer 1", "Layer 2", "All Layers"]
    np.testing.assert_allclose(found["MFCCs"].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_array_equal(found["Inputs (DFTs)"], model.scaling.transform(exploration.frames))
    np.testing.assert_array_equal(found["All Layers"][:, :6], found["Layer 1"])
    points = planes({"one": found["Layer 1"]}, seed=3)["one"]
    np.testing.assert_array_equal(points, embed(found["Layer 1"], 29 / 3, 3))
    with pytest.raises(DBNError, match="4 frames are too few"):
        planes({"one": found["Layer 1"][:4]}, 0)


def unpacked(packed):
    return np.frombuffer(base64.b64decode(packed["bytes"]), packed["type"]).reshape(packed["shape"])


@pytest.fixture(scope="module")
def flat(exploration):
    """Planes of any points."""
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(len(exploration.frames), 2)).astype("f4") for name in ("Layer 1", "MFCCs")}


def test_the_pages_numbers(model, exploration, flat):
    data = json.loads(json.dumps(page_data(model, exploration, flat, "title")))
    answer = model.classes[exploration.songs[3].probabilities.argmax()]
    assert data["genres"] == list(dict.fromkeys(["high", answer, HOSTILE])) and data["layers"] == [6, 5]
    points = data["points"]
    np.testing.assert_array_equal(unpacked(points["song"]),
                                  exploration.numbers)
    np.testing.assert_allclose(unpacked(points["units"]) / 255, np.hstack(model.activations(exploration.frames)),
                               atol=0.5 / 255 + 1e-6)
    np.testing.assert_allclose(unpacked(points["probability"]) / 255, model.predict_proba(exploration.frames),
                               atol=0.5 / 255 + 1e-6)
    answers = [song["isAnswer"] for song in data["songs"]]
    assert answers == [False, False, False, True]
    for view, expected in zip(data["views"], flat.values()):
        at = unpacked(view["at"]).astype(float)
        distances, theirs = (np.hypot(*(x[1:] - x[:-1]).T) for x in (at, expected))
        np.testing.assert_allclose(distances / distances.max(), theirs / theirs.max(), atol=1e-3)  # proportions stay


def test_the_page_is_one_file_with_the_same_bytes_that_no_name_breaks_out_of(model, exploration, flat, tmp_path):
    for name in ("a.html", "b.html"):
        write_page(tmp_path / name, model, exploration, flat, f"of {HOSTILE}")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert page.encode() == (tmp_path / "b.html").read_bytes()
    assert HOSTILE not in page and page.count("</script>") == 2
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:)""", page) and "http:" not in page
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1]
    assert json.loads(data)["songs"][3]["name"] == HOSTILE


@pytest.mark.parametrize("times, expected", [
    ([1.5], [(0.5, 2.5)]), ([0.2, 9.9], [(0.0, 1.2), (8.9, 10.0)]), ([3.0, 4.0, 4.5, 8.0], [(2.0, 5.5), (7.0, 9.0)])])
def test_parts_that_are_heard(times, expected):
    assert parts_around(np.array(times), 10.0) == expected


def test_embedded_sound_lasts_as_long_as_what_it_is_of():
    signal = 0.5 * np.sin(2 * np.pi * 440 * np.arange(3 * 22050) / 22050).astype("f4")
    for parts, seconds in ((None, 3), ([(0.5, 1.0), (2.0, 2.75)], 1.25)):
        sound = embedded(signal, parts)
        heard, rate = soundfile.read(io.BytesIO(base64.b64decode(sound.url.removeprefix("data:audio/mpeg;base64,"))))
        assert rate == 22050 and sound.parts == parts
        assert seconds <= len(heard) / rate < seconds + 0.15  # whole MP3 frames
        spectrum = np.abs(np.fft.rfft(heard[2000:12000]))
        assert spectrum.argmax() * rate / 10000 == pytest.approx(440, abs=3)
    assert embedded(signal).url == embedded(signal).url


def test_links_lead_from_the_page_to_the_file(tmp_path):
    link = linked(tmp_path / "my music" / "50% #1?.flac", tmp_path / "pages")
    assert link.url == "../my%20music/50%25%20%231%3F.flac" and link.parts is None


def test_names_and_genres(tmp_path):
    folder = tmp_path / "genres"
    assert name_below(folder / "jazz" / "live" / "a.wav", [folder]) == ("jazz/live/a.wav", "jazz")
    assert name_below(folder / "a.wav", [folder]) == ("a.wav", None)
    assert name_below(tmp_path / "b.wav", [folder]) == ("b.wav", None)


def test_as_many_frames_of_each_song():
    assert frames_a_song(10, 0, np.random.default_rng(0)).tolist() == []
    counts = frames_a_song(10, 4, np.random.default_rng(0))
    assert sorted(counts.tolist()) == [2, 2, 3, 3]
