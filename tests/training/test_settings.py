"""The choices of a training: the defaults, and values that cannot be meant."""
from dataclasses import replace

import numpy as np
import pytest

from dbn.errors import TrainingError
from dbn.trained.archive import MAX_BYTES, MAX_TOTAL_BYTES
from dbn.trained.model import ANSWERS
from dbn.training.settings import ConvolutionalSettings, TrainingSettings
from small_network import run_in


@pytest.mark.parametrize("name, value", [
    ("hidden_layers_sizes", ()), ("hidden_layers_sizes", (5, 0)), ("hidden_layers_sizes", 50),
    ("hidden_layers_sizes", (5.0,)), ("visible", "binary"), ("output", "linear"), ("pretrain_lr", 0.0),
    ("finetune_lr", -0.1), ("finetune_lr", np.nan), ("pretrain_lr", np.inf), ("pretrain_lr", "0.1"),
    ("pretrain_lr", None), ("patience", None), ("patience", 2.5), ("pretrain_epochs", -1),
    ("finetune_epochs", 2.5), ("k", 0), ("batch_size", 0), ("batch_size", True), ("patience", 0), ("shard_frames", 0),
    ("seed", -1), ("seed", "0"), ("persistent", 1), ("persistent", "no"), ("persistent", None),
    ("activation", "tanh"), ("dropout", 1), ("dropout", -0.1), ("dropout", np.nan), ("momentum", 1.0),
    ("momentum", "0"), ("weight_decay", -1e-9), ("weight_decay", np.inf), ("sparsity_cost", None),
    ("sparsity_target", 1.5), ("activation", "relu"),  # with pre-training, which is the default
])
def test_settings_that_cannot_be_meant(name, value):
    with pytest.raises(TrainingError, match=name):
        TrainingSettings(**{name: value})


@pytest.mark.parametrize("kind, options", [(TrainingSettings, {}),
                                           (ConvolutionalSettings, {"widths": (1,) * 4, "pools": (1,) * 4})])
def test_weights_that_leave_a_model_file_no_room_for_the_rest(kind, options):
    """No layer is too large, and the sum is below what a file may have."""
    sizes = (8192,) * 4
    assert 4 * 8192 ** 2 == MAX_BYTES and 3 * MAX_BYTES + 4 * 7900 * 8192 + 8 * (7900 + sum(sizes)) < MAX_TOTAL_BYTES
    with pytest.raises(TrainingError, match="on 7900 inputs the weights take 1.06 GB, .* a model may have 0.94 GB"):
        kind(hidden_layers_sizes=sizes, **options).require_size(7900)
    kind(hidden_layers_sizes=sizes, **options).require_size(3000)


def test_the_choices_are_those_of_the_models_that_are_read(monkeypatch):
    monkeypatch.setitem(ANSWERS, "output", ("softmax", "sigmoid", "linear"))
    assert TrainingSettings(output="linear").output == ConvolutionalSettings(output="linear").output == "linear"


def test_defaults_are_the_papers():
    """Of Table 1; the paper does not give the size of a minibatch, and 20 is the tutorial's."""
    settings = TrainingSettings()
    assert settings.hidden_layers_sizes == (50, 50, 50)
    assert (settings.pretrain_lr, settings.finetune_lr) == (0.001, 0.1)
    assert (settings.pretrain_epochs, settings.finetune_epochs) == (5, 474)
    assert (settings.k, settings.batch_size, settings.visible, settings.output) == (1, 20, "bernoulli", "softmax")
    assert (settings.activation, settings.persistent) == ("sigmoid", False)
    assert not any((settings.dropout, settings.momentum, settings.weight_decay, settings.sparsity_cost))
    assert settings.patience == 75  # epochs without a lower error; the paper does not say how it stopped


def test_settings_from_numpy_are_as_good(quick):
    """A sweep draws its settings with NumPy, and what it draws gives the same network as the numbers typed in."""
    drawn = {"hidden_layers_sizes": tuple(np.array([6, 5])), "seed": np.int64(0), "batch_size": np.int32(10),
             "patience": np.int64(10_000), "finetune_lr": np.float32(1.0)}
    for value, expected in zip(run_in(**drawn).dbn.get_values(), run_in().dbn.get_values(), strict=True):
        np.testing.assert_array_equal(value, expected)
    assert replace(TrainingSettings(), seed=np.int64(3)) == TrainingSettings(seed=3)
