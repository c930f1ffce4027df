"""What is watched while an RBM is trained, beside its cost: whether it fits its training frames alone (§3).

Z keeps the likelihood of an RBM unknown, but it is the same for all frames. So the mean free energy of validation
frames less that of training frames says by how many nats the training frames are the likelier ones. A gap that grows
from epoch to epoch is overfitting (G. Hinton, "A practical guide to training restricted Boltzmann machines", 2010, §6).
"""
import numpy as np

from dbn.trained.forward import hidden_activations
from dbn.trained.generative import free_energy

MOST_FRAMES = 2048  # of each set; to measure them takes some hundredths of a second


def gap_measure(rbm, visible, layers_below, train_set, valid_set):
    """A function that measures the free-energy gap of one layer's RBM.

    Parameters
    ----------
    rbm : dbn.rbm.RBM
        Looked at when the function is called.
    visible : {"bernoulli", "gaussian"}
        Kind of its visible units.
    layers_below : sequence of (W, b)
        Through which frames reach it.
    train_set, valid_set : dbn.audio.frames.FrameSet
        Scaled. As many evenly spaced frames of one as of the other are looked at.

    Returns
    -------
    callable
        ``fn()`` gives the mean free energy of the validation frames less that of the training frames, in nats; float.
    """
    n = min(MOST_FRAMES, train_set.n_frames, valid_set.n_frames)
    samples = []
    for frames in (train_set, valid_set):
        x = frames.read(np.arange(n) * frames.n_frames // n)
        samples.append(hidden_activations(x, layers_below)[-1] if layers_below else x)

    def measure():
        W, hbias, vbias = (param.get_value(borrow=True) for param in rbm.params)
        of_train, of_valid = (free_energy(x, (W, hbias), vbias, visible).mean() for x in samples)
        return float(of_valid - of_train)

    return measure
