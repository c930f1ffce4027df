"""What the notebook shows of a network."""
from types import SimpleNamespace

import numpy as np

from experiments.steps import learned


def test_frequencies_run_from_zero_to_half_the_sample_rate():
    model = SimpleNamespace(frame_settings={"sample_rate": 22050, "frame_length": 6})
    np.testing.assert_allclose(learned.bin_frequencies(model), [0, 3675, 7350, 11025])
