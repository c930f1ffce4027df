"""The numbers that the paper states, in every profile that a table can be made with."""
import pytest

from experiments.profiles import PROFILES


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_frames_and_windows(profile):
    assert (profile.sample_rate, profile.frame_length, profile.hop_length) == (22050, 1024, 512)
    assert (profile.window_seconds, profile.window_hop) == (5.0, 2.5)


def test_examples_of_table2():
    assert PROFILES["paper"].svm_frames == 10_000
