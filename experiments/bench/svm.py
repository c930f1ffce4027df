"""Speed of the SVM's decisions, and that their labels are those of ``SVC.predict``."""
import numpy as np

from dbn.evaluation.svm import RBFSVM
from experiments.bench.common import alternate, row

N_FEATURES, N_CLASSES = 150, 10  # all three layers of 50 units; ten genres
LIBRARY, SKLEARN = "RBFSVM.predict", "SVC.predict (scikit-learn)"


def examples(n, seed):
    """Ten overlapping clouds, most of whose points become support vectors, as frames of music do: x float32, y int."""
    centres = np.random.default_rng(99).normal(scale=0.12, size=(N_CLASSES, N_FEATURES))
    rng = np.random.default_rng(seed)
    y = rng.integers(N_CLASSES, size=n)
    return (centres[y] + rng.normal(size=(n, N_FEATURES))).astype(np.float32), y


def svm_rows(sizes):
    """All frames decided by the library, a part of them by libsvm, whose time a frame does not depend on their number.

    Every round decides frames of its own, the first of them twice.
    """
    svm = RBFSVM(C=10.0, gamma=1.0 / N_FEATURES).fit(*examples(sizes.svm_train, seed=1))
    per_round = {LIBRARY: sizes.svm_frames // sizes.rounds, SKLEARN: sizes.svm_peer_frames // sizes.rounds}
    rounds = iter([examples(per_round[LIBRARY], seed)[0] for seed in range(2, sizes.rounds + 3)])
    labels = {LIBRARY: [], SKLEARN: []}
    current = []

    def decide():
        current[:] = [next(rounds)]
        labels[LIBRARY].append(svm.predict(current[0]))

    def decide_by_libsvm():
        x = (current[0][:per_round[SKLEARN]] - svm.mean_) / svm.scale_
        labels[SKLEARN].append(svm.classes_[svm.svc_.predict(x)])

    work = f"SVM decision over {sizes.svm_frames:,} frames, {sizes.svm_train:,} training frames, {N_FEATURES} features"
    seconds = alternate({LIBRARY: decide, SKLEARN: decide_by_libsvm}, sizes.rounds, "SVM decision")
    a_frame = {name: seconds[name] / per_round[name] for name in seconds}
    n_compared = sum(len(theirs) for theirs in labels[SKLEARN])
    n_different = sum(int((ours[:len(theirs)] != theirs).sum())
                      for ours, theirs in zip(labels[LIBRARY], labels[SKLEARN]))
    rates = " against ".join(f"{1 / np.median(a_frame[name]):,.0f}" for name in (LIBRARY, SKLEARN))
    return [row(work, SKLEARN, a_frame[SKLEARN] / a_frame[LIBRARY], "x", 20.0,
                note=f"{rates} frames/s; {svm.svc_.n_support_.sum():,} support vectors; "
                     f"compared on {n_compared:,} of the frames, {n_different} labels differ")]
