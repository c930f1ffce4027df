"""dbn.audio.scaling against scikit-learn's scalers, in any order of blocks, and with extreme inputs."""
import numpy as np
import pytest
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler

from dbn.audio.scaling import KINDS, Scaling
from dbn.errors import DBNError


@pytest.fixture
def frames():
    """Magnitudes of very different size in each bin; bin 3 is constant, bin 4 always 0."""
    rng = np.random.default_rng(3)
    x = rng.exponential(size=(3000, 9)) * 10.0 ** np.arange(-4, 5)
    x[:, 3], x[:, 4] = 2.5, 0
    return x.astype(np.float32)


def fitted(kind, x, n_blocks=7):
    return Scaling(kind).fit(iter(np.array_split(x, n_blocks)))


def by_scikit_learn(kind, x):
    x = x.astype(np.float64)
    if kind == "minmax":
        return MinMaxScaler().fit_transform(x)
    if kind == "standardize":
        return StandardScaler().fit_transform(x)
    if kind == "none":
        return x
    if kind == "log-standardize":
        logs = StandardScaler().fit(np.log1p(100 * x))
        return (np.log1p(100 * x) - logs.mean_) / np.maximum(np.sqrt(logs.var_), 0.2 * np.sqrt(logs.var_.max()))
    column = (np.log1p(x) if kind == "log" else x).reshape(-1, 1)
    return MaxAbsScaler().fit_transform(column).reshape(x.shape)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_equals_scikit_learn(kind, frames):
    result = fitted(kind, frames).transform(frames)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, by_scikit_learn(kind, frames), rtol=1e-5, atol=2e-6)


def test_what_clips():
    assert [kind for kind in (*KINDS, "pca-4", "log-pca-4") if Scaling(kind).clips] == ["max", "minmax", "log"]


@pytest.mark.parametrize("kind", ["max", "minmax", "log"])
def test_inputs_of_binary_units_stay_between_0_and_1(kind, frames):
    scaling = fitted(kind, frames)
    inside = scaling.transform(frames)
    assert inside.min() == 0 and inside.max() == 1
    outside = scaling.transform(np.array([[-5.0] * 9, [1e9] * 9, [3e38] * 9, [-3e38] * 9], dtype=np.float32))
    np.testing.assert_array_equal(outside[:, :3], [[0] * 3, [1] * 3, [1] * 3, [0] * 3])
    assert np.isfinite(outside).all()


def test_gaussian_inputs_have_zero_mean_and_unit_variance(frames):
    result = fitted("standardize", frames).transform(frames).astype(np.float64)
    varying = [0, 1, 2, 5, 6, 7, 8]
    np.testing.assert_allclose(result.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(result[:, varying].std(axis=0), 1, rtol=1e-5)
    np.testing.assert_array_equal(result[:, [3, 4]], 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_blocks", [1, 2, 50, 3000])
def test_neither_size_nor_order_of_blocks_matters(kind, n_blocks, frames):
    reference = fitted(kind, frames)
    blocks = np.array_split(frames, n_blocks)
    order = np.random.default_rng(n_blocks).permutation(n_blocks)
    other = Scaling(kind).fit(blocks[i] for i in order)
    np.testing.assert_allclose(other.offset, reference.offset, rtol=1e-6)
    np.testing.assert_allclose(other.gain, reference.gain, rtol=1e-6)


def test_what_little_is_in_empty_bins_stays_little(frames):
    """Noise a million times below the music: min-max brings it to full scale, log-standardize does not."""
    rng = np.random.default_rng(0)
    music = np.hstack([frames[:, 5:], 1e-6 * rng.exponential(size=(len(frames), 2))]).astype("f4")
    assert fitted("minmax", music).transform(music)[:, 4:].max() == 1
    assert np.abs(fitted("log-standardize", music).transform(music)[:, 4:]).max() < 0.01
    np.testing.assert_allclose(fitted("log-standardize", music).transform(music)[:, :4].std(axis=0).max(), 1, rtol=1e-4)


def test_a_small_variance_beside_a_large_mean_is_not_lost():
    x = (4096 + np.random.default_rng(0).integers(0, 2, (20000, 3)) / 1024).astype(np.float32)
    scaling = fitted("standardize", x, 11)
    np.testing.assert_allclose(1 / scaling.gain, x.astype(np.float64).std(axis=0), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0, 1e-45, 1e-38, 1, 3e38])
def test_constant_and_extreme_frames_stay_finite(kind, value):
    x = np.full((10, 4), value, dtype=np.float32)
    assert np.isfinite(fitted(kind, x).transform(x)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_transform_in_place_and_of_any_number_of_rows(kind, frames):
    scaling = fitted(kind, frames)
    expected, original = scaling.transform(frames), frames.copy()
    in_two_parts = np.concatenate([scaling.transform(frames[:1]), scaling.transform(frames[1:])])
    np.testing.assert_array_equal(in_two_parts, expected)
    np.testing.assert_array_equal(frames, original)
    assert scaling.transform(frames, out=frames) is frames
    np.testing.assert_array_equal(frames, expected)
    assert scaling.transform(frames[:0]).shape == (0, 9)


@pytest.mark.parametrize("kind", KINDS)
def test_inverse_gives_the_frames_back(kind, frames):
    scaling = fitted(kind, frames)
    inputs = scaling.transform(frames)
    back = scaling.inverse(inputs)
    assert back.dtype == np.float32
    tolerance = 1e-5 * np.maximum(np.abs(frames), frames.max(axis=0))
    assert (np.abs(back.astype(float) - frames) <= tolerance).all()
    np.testing.assert_array_equal(inputs, scaling.transform(frames))  # neither is changed


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_and_back(kind, frames, tmp_path):
    scaling = fitted(kind, frames)
    np.savez(tmp_path / "model.npz", **scaling.to_arrays())
    with np.load(tmp_path / "model.npz", allow_pickle=False) as arrays:
        again = Scaling.from_arrays(dict(arrays))
    assert again.kind == kind
    np.testing.assert_array_equal(again.transform(frames), scaling.transform(frames))


@pytest.mark.parametrize("change, named", [
    ({"kind": np.array("cube")}, "cube"), ({"gain": np.ones(3)}, "one length"),
    ({"offset": np.ones((9, 1))}, "1 dimension"), ({"gain": np.array(["1"] * 9)}, "floats"),
    ({"gain": np.full(9, np.nan)}, "finite"), ({"offset": None}, "lack offset")])
def test_damaged_arrays_are_refused(change, named, frames):
    arrays = {**fitted("minmax", frames).to_arrays(), **change}
    arrays = {name: value for name, value in arrays.items() if value is not None}
    with pytest.raises(DBNError, match=named):
        Scaling.from_arrays(arrays)


@pytest.mark.parametrize("use", [lambda s: s.transform(np.zeros((1, 2), np.float32)), lambda s: s.to_arrays(),
                                 lambda s: s.inverse(np.zeros((1, 2), np.float32))])
def test_use_before_fit_is_refused(use):
    with pytest.raises(DBNError, match="not fitted"):
        use(Scaling("minmax"))


@pytest.mark.parametrize("blocks, named", [
    ([], "no frames"), ([np.zeros((0, 4))], "no frames"), ([np.zeros((2, 4)), np.zeros((2, 5))], "shape"),
    ([np.zeros(4)], "shape"), ([np.full((2, 4), np.nan)], "NaN"),
    ([np.zeros((2, 4)), np.full((2, 4), np.inf)], "infinite")])
def test_frames_that_cannot_be_fitted_are_refused(blocks, named):
    with pytest.raises(DBNError, match=named):
        Scaling("standardize").fit(blocks)


def test_wrong_kind_and_wrong_width_are_refused(frames):
    with pytest.raises(DBNError, match="'decibel' is unknown"):
        Scaling("decibel")
    with pytest.raises(DBNError, match="9 features"):
        fitted("minmax", frames).transform(frames[:, :4])
    with pytest.raises(DBNError, match="9 features"):
        fitted("minmax", frames).inverse(frames[:, :4])
