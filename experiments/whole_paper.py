"""The paper in one file: from a folder of audio to Table 3, in plain PyTensor (Hamel & Eck, ISMIR 2010).

To be read from top to bottom with the paper beside it: § is its section, "not stated" marks what it leaves open. The
symbolic part is written as in the deeplearning.net tutorials. Run it on a folder with a sub-folder for each genre:

    python -m experiments.whole_paper --root genres     # genres/blues/*.wav, genres/classical/*.wav, ...

It uses nothing of the library in dbn/, makes the same choices, and draws the same songs for the same seed: each checks
the other. It keeps nothing on disk. The other scripts' options (--dataset, --profile, --out, ...) do not apply to it.
"""
import argparse
import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytensor
import pytensor.tensor as pt
import soundfile
from scipy.fft import dct, rfft
from scipy.signal import get_window, resample_poly
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tqdm import tqdm

RATE, FRAME, HOP = 22050, 1024, 512  # §4.1: frames of 46.44 ms; §5.3: "overlapping over half a frame"
LAYERS = (50, 50, 50)  # Table 1, as the next two lines
PRETRAIN_LR, PRETRAIN_EPOCHS = 0.001, 5
FINETUNE_LR, FINETUNE_EPOCHS = 0.1, 474
BATCH, N_MELS, N_MFCC = 20, 40, 20  # not stated, nor the next line
GRID = list(itertools.product((1, 10, 100), (0.03, 0.1, 0.3, 1)))  # the SVM's C; gamma times the number of features
PAPER_TABLE1 = 0.737
PAPER_TABLE3 = {"MFCCs": 0.790, "Layer 1": 0.800, "Layer 2": 0.837, "Layer 3": 0.830, "All Layers": 0.843}


class Refused(Exception):
    """What the user can put right."""


# ---------------------------------------------------------------- §2 the data set, §4.1 its split and its frames
def draw_split(root, seed):
    """The genres' folders, and three lists of (file, number of its genre): 50, 20 and 30 % of the songs of each."""
    genres, parts = sorted(folder for folder in root.glob("[!.]*") if folder.is_dir()), ([], [], [])
    if len(genres) < 2:
        raise Refused(f"{root}: no folder with sub-folders for two genres or more")
    for number, genre in enumerate(genres):
        paths = sorted(path for path in genre.glob("[!.]*") if path.is_file())
        if len(paths) < 3:
            raise Refused(f"{genre}: {len(paths)} song(s); training, validation and test need one each")
        tenths = len(paths) * np.array([5, 2, 3])
        sizes = tenths // 10
        sizes[np.argsort(-(tenths % 10), kind="stable")[:len(paths) - sizes.sum()]] += 1  # where rounding took most
        order = np.random.default_rng([seed, number]).permutation(len(paths))
        for part, chosen in zip(parts, np.split(order, np.cumsum(sizes)[:-1])):
            part += [(paths[i], number) for i in sorted(chosen)]
    return genres, parts


def read_song(path, genre):
    """A song's frames: the absolute values of their DFTs, 513 by symmetry, float32 [n, 513], and MFCCs [n, 20]."""
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: no header says how to read it
        raise Refused(f"{path}: cannot be read as audio; repair or remove it ({error})") from None
    signal = resample_poly(samples.mean(axis=1), RATE, rate)
    if len(signal) < FRAME or not np.isfinite(signal).all():
        raise Refused(f"{path}: has fewer samples than a frame ({FRAME}), or samples that are no numbers; remove it")
    frames = np.lib.stride_tricks.sliding_window_view(signal, FRAME)[::HOP]
    return SimpleNamespace(genre=genre, dfts=np.abs(rfft(frames)), mfccs=mfcc(frames))


def scale(train_songs, *others):
    """Bring each input to [0, 1] by its extremes in the training songs (not stated; binary units need it)."""
    low = np.min([song.dfts.min(axis=0) for song in train_songs], axis=0)
    high = np.max([song.dfts.max(axis=0) for song in train_songs], axis=0)
    for song in itertools.chain(train_songs, *others):
        song.dfts = np.clip((song.dfts - low) / np.where(high > low, high - low, 1), 0, 1)


# ---------------------------------------------------------------- §3 deep belief networks
class RBM:
    """Restricted Boltzmann machine: two layers of binary units with the energy E(v, h) = -b'v - c'h - v'Wh."""

    def __init__(self, numpy_rng, n_visible, n_hidden):
        bound = 4 * np.sqrt(6 / (n_visible + n_hidden))  # not stated; the tutorials' for sigmoid units
        self.W = pytensor.shared(numpy_rng.uniform(-bound, bound, size=(n_visible, n_hidden)).astype("float32"))
        self.hbias, self.vbias = [pytensor.shared(np.zeros(n, dtype="float32")) for n in (n_hidden, n_visible)]
        self.params = [self.W, self.hbias, self.vbias]

    def propup(self, v):
        """p(h = 1 | v), the activations of the hidden units."""
        return pt.sigmoid(pt.dot(v, self.W) + self.hbias)

    def propdown(self, h):
        """p(v = 1 | h)."""
        return pt.sigmoid(pt.dot(h, self.W.T) + self.vbias)

    def free_energy(self, v):
        """F(v) = -b'v - sum_j log(1 + exp(c_j + v'W_j)), so that p(v) = exp(-F(v)) / Z."""
        return -pt.dot(v, self.vbias) - pt.softplus(pt.dot(v, self.W) + self.hbias).sum(axis=1)

    def get_updates(self, v0, rng, lr):
        """Contrastive divergence of one step: lower the data's free energy, raise that of a sample drawn from it."""
        next_rng, h0 = rng.bernoulli(self.propup(v0))
        next_rng, v1 = next_rng.bernoulli(self.propdown(h0.astype("float32")))
        v1 = v1.astype("float32")
        cost = self.free_energy(v0).mean() - self.free_energy(v1).mean()
        gparams = pt.grad(cost, self.params, consider_constant=[v1])  # v1 stands for the model's own distribution
        return {param: param - lr * gparam for param, gparam in zip(self.params, gparams)} | {rng: next_rng}


class DBN:
    """RBMs, "the hidden layer of one RBM" linked "to the visible layer of the next", and soft max on top (§4.1)."""

    def __init__(self, numpy_rng, n_ins, hidden_layers_sizes, n_outs):
        self.x, self.y = pt.matrix("x", dtype="float32"), pt.lvector("y")
        self.rbm_layers, self.activations = [], [self.x]
        for n_visible, n_hidden in itertools.pairwise([n_ins, *hidden_layers_sizes]):
            self.rbm_layers.append(RBM(numpy_rng, n_visible, n_hidden))
            self.activations.append(self.rbm_layers[-1].propup(self.activations[-1]))
        W, b = [pytensor.shared(np.zeros(shape, dtype="float32")) for shape in ((n_hidden, n_outs), n_outs)]
        self.params = [param for rbm in self.rbm_layers for param in (rbm.W, rbm.hbias)] + [W, b]
        log_p = pt.special.log_softmax(pt.dot(self.activations[-1], W) + b, axis=1)
        self.p_y_given_x = pt.exp(log_p)
        self.finetune_cost = -log_p[pt.arange(self.y.shape[0]), self.y].mean()  # negative log-likelihood
        self.errors = pt.neq(pt.argmax(log_p, axis=1), self.y).mean()


# ---------------------------------------------------------------- §4.1 training the DBN
def examples(songs, features_of):
    """Features of some songs, one song's rows below another's, and the genre of each row."""
    features = [features_of(song) for song in songs]
    return np.concatenate(features), np.repeat([song.genre for song in songs], [len(rows) for rows in features])


def run_epoch(step, n_frames, numpy_rng):
    """Call `step` with the row numbers of one minibatch after another, every frame once, in a new order."""
    order = numpy_rng.permutation(n_frames)
    for start in range(0, n_frames, BATCH):
        step(order[start:start + BATCH])


def pretrain(dbn, train_x, numpy_rng):
    """Layer after layer "in a unsupervised manner", each on the activations of the one below."""
    rows = pt.lvector("rows")
    for number, (rbm, layer_input) in enumerate(zip(dbn.rbm_layers, dbn.activations), start=1):
        updates = rbm.get_updates(layer_input, pt.random.shared_rng(numpy_rng.spawn(1)[0]), np.float32(PRETRAIN_LR))
        step = pytensor.function([rows], updates=updates, givens={dbn.x: train_x[rows]})
        for _ in tqdm(range(PRETRAIN_EPOCHS), desc=f"pre-training layer {number}", unit=" epochs", disable=None):
            run_epoch(step, len(train_x.get_value(borrow=True)), numpy_rng)


def finetune(dbn, train_x, train_y, valid_x, valid_y, epochs, numpy_rng):
    """Gradient descent, "using the validation set to do early-stopping": the best epoch's parameters are kept.

    How long to wait for a better epoch is not stated; here that is `epochs`. Returns the number of the best one.
    """
    rows, gparams = pt.lvector("rows"), pt.grad(dbn.finetune_cost, dbn.params)
    updates = {param: param - np.float32(FINETUNE_LR) * gparam for param, gparam in zip(dbn.params, gparams)}
    step = pytensor.function([rows], updates=updates, givens={dbn.x: train_x[rows], dbn.y: train_y[rows]})
    valid_error = pytensor.function([], dbn.errors, givens={dbn.x: valid_x, dbn.y: valid_y})
    best_epoch, best_error, best_values = 0, valid_error(), [param.get_value() for param in dbn.params]
    for epoch in (bar := tqdm(range(1, epochs + 1), desc="fine-tuning", unit=" epochs", disable=None)):
        run_epoch(step, len(train_y.get_value(borrow=True)), numpy_rng)
        error = valid_error()
        if error < best_error:
            best_epoch, best_error, best_values = epoch, error, [param.get_value() for param in dbn.params]
        bar.set_postfix(valid=f"{error:.4f}", best=f"{best_error:.4f}")
    for param, value in zip(dbn.params, best_values):
        param.set_value(value)
    return best_epoch


# ---------------------------------------------------------------- §5.1 MFCCs, windows of 5 s, SVMs
def mfcc(frames):
    """Mel-frequency cepstral coefficients (details not stated): [n, 1024] -> [n, 20]."""
    mels = np.linspace(0, 15 + 27 * np.log(RATE / 2000) / np.log(6.4), N_MELS + 2)  # Slaney's scale up to 11,025 Hz
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))[:, np.newaxis]
    low, peak, high, hertz = edges[:-2], edges[1:-1], edges[2:], np.arange(FRAME // 2 + 1) * RATE / FRAME
    filters = np.maximum(0, np.minimum((hertz - low) / (peak - low), (high - hertz) / (high - peak))) * 2 / (high - low)
    bands = np.abs(rfft(frames * get_window("hann", FRAME))) ** 2 @ filters.T
    return dct(np.log(np.maximum(bands, 1e-10)), type=2, norm="ortho")[:, :N_MFCC]


def aggregate(features):
    """Mean and variance over 5 s, every 2.5 s (§5.1.2): [n_frames, d] -> [n_windows, 2 d]; a shorter song is one."""
    length, step = int(5 * RATE / HOP), int(2.5 * RATE / HOP)
    windows = [features[start:start + length] for start in range(0, max(0, len(features) - length) + 1, step)]
    return np.array([[*window.mean(axis=0, dtype=float), *window.var(axis=0, dtype=float)] for window in windows])


def vote(labels):
    """The most frequent label; of several, the one that got there first (not stated)."""
    return labels[np.argmax([np.sum(labels[:i + 1] == label) for i, label in enumerate(labels)])]


def svm_accuracy(name, train_songs, valid_songs, test_songs):
    """Share of the test songs right, by an RBF SVM whose C and gamma do best on the validation songs."""
    def right(svm, songs):  # shares of the songs, by vote, and of the windows, between equals
        labels = [svm.predict(song.windows[name]) for song in songs]
        return (np.mean([vote(own) == song.genre for own, song in zip(labels, songs)]),
                np.mean(np.concatenate([own == song.genre for own, song in zip(labels, songs)])))

    x, y = examples(train_songs, lambda song: song.windows[name])
    svms = [make_pipeline(StandardScaler(), SVC(C=C, gamma=gamma / x.shape[1])).fit(x, y) for C, gamma in GRID]
    return right(max(svms, key=lambda svm: right(svm, valid_songs)), test_songs)[0]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder with a sub-folder for each genre")
    parser.add_argument("--seed", type=int, default=0, help="of the split and of the training (default: 0)")
    parser.add_argument("--epochs", type=int, default=FINETUNE_EPOCHS, help="of fine-tuning (default: 474)")
    options = parser.parse_args(argv)
    if min(options.seed, options.epochs) < 0:
        parser.error("--seed and --epochs must not be negative")
    try:
        genres, files = draw_split(options.root, options.seed)
        parts = [[read_song(*file) for file in tqdm(part, desc="reading", unit=" songs", disable=None)]
                 for part in files]
    except (Refused, OSError) as error:
        parser.error(str(error))
    print("songs to train, to validate, to test:", *map(len, parts))
    scale(*parts)

    numpy_rng = np.random.default_rng([options.seed, len(genres)])
    dbn = DBN(numpy_rng, FRAME // 2 + 1, LAYERS, len(genres))
    train_x, train_y, valid_x, valid_y = [pytensor.shared(array, borrow=True) for songs in parts[:2]
                                          for array in examples(songs, lambda song: song.dfts)]
    pretrain(dbn, train_x, numpy_rng)
    best_epoch = finetune(dbn, train_x, train_y, valid_x, valid_y, options.epochs, numpy_rng)

    outputs = pytensor.function([dbn.x], [*dbn.activations[1:], dbn.p_y_given_x])
    for song in itertools.chain(*parts):
        *layers, p = outputs(song.dfts)
        song.network = p.mean(axis=0).argmax()  # §4.1: "average over all predictions for a song"
        song.windows = dict(zip(PAPER_TABLE3, map(aggregate, [song.mfccs, *layers, np.hstack(layers)])))
    accuracy = np.mean([song.network == song.genre for song in parts[2]])
    print(f"\n{'Table 1':14} here  paper\nepochs        {best_epoch:5}  {FINETUNE_EPOCHS:5}")
    print(f"network       {accuracy:.3f}  {PAPER_TABLE1:.3f}\n\n{'Table 3':14} here  paper")
    for name, paper in PAPER_TABLE3.items():
        print(f"{name:12}  {svm_accuracy(name, *parts):.3f}  {paper:.3f}")


if __name__ == "__main__":
    main()
