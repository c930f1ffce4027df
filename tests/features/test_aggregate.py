"""Aggregation against the statistics module, and the number and place of its windows."""
import statistics
from itertools import permutations

import numpy as np
import pytest

from dbn.errors import DBNError
from dbn.features.aggregate import STATISTICS, aggregate, window_bounds

FRAME_RATE = 22050 / 512


BY_PYTHON = {"mean": statistics.fmean, "variance": statistics.pvariance, "maximum": max, "minimum": min}


def by_python(frames, names):
    """The statistics of these frames, one after another, each of all features."""
    return [BY_PYTHON[name]([float(value) for value in column]) for name in names for column in frames.T]


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(97, 3)).astype(np.float32)


def test_means_then_population_variances(features):
    rows = aggregate(features, frame_rate=10, window=2.0, hop=0.5)
    assert rows.dtype == np.float32 and rows.shape == (16, 6)
    for k, row in enumerate(rows):
        columns = [[float(value) for value in column] for column in features[5 * k:5 * k + 20].T]
        expected = [statistics.fmean(c) for c in columns] + [statistics.pvariance(c) for c in columns]
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("names", [tuple(STATISTICS), *permutations(STATISTICS, 2), ("maximum",)])
def test_statistics_stand_in_the_order_that_they_are_asked_for(features, names):
    rows = aggregate(features, frame_rate=10, window=2.0, hop=0.5, statistics=names)
    assert rows.dtype == np.float32 and rows.shape == (16, 3 * len(names))
    for k, row in enumerate(rows):
        np.testing.assert_allclose(row, by_python(features[5 * k:5 * k + 20], names), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("scales", [(0.5,), (0.1, 1.3, 2.0, 3.5), (30.0,)])
@pytest.mark.parametrize("window, hop", [(2.0, 0.5), (1.5, 1.5), (20.0, 5.0)])
@pytest.mark.parametrize("names", [("mean", "variance"), tuple(STATISTICS)])
def test_windows_of_all_lengths_have_one_centre(features, scales, window, hop, names):
    """Of odd and even lengths, longer than the clip and of one frame; what lies outside of the clip is left out."""
    rows = aggregate(features, 10, window, hop, names, scales)
    bounds = window_bounds(len(features), 10, window, hop)
    assert rows.shape == (len(bounds), (1 + len(scales)) * len(names) * 3)
    for row, (start, stop) in zip(rows, bounds):
        expected = by_python(features[start:stop], names)
        for length in (round(10 * seconds) for seconds in scales):
            centre = (start + stop) / 2
            if (stop - start - length) % 2:
                centre -= 0.5
            inside = [i for i in range(len(features)) if centre - length / 2 <= i < centre + length / 2]
            expected += by_python(features[inside], names)
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-7)


def test_a_length_beside_itself(features):
    rows = aggregate(features, 10, 2.0, 0.5, scales=(2.0,))
    np.testing.assert_array_equal(rows[:, :6], aggregate(features, 10, 2.0, 0.5))
    np.testing.assert_array_equal(rows[:, 6:], rows[:, :6])


@pytest.mark.parametrize("n_frames", [1290, 1291])
def test_a_clip_of_thirty_seconds_has_eleven_windows(n_frames):
    bounds = window_bounds(n_frames, FRAME_RATE)
    assert len(bounds) == 11
    assert bounds[0] == (0, 215) and bounds[1] == (107, 322) and bounds[-1] == (1070, 1285)
    assert aggregate(np.zeros((n_frames, 2)), FRAME_RATE).shape == (11, 4)


@pytest.mark.parametrize("frame_rate, window, hop", [
    (FRAME_RATE, 5.0, 2.5), (10, 1.0, 1.0), (10, 0.3, 1.0), (7, 2, 0.15)])
def test_windows_are_equal_evenly_spaced_inside_and_as_many_as_fit(frame_rate, window, hop):
    for n_frames in range(1, 700, 23):
        bounds = np.array(window_bounds(n_frames, frame_rate, window, hop))
        length, step = int(window * frame_rate), int(hop * frame_rate)
        assert bounds[0, 0] == 0 and bounds[-1, 1] <= n_frames
        assert np.all(np.diff(bounds[:, 0]) == step)
        assert np.all(bounds[:, 1] - bounds[:, 0] == min(length, n_frames))
        if n_frames > length:
            assert bounds[-1, 0] + step + length > n_frames


def test_a_product_just_below_a_whole_number_of_frames_counts_as_whole():
    assert 0.29 * 100 < 29
    assert window_bounds(100, 100, window=0.29, hop=0.58)[:2] == [(0, 29), (58, 87)]


def test_a_window_of_one_frame():
    assert 1 / 49 * 49 < 1
    assert window_bounds(3, 49, window=1 / 49, hop=1 / 49) == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize("n_frames", [1, 3, 19, 20])
def test_a_clip_shorter_than_a_window_gives_one_over_what_there_is(features, n_frames):
    rows = aggregate(features[:n_frames], frame_rate=10, window=2.0, hop=1.0)
    assert rows.shape == (1, 6)
    np.testing.assert_allclose(rows[0, :3], features[:n_frames].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(rows[0, 3:], features[:n_frames].var(axis=0), rtol=1e-5)


def test_one_frame_has_no_variance(features):
    np.testing.assert_array_equal(aggregate(features[:1], 10)[0, 3:], 0)


def test_an_offset_of_ten_thousand_moves_the_means_alone():
    exact = np.random.default_rng(1).integers(-8, 8, size=(500, 4)) / 64  # representable at any of these offsets
    plain = aggregate(exact, FRAME_RATE)
    for dtype in (np.float32, np.float64):
        moved = aggregate((exact + 10_000).astype(dtype), FRAME_RATE)
        np.testing.assert_allclose(moved[:, 4:], plain[:, 4:], rtol=1e-6)
        np.testing.assert_allclose(moved[:, :4], plain[:, :4] + 10_000, rtol=1e-6)


def test_a_constant_has_no_variance():
    rows = aggregate(np.full((500, 1), 0.1, np.float32), FRAME_RATE)
    np.testing.assert_allclose(rows[:, 0], 0.1, rtol=1e-7)
    assert np.all((0 <= rows[:, 1]) & (rows[:, 1] < 1e-30))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_features_that_are_not_finite(features, bad):
    features[41, 2] = bad
    with pytest.raises(DBNError, match=f"feature 2 of frame 41 is {bad}"):
        aggregate(features, 10)


@pytest.mark.parametrize("shape, options, message", [
    ((0, 3), {}, "without frames"), ((5,), {}, "n_frames, d"), ((5, 3), {"window": 0.05}, "window is 0.05 s"),
    ((5, 3), {"hop": 0.0}, "hop is 0.0 s"), ((5, 3), {"hop": float("nan")}, "hop is nan"),
    ((5, 3), {"window": float("inf")}, "window is inf"), ((5, 3), {"frame_rate": 0}, "frame_rate is 0"),
    ((5, 3), {"statistics": ("mean", "median")}, "statistics median: choose"), ((5, 3), {"statistics": ()}, "are none"),
    ((5, 3), {"scales": (1.0, 0.05)}, "window is 0.05 s"), ((5, 3), {"scales": (float("nan"),)}, "window is nan")])
def test_refuses(shape, options, message):
    with pytest.raises(DBNError, match=message):
        aggregate(np.zeros(shape), **{"frame_rate": 10, **options})


@pytest.mark.parametrize("rate", [22050 / 512, 100, 1 / 3, 7.3])
def test_the_least_window_that_a_message_names_is_taken(features, rate):
    with pytest.raises(DBNError, match="window is 0.001 s.*take at least") as refusal:
        aggregate(features, rate, 0.001, 10)
    least = float(str(refusal.value).split()[-2])
    assert len(aggregate(features, rate, least, 10))
