"""Taggers: scikit-learn's decisions, the same file back, and nothing else let in."""
import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold
from sklearn.svm import SVC
from test_model import Bomb, claim, npy, rewritten
from test_mutations import mutated

import small_tagger
from dbn.errors import DBNError, ModelFileError
from dbn.evaluation.autotag import train_tags
from dbn.trained.model import load_model, save_model
from dbn.trained.tagger import Tagger, has_tags, load_tagger, save_tagger
from small_tagger import GRID, D, clips

N_MUTATIONS = 1000


@pytest.fixture(scope="module")
def tagger():
    return small_tagger.tagger()


@pytest.fixture
def saved(tagger, tmp_path):
    path = tmp_path / "tagger.npz"
    save_tagger(path, tagger)
    return path


# --- the training ---

def test_decisions_are_those_of_svc_on_the_same_draw(tagger):
    """As many clips without a tag as with it make every clip a training example: no draw to reproduce."""
    features, tags = clips()
    tags = np.arange(len(features))[:, None] % 2 == [0]
    (svm,) = train_tags(features, tags, C=3.0, gamma=0.7 / D)
    x, y = np.concatenate(features), np.repeat(tags[:, 0], [len(clip) for clip in features])
    mean, scale = x.mean(axis=0, dtype="f8"), x.std(axis=0, dtype="f8")
    svc = SVC(C=3.0, gamma=0.7 / D).fit((x - mean) / scale, y)
    one = replace(tagger, windows=x, names=("even",), svms=(svm,), measures=tagger.measures[:1])
    new = np.random.default_rng(0).normal(size=(50, D)).astype("f4")
    np.testing.assert_allclose(one.decision_values(new)[:, 0], svc.decision_function((new - mean) / scale), rtol=1e-9,
                               atol=1e-12)


def test_draws_hold_all_clips_with_the_tag_and_as_many_without():
    """A window a clip, and C so small that each of the draw is a support vector."""
    features, tags = clips()
    for has_tag, svm in zip(tags.T, train_tags([clip[:1] for clip in features], tags, C=1e-6)):
        n = min(has_tag.sum(), (~has_tag).sum())
        assert has_tag[svm.support].sum() == (~has_tag[svm.support]).sum() == n < len(tags) / 2
        assert len(set(svm.support)) == 2 * n


def test_a_point_that_learns_nothing_is_not_chosen():
    """A C of 1e-9 or a gamma of 1e9 learns nothing: the choice must be neither."""
    features, tags = clips(60)
    for svm in train_tags(features, tags, C=[1e-9, 1.0], gamma=[0.5 / D, 1e9]):
        assert (svm.C, svm.gamma) == (1.0, 0.5 / D)


def test_artists_stay_together_when_c_and_gamma_are_chosen():
    """Windows of an artist are the same; only by seeing the artist in training would a narrow kernel be right."""
    rng = np.random.default_rng(0)
    artists = np.repeat(np.arange(30), 2)
    x = (rng.normal(size=(30, D))[artists] + 1e-3 * rng.normal(size=(60, D))).astype("f4")
    has_tag = rng.permutation(30)[artists] < 15
    x[:, 0] += 1.5 * has_tag
    (grouped,), (alone,) = (train_tags(x, has_tag[:, None], groups, C=1.0, gamma=[0.1 / D, 10.0])
                            for groups in (list(map(str, artists)), None))
    assert (grouped.gamma, alone.gamma) == (0.1 / D, 10.0)
    shares = [SVC(gamma=gamma).fit(x[train], has_tag[train]).score(x[test], has_tag[test])
              for gamma in (0.1 / D, 10.0) for train, test in GroupKFold(3).split(x, has_tag, artists)]
    assert np.mean(shares[:3]) > np.mean(shares[3:])  # scikit-learn agrees


def test_jobs_and_runs_do_not_matter_and_the_seed_does():
    features, tags = clips()
    ours, again, other = (train_tags(features, tags, jobs=jobs, seed=seed, **GRID)
                          for jobs, seed in ((1, 0), (2, 0), (1, 1)))
    for one, two in zip(ours, again):
        for a, b in zip(one, two):
            np.testing.assert_array_equal(a, b)
    assert any(set(one.support) != set(two.support) for one, two in zip(ours, other))


def test_too_few_artists_leave_a_tag_without_svm():
    features, tags = clips()
    groups = ["one" if has else "two" for has in tags[:, 0]]
    assert train_tags(features, tags[:, :1], groups, **GRID) == [None]
    assert train_tags(features, tags[:, :1], groups)[0] is not None  # nothing to choose


@pytest.mark.parametrize("change, reason", [
    ({"tags": np.ones((40, 1), bool)}, "40 of 40 clips"), ({"tags": np.zeros((40, 1), bool)}, "0 of 40 clips"),
    ({"groups": ["a"]}, "as many groups"), ({"jobs": 0}, "jobs"), ({"C": -1.0}, "C is -1")], ids=str)
def test_what_cannot_be_trained_on(change, reason):
    features, tags = clips()
    with pytest.raises(DBNError, match=reason):
        train_tags(**{"features": features, "tags": tags} | change)


# --- the tagger ---

def test_scores_are_means_over_windows(tagger):
    """Against the kernel written out, window by window."""
    frames = np.random.default_rng(3).gamma(1.0, size=(1000, 33)).astype("f4")
    activations = np.hstack(tagger.model.activations(frames)).astype("f8")
    length, step = int(0.5 * 22050 / 32), int(0.25 * 22050 / 32)
    expected = np.zeros(3)
    parts = [activations[start:start + length] for start in range(0, 1000 - length + 1, step)]
    for part in parts:
        x = np.concatenate([part.mean(axis=0), part.var(axis=0)])
        for tag, svm in enumerate(tagger.svms):
            distances = (((x - tagger.windows[svm.support]) / svm.scale) ** 2).sum(axis=1)
            expected[tag] += (np.exp(-svm.gamma * distances) @ svm.coefficients + svm.intercept) / len(parts)
    np.testing.assert_allclose(tagger.scores(frames), expected, rtol=1e-4)


@pytest.mark.parametrize("shape", [(D,), (2, D + 1), (2, 3, D)])
def test_windows_of_another_shape_are_refused(tagger, shape):
    with pytest.raises(DBNError, match=f"{D} features"):
        tagger.decision_values(np.zeros(shape))


def test_what_learnt_from_synthetic_clips(tagger):
    assert tagger.synthetic == []
    network = replace(tagger.model, about={"synthetic": True})
    assert replace(tagger, about={"synthetic": True}).synthetic == ["tags"]
    assert replace(tagger, model=network, about={"synthetic": True}).synthetic == ["network", "tags"]


# --- files ---

def test_round_trip(tagger, saved):
    loaded = load_tagger(saved)
    assert (loaded.names, loaded.measures, loaded.about) == (tagger.names, tagger.measures, tagger.about)
    assert (loaded.window_seconds, loaded.window_hop) == (0.5, 0.25)
    frames = np.random.default_rng(3).gamma(1.0, size=(1000, 33)).astype("f4")
    np.testing.assert_array_equal(loaded.scores(frames), tagger.scores(frames))


def test_same_tagger_same_bytes(saved, tmp_path):
    again = tmp_path / "again.npz"
    save_tagger(again, load_tagger(saved))
    assert again.read_bytes() == saved.read_bytes()


def test_only_support_vectors_are_kept(tagger):
    n_all = sum(map(len, clips()[0]))
    assert len(tagger.windows) <= n_all
    assert set(np.concatenate([svm.support for svm in tagger.svms])) == set(range(len(tagger.windows)))


def test_a_tagger_is_a_model_file_too(tagger, saved, tmp_path):
    frames = np.random.default_rng(3).gamma(1.0, size=(20, 33)).astype("f4")
    np.testing.assert_array_equal(load_model(saved).predict_proba(frames), tagger.model.predict_proba(frames))
    save_model(tmp_path / "model.npz", tagger.model)
    assert has_tags(saved) and not has_tags(tmp_path / "model.npz")
    with pytest.raises(ModelFileError, match=r"model\.npz: holds a network and no tags.*make table4"):
        load_tagger(tmp_path / "model.npz")


def test_failed_write_keeps_the_old_file(tagger, saved):
    before = saved.read_bytes()
    with pytest.raises(TypeError):
        save_tagger(saved, replace(tagger, about={"not JSON": object()}))
    assert saved.read_bytes() == before and [path.name for path in saved.parent.iterdir()] == [saved.name]


def with_meta(saved, change):
    """The file with its JSON changed by a function."""
    def of_member(name, data):
        if name != "tag_meta.npy":
            return data
        meta = json.loads(np.load(io.BytesIO(data)).item())
        change(meta)
        return npy(json.dumps(meta))
    rewritten(saved, of_member)


def of_first_tag(**changes):
    return lambda meta: meta["tags"][0].update(changes)


META = {
    "another format": lambda meta: meta.update(format="hamel-eck-dbn"),
    "a newer version": lambda meta: meta.update(version=2),
    "no tags": lambda meta: meta.update(tags=[]),
    "tags are a dict": lambda meta: meta.update(tags={}),
    "a tag is a list": lambda meta: meta.update(tags=[[]] * 3),
    "one tag fewer": lambda meta: meta["tags"].pop(),
    "one tag more": lambda meta: meta["tags"].append(meta["tags"][0] | {"name": "other"}),
    "a name twice": of_first_tag(name="third"),
    "a name that is no text": of_first_tag(name=1),
    "gamma 0": of_first_tag(gamma=0),
    "gamma NaN": of_first_tag(gamma=float("nan")),
    "gamma infinite": of_first_tag(gamma=float("inf")),
    "gamma of 400 digits": of_first_tag(gamma=10**400),
    "C a text": of_first_tag(C="1"),
    "no intercept": of_first_tag(intercept=None),
    "accuracy 2": of_first_tag(accuracy=2.0),
    "a fraction of a test clip": of_first_tag(n_test=0.5),
    "other supports": of_first_tag(n_support=1),
    "supports of 10**30": of_first_tag(n_support=10**30),
    "negative supports": of_first_tag(n_support=-1),
    "windows of 0 s": lambda meta: meta.update(window_seconds=0),
    "windows of NaN s": lambda meta: meta.update(window_seconds=float("nan")),
    "windows of a day": lambda meta: meta.update(window_seconds=86400),
    "a thousand windows at once": lambda meta: meta.update(window_hop=0.0005),
    "no hop": lambda meta: meta.pop("window_hop"),
    "about a list": lambda meta: meta.update(about=[]),
}


@pytest.mark.parametrize("change", META.values(), ids=META.keys())
def test_meta_that_does_not_fit(saved, change):
    with_meta(saved, change)
    with pytest.raises(ModelFileError, match="tagger.npz: "):
        load_tagger(saved)


def member(name, array):
    return lambda n, data: npy(array) if n == f"{name}.npy" else data


MEMBERS = {
    "no windows": lambda name, data: None if name == "tag_windows.npy" else data,
    "no coefficients": lambda name, data: None if name == "tag_coefficients.npy" else data,
    "no network": lambda name, data: None if name == "W0.npy" else data,
    "windows of another width": member("tag_windows", np.zeros((99, D + 1), "f4")),
    "fewer windows than rows name": member("tag_windows", np.zeros((1, D), "f4")),
    "windows not finite": member("tag_windows", np.full((99, D), np.nan, "f4")),
    "windows are a vector": member("tag_windows", np.zeros(D, "f4")),
    "windows pickled": lambda n, data: npy(np.array([[Bomb()]], object), True) if n == "tag_windows.npy" else data,
    "windows of terabytes": lambda n, data: claim((10**9, 10**9)) if n == "tag_windows.npy" else data,
    "supports are fractions": member("tag_support", np.zeros(9, "f4")),
    "supports too few": member("tag_support", np.zeros(9, "i4")),
    "scales 0": member("tag_scale", np.zeros((3, D))),
    "scales negative": member("tag_scale", -np.ones((3, D))),
    "scales of one tag": member("tag_scale", np.ones((1, D))),
    "means huge": member("tag_mean", np.full((3, D), 1e300)),
    "no JSON": member("tag_meta", "{"),
}


@pytest.mark.parametrize("change", MEMBERS.values(), ids=MEMBERS.keys())
def test_members_that_do_not_fit(saved, change):
    rewritten(saved, change)
    with pytest.raises(ModelFileError, match="tagger.npz: "):
        load_tagger(saved)


@pytest.mark.parametrize("row", [-1, 10**6])
def test_rows_that_are_no_window(saved, row):
    rows = np.load(saved)["tag_support"].copy()
    rows[3] = row
    rewritten(saved, member("tag_support", rows))
    with pytest.raises(ModelFileError, match="tagger.npz: "):
        load_tagger(saved)


def test_every_truncation_is_refused(saved):
    data = saved.read_bytes()
    for n in range(0, len(data), 131):
        saved.write_bytes(data[:n])
        with pytest.raises(ModelFileError):
            load_tagger(saved)


@pytest.mark.parametrize("whole_archive", [True, False])
def test_mutated_files_give_our_error_or_numbers(saved, whole_archive):
    """Bytes of the file, or of one of its members with the checksums put right."""
    data, rng, refusals = saved.read_bytes(), np.random.default_rng(5), 0
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    ours = [name for name in members if name.startswith("tag_")]
    x = np.random.default_rng(6).random((4, D))
    for _ in range(N_MUTATIONS // 2):
        if whole_archive:
            saved.write_bytes(mutated(data, rng))
        else:
            victim = rng.choice(ours)
            with zipfile.ZipFile(saved, "w") as archive:
                for name, content in members.items():
                    archive.writestr(name, mutated(content, rng) if name == victim else content)
        try:
            tagger = load_tagger(saved)
        except ModelFileError as error:
            assert "tagger.npz" in str(error)
            refusals += 1
        else:
            assert isinstance(tagger, Tagger) and np.isfinite(tagger.decision_values(x)).all()
    assert N_MUTATIONS / 10 < refusals


def test_numbers_at_the_limits_stay_finite(tagger):
    extreme = [svm._replace(mean=np.full(D, 1e40), scale=np.full(D, 1e-100), gamma=1e40) for svm in tagger.svms]
    x = np.random.default_rng(6).random((4, D))
    assert np.isfinite(replace(tagger, svms=tuple(extreme)).decision_values(x)).all()
