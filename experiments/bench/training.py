"""Speed of training: fine-tuning and CD-1 by the epoch functions that :mod:`dbn.training.loops` calls."""
from functools import partial

import numpy as np
from sklearn.neural_network import BernoulliRBM

from experiments.bench import jax_peers, peers
from experiments.bench.common import alternate, skipped, times_faster
from experiments.bench.library import FINETUNE_LR, HIDDEN, PRETRAIN_LR, Library, frames

LIBRARY, PRODUCTS, NUMPY, TORCH = "library", "its matrix products alone (NumPy)", "hand-written NumPy", "PyTorch, eager"
JAX, SKLEARN = "JAX, an epoch compiled", "BernoulliRBM.fit (scikit-learn)"


def finetuning_rows(sizes, batch_sizes=(20, 128, 1000)):
    """Fine-tuning 513-50-50-50-10 against its matrix products, hand-written NumPy, PyTorch and JAX."""
    x, y = frames(sizes.n_frames)
    library = Library(x, y)
    trainers = {LIBRARY: library.finetuning(), PRODUCTS: peers.MatrixProducts(library.params, x).train,
                NUMPY: peers.NumpyNetwork(library.params, x, y).train}
    targets, missing = {PRODUCTS: 0.7, NUMPY: 1.2}, {}
    if peers.torch is None:
        missing[TORCH] = peers.NO_TORCH
    else:
        trainers[TORCH] = peers.TorchNetwork(library.params, x, y).train
        targets[TORCH] = 1.3
    if jax_peers.has_jax():
        trainers[JAX] = jax_peers.JaxNetwork(library.params, x, y).train
        targets[JAX] = None
    else:
        missing[JAX] = jax_peers.NO_JAX
    order = np.random.default_rng(1).permutation(sizes.n_frames)[:sizes.call_frames]
    rows = []
    for batch_size in batch_sizes:
        work = f"fine-tuning 513-50-50-50-10, minibatch {batch_size}"
        contestants = {name: partial(train, order, batch_size, FINETUNE_LR) for name, train in trainers.items()}
        seconds = alternate(contestants, sizes.rounds, work)
        rows += times_faster(work, seconds, LIBRARY, targets, len(order), "frames/s")
        rows += [skipped(work, peer, why) for peer, why in missing.items()]
    return rows


def pretraining_rows(sizes, batch_sizes=(20, 100)):
    """CD-1 on 513 -> 50 against scikit-learn's RBM, JAX, and its own matrix products."""
    x, y = frames(sizes.n_frames)
    library = Library(x, y)
    train, has_jax = library.pretraining(), jax_peers.has_jax()
    jax_rbm = jax_peers.JaxNetwork(library.rbm_params, x) if has_jax else None
    order = np.random.default_rng(1).permutation(sizes.n_frames)[:sizes.call_frames]
    drawn = x[order]
    rows = []
    for batch_size in batch_sizes:
        work = f"CD-1 pre-training 513->50, minibatch {batch_size}"
        rbm = BernoulliRBM(HIDDEN[0], learning_rate=PRETRAIN_LR, batch_size=batch_size, n_iter=1, random_state=0)
        contestants = {LIBRARY: partial(train, order, batch_size, PRETRAIN_LR), SKLEARN: partial(rbm.fit, drawn),
                       PRODUCTS: partial(cd1_products, library.params[0], drawn, batch_size)}
        if has_jax:
            contestants[JAX] = partial(jax_rbm.train, order, batch_size, PRETRAIN_LR)
        seconds = alternate(contestants, sizes.rounds, work)
        rows += times_faster(work, seconds, LIBRARY, {SKLEARN: 2.5}, len(order), "frames/s",
                             "scikit-learn does PCD-1, on frames that lie in order; ours gathers them")
        rows += times_faster(work, seconds, LIBRARY, {PRODUCTS: None}, len(order), "frames/s")
        if has_jax:
            rows += times_faster(work, seconds, LIBRARY, {JAX: None}, len(order), "frames/s",
                                 "JAX draws by its own generator")
        else:
            rows.append(skipped(work, JAX, jax_peers.NO_JAX))
    return rows


def cd1_products(W, x, batch_size):
    """The five matrix products of CD-1, alone: up, down, up, and a gradient of each end of the chain."""
    visible = np.full((batch_size, W.shape[0]), 0.5, dtype=np.float32)
    hidden, hidden_end = np.full((2, batch_size, W.shape[1]), 0.5, dtype=np.float32)
    gradient = np.empty_like(W)
    for start in range(0, len(x), batch_size):
        v = x[start:start + batch_size]
        m = len(v)
        np.dot(v, W, out=hidden[:m])
        np.dot(hidden[:m], W.T, out=visible[:m])
        np.dot(visible[:m], W, out=hidden_end[:m])
        np.dot(v.T, hidden[:m], out=gradient)
        np.dot(visible[:m].T, hidden_end[:m], out=gradient)
