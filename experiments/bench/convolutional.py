"""Speed of the convolutional DBN: CD-1 by the epoch function that training calls, and the features of a song.

Against the matrix products alone, of frames that lie side by side already, and against the same in PyTorch, eagerly and
in one thread, by ``unfold`` and matrix products. Momentum, weight decay and the sparsity target are off in both.
"""
from functools import partial

import numpy as np

from dbn.audio.scaling import Scaling
from dbn.cdbn import ConvolutionalDBN
from dbn.trained.convolutional import BLOCKS, ConvolutionalModel, side_by_side
from dbn.training.convolutional import PIECES_PER_CALL, piece_starts
from dbn.training.epochs import PiecesGraph, compiled_epoch
from dbn.training.settings import ConvolutionalSettings
from experiments.bench import peers
from experiments.bench.common import alternate, skipped, times_faster
from experiments.bench.training import LIBRARY, PRODUCTS, TORCH, cd1_products

N_INS, WIDTH, POOL, LR = 80, 6, 3, 0.01  # Lee et al.'s
SONG = 1291  # frames of a clip of 30 s
TARGET = 0.6


def convolutional_rows(sizes, bases=(300, 150)):
    """CD-1 and features with 80 values a frame and bases of 6 frames in blocks of 3."""
    n_songs = max(1, sizes.n_frames // SONG)
    songs = np.random.default_rng(0).standard_normal((n_songs, SONG, N_INS), dtype=np.float32)
    return [row for n_bases in bases
            for rows in (_training_rows(songs, n_bases, sizes), _feature_rows(songs, n_bases, sizes)) for row in rows]


def _training_rows(songs, n_bases, sizes):
    settings = ConvolutionalSettings(hidden_layers_sizes=(n_bases,), widths=(WIDTH,), pools=(POOL,), momentum=0.0,
                                     weight_decay=0.0, sparsity_cost=0.0)
    step, overlap = POOL * settings.piece_blocks, WIDTH - 1
    starts = piece_starts(SONG * np.arange(len(songs) + 1), step, overlap, np.random.default_rng(0))
    n_pieces = max(settings.batch_size, sizes.call_frames // step)
    order = np.random.default_rng(1).permutation(len(starts))[:n_pieces]
    rows = songs.reshape(-1, N_INS)
    compiled = compiled_epoch(PiecesGraph.of_pretraining(settings, 0), "float32")
    params = network(n_bases).rbm_layers[0].params
    for ours, param in zip(compiled.params, params, strict=True):
        ours.set_value(param.get_value())
    compiled.data_x.set_value(rows, borrow=True)
    compiled.set_pieces(starts)
    compiled.piece_frames.set_value(step + overlap)
    patches = side_by_side(rows[:len(order) * step + overlap], WIDTH)
    contestants = {LIBRARY: partial(_in_calls, compiled.run, order, settings.batch_size),
                   PRODUCTS: partial(cd1_products, params[0].get_value(), patches, settings.batch_size * step)}
    if peers.torch is not None:
        peer = TorchRBM([param.get_value() for param in params], rows)
        contestants[TORCH] = partial(peer.train, starts[order], step + overlap, settings.batch_size)
    work = f"CD-1, {n_bases} bases of {WIDTH} frames of {N_INS} values, {settings.batch_size} pieces"
    result = _rows(work, alternate(contestants, sizes.rounds, work), len(order) * step)
    compiled.release_data()
    return result


def _feature_rows(songs, n_bases, sizes):
    model = ConvolutionalModel.from_dbn(network(n_bases), Scaling("none").fit([songs[0]]))
    W = model.weights[0]
    song = songs[0]
    contestants = {LIBRARY: partial(model.features, song),
                   PRODUCTS: partial(_feature_products, W, side_by_side(song, WIDTH))}
    if peers.torch is not None:
        contestants[TORCH] = partial(TorchRBM([W, model.biases[0], model.visible_biases[0]], song).features, song)
    work = f"features of a song by {n_bases} bases of {WIDTH} frames of {N_INS} values"
    return _rows(work, alternate(contestants, sizes.rounds, work), SONG)


def _rows(work, seconds, n_frames):
    targets = {PRODUCTS: TARGET, TORCH: 1.0}
    rows = times_faster(work, seconds, LIBRARY, {peer: targets[peer] for peer in targets if peer in seconds}, n_frames,
                        "frames/s")
    return rows if TORCH in seconds else [*rows, skipped(work, TORCH, peers.NO_TORCH)]


def network(n_bases):
    """An untrained network of one layer."""
    return ConvolutionalDBN(np.random.default_rng(0), n_ins=N_INS, hidden_layers_sizes=(n_bases,), widths=(WIDTH,),
                            pools=(POOL,), dtype="float32")


def _in_calls(run, order, batch_size):
    for start in range(0, len(order), PIECES_PER_CALL):
        run(order[start:start + PIECES_PER_CALL], batch_size, LR)


def _feature_products(W, patches):
    inputs = np.empty((BLOCKS * POOL, W.shape[1]), dtype=np.float32)
    for start in range(0, len(patches), len(inputs)):
        part = patches[start:start + len(inputs)]
        np.dot(part, W, out=inputs[:len(part)])


class TorchRBM:
    """A Gaussian convolutional RBM in PyTorch, see :class:`dbn.crbm.GaussianConvolutionalRBM`.

    Parameters
    ----------
    params : list of float32 arrays
        W [WIDTH * n_ins, n_bases], hidden and visible biases; copied.
    frames : float32 [n, n_ins]
        Of all songs. PyTorch must be installed.
    """

    def __init__(self, params, frames):
        peers.torch.set_num_threads(1)
        self.W, self.hbias, self.vbias = (peers.torch.tensor(param) for param in params)
        self.frames = peers.torch.from_numpy(frames)

    def train(self, starts, n_frames, batch_size):
        """CD-1 over pieces of `n_frames` frames that begin at `starts`."""
        within = peers.torch.arange(n_frames)
        for first in peers.torch.from_numpy(starts).split(batch_size):
            self.step(self.frames[(first[:, None] + within).flatten()].reshape(len(first), n_frames, -1))

    def step(self, v):
        """One update by CD-1 on pieces [n_pieces, n_frames, n_ins]."""
        torch = peers.torch
        patches = self._patches(v)
        means = self._means(patches, len(v))
        states = torch.cat([means, 1 - means.sum(dim=2, keepdim=True)], dim=2).clamp_(min=0)  # the last one is "off"
        n_pieces, n_blocks, _, n_bases = means.shape
        drawn = torch.multinomial(states.transpose(2, 3).reshape(-1, POOL + 1), 1)
        hidden = torch.nn.functional.one_hot(drawn[:, 0], POOL + 1)[:, :POOL].to(means.dtype)
        hidden = hidden.reshape(n_pieces, n_blocks, n_bases, POOL).transpose(2, 3)
        down = (hidden.reshape(-1, n_bases) @ self.W.T).reshape(n_pieces, n_blocks * POOL, WIDTH, -1)
        columns = down.permute(0, 3, 2, 1).reshape(n_pieces, -1, n_blocks * POOL)
        # the sum of what overlaps
        sent = torch.nn.functional.fold(columns, (v.shape[1], 1), (WIDTH, 1))[..., 0].transpose(1, 2)
        v_end = sent + self.vbias + torch.randn(v.shape)
        patches_end = self._patches(v_end)
        means_end = self._means(patches_end, len(v))
        n, h, h_end = len(patches), means.reshape(-1, n_bases), means_end.reshape(-1, n_bases)
        self.W += LR / n * (patches.T @ h - patches_end.T @ h_end)
        self.hbias += LR / n * (h - h_end).sum(dim=0)
        self.vbias += LR / n * (v - v_end).sum(dim=(0, 1))

    def features(self, song):
        """What :meth:`dbn.trained.convolutional.ConvolutionalModel.features` gives of a song [n, n_ins]; a tensor."""
        v = peers.torch.from_numpy(song)[None]
        inputs = self._inputs(self._patches(v[:, :len(song) - (len(song) - WIDTH + 1) % POOL]), 1)
        return peers.torch.sigmoid(peers.torch.logsumexp(inputs, dim=2))[0]

    def _patches(self, v):
        """Frames side by side: [n_pieces * n_positions, WIDTH * n_ins]."""
        return v.unfold(1, WIDTH, 1).transpose(2, 3).reshape(-1, WIDTH * v.shape[2])

    def _inputs(self, patches, n_pieces):
        """By block: [n_pieces, n_blocks, POOL, n_bases]."""
        return (patches @ self.W + self.hbias).reshape(n_pieces, -1, POOL, len(self.hbias))

    def _means(self, patches, n_pieces):
        """Of the hidden units, a softmax over each block and "off": [n_pieces, n_blocks, POOL, n_bases]."""
        inputs = self._inputs(patches, n_pieces)
        off = peers.torch.zeros_like(inputs[:, :, :1])
        return peers.torch.softmax(peers.torch.cat([inputs, off], dim=2), dim=2)[:, :, :POOL]
