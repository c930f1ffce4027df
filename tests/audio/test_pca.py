"""Principal components as a scaling, against scikit-learn's of all frames at once."""
import numpy as np
import pytest
from sklearn.decomposition import PCA

from dbn.audio.scaling import Scaling
from dbn.errors import DBNError


@pytest.fixture(scope="module")
def frames():
    """Correlated magnitudes, whose mean is large beside some of their deviations."""
    rng = np.random.default_rng(5)
    return (rng.exponential(size=(5000, 12)) @ rng.random((12, 12)) ** 4 + 100).astype(np.float32)


def fitted(kind, x, n_blocks=7):
    return Scaling(kind).fit(iter(np.array_split(x, n_blocks)))


@pytest.mark.parametrize("log", ["", "log-"])
@pytest.mark.parametrize("whitened", ["", "whitened-"])
@pytest.mark.parametrize("n", [1, 5, 12])
def test_projections_equal_scikit_learns(frames, log, whitened, n):
    x = np.log1p(frames.astype(float)) if log else frames.astype(float)
    expected = PCA(n, whiten=bool(whitened), svd_solver="full").fit_transform(x)
    if not whitened:
        expected /= np.sqrt(expected.var(axis=0).mean())
    scaling = fitted(f"{log}{whitened}pca-{n}", frames)
    ours = scaling.transform(frames)
    assert ours.dtype == np.float32 and ours.shape == (5000, n) == (5000, scaling.n_outputs)
    ours = ours * np.sign((ours * expected).sum(axis=0))  # a component's sign is free
    np.testing.assert_allclose(ours, expected, atol=2e-3)
    assert ours.astype(float).var(axis=0).mean() == pytest.approx(1, rel=1e-3)


def test_neither_size_nor_order_of_blocks_matters(frames):
    reference = fitted("whitened-pca-6", frames)
    blocks = np.array_split(frames, 50)
    other = Scaling("whitened-pca-6").fit(blocks[i] for i in np.random.default_rng(0).permutation(50))
    np.testing.assert_allclose(other.components, reference.components, atol=1e-5)
    np.testing.assert_allclose(other.gain, reference.gain, rtol=1e-5)


@pytest.mark.parametrize("kind", ["pca-12", "log-whitened-pca-12"])
def test_all_components_lose_nothing(frames, kind):
    scaling = fitted(kind, frames)
    original = frames.copy()
    np.testing.assert_allclose(scaling.inverse(scaling.transform(frames)), frames, rtol=1e-4)
    np.testing.assert_array_equal(frames, original)


def test_fewer_components_lose_what_the_others_hold(frames):
    """The mean squared error of the way there and back is the sum of the other variances (Eckart and Young)."""
    variances = np.linalg.eigvalsh(np.cov(frames.astype(float).T, ddof=0))[::-1]
    scaling = fitted("pca-4", frames)
    lost = ((scaling.inverse(scaling.transform(frames)).astype(float) - frames) ** 2).sum(axis=1).mean()
    assert lost == pytest.approx(variances[4:].sum(), rel=1e-3)


def test_arrays_and_back(frames):
    scaling = fitted("log-pca-3", frames)
    again = Scaling.from_arrays(scaling.to_arrays())
    np.testing.assert_array_equal(again.transform(frames), scaling.transform(frames))


@pytest.mark.parametrize("change", [{"components": np.ones((12, 4))}, {"components": np.ones((11, 3))},
                                    {"gain": np.ones(2)}, {"components": np.ones(12)}, {"components": None},
                                    {"components": np.full((12, 3), np.nan)}, {"kind": np.array("pca-4")}])
def test_damaged_arrays_are_refused(frames, change):
    arrays = fitted("pca-3", frames).to_arrays() | change
    with pytest.raises(DBNError, match="the scaling's"):
        Scaling.from_arrays({name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize("kind", ["pca", "pca-0", "pca-", "pca-1e3", "whitened-3", "PCA-3", "pca-3 ", "pca-999999", 3])
def test_kinds_that_are_none(kind):
    with pytest.raises(DBNError, match="is unknown"):
        Scaling(kind)


def test_more_components_than_the_frames_have(frames):
    with pytest.raises(DBNError, match="vary in 12 directions"):
        fitted("pca-13", frames)
    flat = frames.copy()
    flat[:, 3] = flat[:, 4]
    with pytest.raises(DBNError, match="take 11 at most"):
        fitted("pca-12", flat)
    with pytest.raises(DBNError, match="vary in 0 directions"):
        fitted("pca-1", np.ones((50, 3), np.float32))


@pytest.mark.parametrize("blocks, named", [
    ([], "no frames"), ([np.zeros((2, 4)), np.zeros((2, 5))], "shape"), ([np.zeros(4)], "shape"),
    ([np.full((2, 4), np.nan)], "NaN")])
def test_frames_that_cannot_be_fitted_are_refused(blocks, named):
    with pytest.raises(DBNError, match=named):
        Scaling("pca-2").fit(blocks)
