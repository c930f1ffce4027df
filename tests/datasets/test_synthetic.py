"""The embedded corpus: repeatable to the byte, honest about itself, in tune and in time."""
import hashlib
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import soundfile
from scipy.signal import find_peaks

from damage import assert_noticed, damaged_json
from dbn.datasets import synthetic
from dbn.datasets.synthetic import artists, composition, drums, effects, genres, instruments, render, theory, truth
from dbn.errors import DatasetError

RATE = 22050
SMALL = {"clips_per_genre": 2, "seconds": 1.5, "seed": 3, "artists_per_genre": 2, "progress": False}


def digests(directory):
    """Every file of a corpus, but for the lock, and the hash of its bytes."""
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(directory.rglob("*")) if path.is_file() and path.name != ".lock"}


@pytest.fixture(scope="module")
def corpus_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("synthetic") / "corpus"
    synthetic.generate(directory, **SMALL)
    return directory


# --- the corpus on disk ---

def test_tree_names_and_tracks_are_like_gtzans(corpus_dir):
    corpus = synthetic.load(corpus_dir)
    assert corpus.name == "synthetic" and corpus.is_synthetic
    assert corpus.classes == synthetic.GENRES == tuple(
        "blues classical country disco hiphop jazz metal pop reggae rock".split())
    assert [track.name for track in corpus.tracks[:3]] == ["blues.00000", "blues.00001", "classical.00000"]
    for track in corpus.tracks:
        assert track.path == corpus_dir / "genres" / track.label / f"{track.name}.wav"
        assert track.artist.startswith(track.label)


def test_files_are_16_bit_mono_at_22050_hz_of_the_asked_length(corpus_dir):
    peaks = []
    for track in synthetic.load(corpus_dir).tracks:
        info = soundfile.info(track.path)
        assert (info.samplerate, info.channels, info.subtype, info.frames) == (RATE, 1, "PCM_16", round(1.5 * RATE))
        samples, _ = soundfile.read(track.path, dtype="int16")
        peaks.append(int(np.abs(samples.astype(int)).max()))
    assert max(peaks) < 32767  # nothing clips
    assert len(set(peaks)) > len(peaks) // 2  # and nothing is normalised to one peak


def test_same_seed_same_bytes_with_two_jobs(corpus_dir, tmp_path):
    synthetic.generate(tmp_path / "again", jobs=2, **SMALL)
    assert digests(tmp_path / "again") == digests(corpus_dir)


def test_another_seed_gives_other_clips(corpus_dir, tmp_path):
    synthetic.generate(tmp_path / "other", **{**SMALL, "seed": 4, "clips_per_genre": 1})
    here, there = digests(corpus_dir), digests(tmp_path / "other")
    assert all(here[name] != there[name] for name in there)


def test_fewer_clips_are_the_beginning_of_more(corpus_dir, tmp_path):
    synthetic.generate(tmp_path / "fewer", **{**SMALL, "clips_per_genre": 1})
    fewer, more = digests(tmp_path / "fewer"), digests(corpus_dir)
    assert all(more[name] == fewer[name] for name in fewer if name != "corpus.json")


def test_a_clip_can_be_made_on_its_own(corpus_dir):
    sidecar = json.loads((corpus_dir / "genres/reggae/reggae.00001.json").read_text())
    artist = int(sidecar.pop("artist").rsplit("-", 1)[1])
    signal, told = synthetic.render_clip("reggae", (3, artist), 1, seconds=1.5)
    samples, _ = soundfile.read(corpus_dir / "genres/reggae/reggae.00001.wav", dtype="int16")
    np.testing.assert_array_equal(np.rint(signal * 32767), samples)
    assert told == sidecar


def test_generation_resumes_and_keeps_what_is_there(corpus_dir, tmp_path, monkeypatch):
    directory = tmp_path / "killed"
    wanted = digests(corpus_dir)
    rendered = []

    def killed_after_five(*args):
        if len(rendered) == 5:
            raise KeyboardInterrupt
        rendered.append(args)
        return render.render_clip(*args)

    with monkeypatch.context() as patch:
        patch.setattr(synthetic.storage, "render_clip", killed_after_five)
        with pytest.raises(KeyboardInterrupt):
            synthetic.generate(directory, **SMALL)
    with pytest.raises(DatasetError, match="15 clips are missing"):
        synthetic.load(directory)
    kept = directory / "genres/blues/blues.00000.wav"
    before = kept.stat().st_mtime_ns
    (directory / "genres/blues/blues.00001.json").unlink()
    with open(directory / "genres/classical/classical.00000.wav", "r+b") as file:
        file.truncate(1000)
    synthetic.generate(directory, **SMALL)
    assert digests(directory) == wanted
    assert kept.stat().st_mtime_ns == before

    monkeypatch.setattr(synthetic.storage, "render_clip", lambda *args: pytest.fail("synthesised again"))
    synthetic.generate(directory, **SMALL)


def test_directory_of_other_settings_is_refused(corpus_dir):
    before = digests(corpus_dir)
    with pytest.raises(DatasetError, match="seconds 1.5 instead of 2.0.*another directory"):
        synthetic.generate(corpus_dir, **{**SMALL, "seconds": 2.0})
    assert digests(corpus_dir) == before


def test_a_real_data_set_is_not_written_over(tmp_path):
    clip = tmp_path / "genres/blues/blues.00000.wav"
    clip.parent.mkdir(parents=True)
    clip.write_bytes(b"music")
    with pytest.raises(DatasetError, match="another data set"):
        synthetic.generate(tmp_path, **SMALL)
    assert clip.read_bytes() == b"music"


def test_directory_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="name a directory"):
        synthetic.generate(tmp_path / "file", **SMALL)


@pytest.mark.parametrize("setting", [{"clips_per_genre": 0}, {"seconds": 0.2}, {"seconds": float("nan")}, {"seed": -1},
                                     {"artists_per_genre": 1.5}, {"jobs": 0}])
def test_settings_without_sense_are_refused(tmp_path, setting):
    with pytest.raises(DatasetError, match=next(iter(setting))):
        synthetic.generate(tmp_path / "none", **{**SMALL, **setting})
    assert not (tmp_path / "none").exists()


def test_settings_damaged_in_every_way(corpus_dir):
    path = corpus_dir / "corpus.json"

    def use():
        synthetic.load(corpus_dir)
        synthetic.generate(corpus_dir, **SMALL)

    assert assert_noticed(path, damaged_json(path.read_text()), use) > 100


def test_truth_damaged_in_every_way_is_made_again(corpus_dir, capsys):
    """Announced; the clip beside it stays the file that it was, by which frames are named."""
    path = corpus_dir / "genres" / "jazz" / "jazz.00001.json"
    whole, clip = path.read_bytes(), path.with_suffix(".wav").stat()
    made_again = 0
    for what, data in [*damaged_json(whole.decode())][::7]:
        path.write_bytes(data)
        tracks = synthetic.generate(corpus_dir, **SMALL).tracks
        artist, = [track.artist for track in tracks if track.name == path.stem]
        assert isinstance(artist, str), what
        said = capsys.readouterr().err
        made_again += path.read_bytes() == whole
        assert (path.read_bytes() == whole) == ("jazz.00001.json: is damaged" in said), what
    assert made_again > 12 and path.with_suffix(".wav").stat() == clip
    path.write_bytes(whole)


def test_load_says_what_is_wrong(tmp_path, corpus_dir):
    with pytest.raises(DatasetError, match="corpus.json is not there; generate"):
        synthetic.load(tmp_path)
    (tmp_path / "corpus.json").write_text("{")
    with pytest.raises(DatasetError, match="damaged"):
        synthetic.load(tmp_path)
    (tmp_path / "corpus.json").write_text('{"corpus": "another"}')
    with pytest.raises(DatasetError, match="does not describe"):
        synthetic.load(tmp_path)


# --- the truth about a clip ---

@pytest.mark.parametrize("genre", synthetic.GENRES)
def test_truth_names_what_sounds(genre):
    signal, told = synthetic.render_clip(genre, 11, 5, seconds=8.0)
    assert signal.dtype == np.float32 and len(signal) == 8 * RATE and np.isfinite(signal).all()
    assert 0.01 < np.sqrt(np.mean(signal ** 2)) < 0.5
    stems, song, _ = render.render_stems(genre, 11, 5, seconds=8.0)
    total = sum(stem.astype(float) for stem in stems.values())
    share = {name: np.sum(stem.astype(float) ** 2) / np.sum(total ** 2) for (name, _), stem in stems.items()}
    assert told["instruments"] == sorted(name for name in share if share[name] > 10 ** -3.5)
    drummer = {song.drummer.instrument} if song.drummer else set()
    assert {seat.instrument for seat in song.seats} | drummer >= set(share)
    assert ("drums" in told["tags"]) == any(family == "drums" and share[name] > 10 ** -3.5 for name, family in stems)


def test_what_nobody_could_hear_is_not_named():
    noise = np.random.default_rng(0).standard_normal((3, RATE), np.float32)
    stems = {("piano", "keys"): noise[0], ("flute", "winds"): noise[1] * 0.1, ("banjo", "banjo"): noise[2] * 0.001}
    assert render._sounding(stems) == [("piano", "keys"), ("flute", "winds")]


@pytest.mark.parametrize("genre", ["rock", "reggae", "hiphop", "disco"])
def test_basses_are_deep_and_drums_are_struck(genre):
    for artist in range(4):
        stems, song, _ = render.render_stems(genre, artist, 1, seconds=6.0)
        for (name, family), stem in stems.items():
            power = np.abs(np.fft.rfft(stem)) ** 2
            deep = power[:700 * 6].sum() / power.sum()
            assert deep > 0.7 if family == "bass" else deep < 0.999, name
            frames = np.sort(np.square(stem[:len(stem) // 256 * 256].reshape(-1, 256)).sum(axis=1))
            if family == "drums":
                assert frames[-20:].mean() > 5 * np.median(frames), name


def test_tempo_is_the_period_of_the_onsets():
    found = 0
    for clip in range(6):
        signal, told = synthetic.render_clip("disco", 2, clip, seconds=12.0)
        if told["four_on_the_floor"]:
            frames = np.lib.stride_tricks.sliding_window_view(signal, 512)[::128]
            low = np.abs(np.fft.rfft(frames * np.hanning(512)))[:, :5].sum(axis=1)
            onsets = np.maximum(np.diff(low), 0)
            onsets = onsets - onsets.mean()
            correlation = np.correlate(onsets, onsets, "full")[len(onsets):]
            lags = np.arange(1, len(onsets)) * 128 / RATE
            near = (lags > 60 / 150) & (lags < 60 / 90)
            tempo = 60 / lags[near][np.argmax(correlation[near])]
            assert tempo == pytest.approx(told["tempo"], rel=0.02)
            found += 1
    assert found >= 3


def test_truth_is_plain_and_its_tags_are_known():
    told = [synthetic.render_clip(genre, artist, 0, seconds=4.0)[1]
            for genre in synthetic.GENRES for artist in range(6)]
    assert json.loads(json.dumps(told)) == told
    counts = {tag: sum(tag in one["tags"] for one in told) for tag in truth.TAGS}
    assert all(set(one["tags"]) <= set(truth.TAGS) for one in told)
    assert sum(2 <= count <= 58 for count in counts.values()) >= 25
    for one in told:
        assert (one["tempo_class"] == "slow") == (one["tempo"] < 90) == ("slow" in one["tags"])
        assert ("vocal" in one["tags"]) != ("instrumental" in one["tags"])


def test_artists_differ_and_keep_their_band():
    def draw(artist, clip):
        return render.render_stems("jazz", artist, clip, seconds=1.0)[1]

    bands = [{seat.instrument for seat in artists.draw_artist("jazz", np.random.default_rng([5, 0, n])).seats}
             for n in range(8)]
    assert len({frozenset(band) for band in bands}) > 4
    for clip in range(5):
        assert {seat.instrument for seat in draw(3, clip).seats} <= bands[3]
    assert len({draw(3, clip).key for clip in range(12)}) > 4


def test_a_genre_without_recipe_is_refused():
    with pytest.raises(DatasetError, match="'polka'.*blues"):
        synthetic.render_clip("polka", 0, 0)


# --- recipes ---

@pytest.mark.parametrize("genre", synthetic.GENRES)
def test_recipe_names_things_that_exist(genre):
    recipe = genres.RECIPES[genre]
    for part in recipe.parts:
        assert set(part.instruments) <= set(instruments.INSTRUMENTS)
        assert set(part.styles) <= set(composition.PATTERNS) | set(composition.MELODIES) | {"walking", "riff"}
    assert set(recipe.grooves) <= set(drums.GROOVES) and set(recipe.kits) <= set(drums.KITS)
    assert set(recipe.neighbours) <= set(genres.RECIPES) - {genre}
    for mode, progressions in recipe.harmony.items():
        assert mode in theory.SCALES
        for progression in progressions:
            theory.lay_out(progression, 0, 16, 4)


# --- music ---

@pytest.mark.parametrize("symbol, key, classes", [
    ("I", 0, {0, 4, 7}), ("IIm7", 2, {4, 7, 11, 2}), ("bVIImaj7", 0, {10, 2, 5, 9}), ("#IVo7", 0, {6, 9, 0, 3}),
    ("V9", 5, {0, 4, 7, 10, 2}), ("VIm7b5", 0, {9, 0, 3, 7})])
def test_numerals_mean_chords(symbol, key, classes):
    chord = theory.parse_chord(symbol, key)
    assert {(chord.root + tone) % 12 for tone in chord.tones} == classes


@pytest.mark.parametrize("symbol", ["", "VIII", "H7", "Ifoo", "7"])
def test_unknown_chords_are_refused(symbol):
    with pytest.raises(ValueError, match="no chord"):
        theory.parse_chord(symbol)


def test_progressions_fill_their_bars_without_gaps():
    spans = theory.lay_out("I IV,V7", 0, 5, 4)
    assert [(span.start, span.beats, span.chord.root) for span in spans] == [
        (0, 4, 0), (4, 2, 5), (6, 2, 7), (8, 4, 0), (12, 2, 5), (14, 2, 7), (16, 4, 0)]


def test_every_style_stays_in_the_song_and_near_its_register():
    spans = theory.lay_out("Im7 bVI IVm7 V7", 4, 8, 4)
    for style in [*composition.PATTERNS, *composition.MELODIES, "walking", "riff"]:
        melody = composition.MELODIES.get(style)
        reach = melody.compass // 2 + 7 if melody else 25
        notes = composition.compose(style, spans, 4, 60, "minor", 4, np.random.default_rng(1))
        assert notes, style
        for beat, beats, pitch, velocity in notes:
            assert 0 <= beat < 32 and beats > 0 and abs(pitch - 60) <= reach and 0 < velocity <= 1, style


def test_pattern_is_read_as_written():
    spans = theory.lay_out("I IV", 0, 2, 4)
    notes = composition.accompany("r---X-..5-......", spans, 4, 48)
    assert [note[:3] for note in notes[:5]] == [(0, 1, 48), (1, 0.5, 43), (1, 0.5, 48), (1, 0.5, 52), (2, 0.5, 55)]
    assert [pitch for beat, _, pitch, _ in notes if beat == 4] == [53]


@pytest.mark.parametrize("name", sorted(set(instruments.INSTRUMENTS) - {"synth bells", "vibraphone"}))
@pytest.mark.parametrize("pitch", [45, 64])
def test_instruments_are_in_tune(name, pitch):
    tone = instruments.Player(instruments.INSTRUMENTS[name], 1).tone(pitch, RATE)[4000:]
    spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone)), 1 << 17))
    frequencies = np.fft.rfftfreq(1 << 17, 1 / RATE)
    spectrum[frequencies < 60] = 0
    peaks, _ = find_peaks(spectrum, height=0.1 * spectrum.max())
    harmonics = frequencies[peaks] / (440 * 2 ** ((pitch - 69) / 12))
    strongest = harmonics[np.argmax(spectrum[peaks])]
    assert round(strongest) >= 1
    assert strongest == pytest.approx(round(strongest), rel=0.012)


def test_chord_tones_sound_where_they_should():
    spans = theory.lay_out("VIm", 3, 1, 4)  # C minor
    notes = composition.accompany("x---------------", spans, 4, 60)
    song = artists.Song(tempo=60, swing=0.5, metre=4, key=3, mode="major", progression="VIm", groove=None, seats=(),
                        drummer=None, studio=None)
    stem = render._play(instruments.INSTRUMENTS["flute"], notes, render.Timing(song, 0.0, 0.0), 4 * RATE,
                        np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(stem * np.hanning(len(stem))))
    peaks, _ = find_peaks(spectrum, distance=40)
    strongest = sorted(peaks[np.argsort(spectrum[peaks])[-3:]] / 4)
    np.testing.assert_allclose(strongest, [196.00, 261.63, 311.13], rtol=0.006)  # G3, C4, E flat 4


def test_swing_delays_the_offbeats_alone():
    song = artists.Song(tempo=60, swing=0.6, metre=4, key=0, mode="major", progression="I", groove=None, seats=(),
                        drummer=None, studio=None)
    samples = render.Timing(song, 1.0, 0.0).sample(np.array([1.0, 1.5, 2.0, 2.25, 2.5, 2.75]))
    np.testing.assert_allclose(samples / RATE, [0, 0.6, 1.0, 1.3, 1.6, 1.8], atol=1 / RATE)


# --- sound ---

@pytest.mark.parametrize("drum", sorted(drums._MAKERS))
def test_drums_die_away(drum):
    sound = drums.drum_sound(drum, drums.KITS["drum kit"], np.random.default_rng(0))
    assert np.abs(sound).max() == pytest.approx(drums.LEVELS[drum])
    quarter = len(sound) // 4
    assert effects.rms(sound[-quarter:]) < 0.15 * effects.rms(sound[:quarter])


def test_drive_adds_harmonics_and_keeps_the_level():
    sine = np.sin(2 * np.pi * 441 * np.arange(RATE) / RATE).astype(np.float32) * 0.1
    driven = effects.overdrive(sine, 8.0)
    spectrum = np.abs(np.fft.rfft(driven))
    assert spectrum[3 * 441] > 0.2 * spectrum[441] and spectrum[2 * 441] < 1e-3 * spectrum[441]
    assert 0.3 < effects.rms(driven) / effects.rms(sine) < 3


@pytest.mark.parametrize("frequency, wanted", [(1000, 12.0), (30, 0.0), (10500, 0.0)])
def test_peaking_filter_gains(frequency, wanted):
    _check_gain(effects.peaking_section(1000, 12.0, 2.0), frequency, wanted)


@pytest.mark.parametrize("frequency, wanted", [(10, 0.0), (2500, 3.0), (11000, 6.0)])
def test_shelf_gains(frequency, wanted):
    _check_gain(effects.shelf_section(2500, 6.0), frequency, wanted)


def _check_gain(section, frequency, wanted):
    """The section's gain in dB, from its definition."""
    z = np.exp(-2j * np.pi * frequency / RATE)
    numerator, denominator = section[0, :3], section[0, 3:]
    gain = np.polyval(numerator[::-1], z) / np.polyval(denominator[::-1], z)
    assert 20 * np.log10(abs(gain)) == pytest.approx(wanted, abs=0.15)


def test_limiter_leaves_soft_sound_alone_and_never_reaches_full_scale():
    signal = np.linspace(-5, 5, 1001, dtype=np.float32)
    limited = effects.limit(signal)
    soft = np.abs(signal) <= 0.7
    np.testing.assert_array_equal(limited[soft], signal[soft])
    assert np.abs(limited).max() < 1 and (np.diff(limited) >= 0).all()


def _generate(directory):
    return {track.path: track.path.stat().st_mtime_ns for track in
            synthetic.generate(directory, 1, 1.0, progress=False).tracks}


def test_two_that_make_one_corpus_at_a_time_make_every_clip_once(tmp_path):
    """Its frames are named by the files' times of change, too: another time means that all is made again."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        one, other = pool.map(_generate, [tmp_path, tmp_path])
    assert one == other == _generate(tmp_path)


def test_a_corpus_that_is_there_is_read_where_nothing_can_be_written(tmp_path):
    synthetic.generate(tmp_path, 1, 1.0, progress=False)
    (tmp_path / ".lock").unlink()
    synthetic.generate(tmp_path, 1, 1.0, progress=False)
    assert not (tmp_path / ".lock").exists()  # what asks for no lock writes nothing
