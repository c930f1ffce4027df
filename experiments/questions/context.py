"""More of the time around a frame (§5.3, §6): for the network, which sees one at a time, and for the windows.

Frames side by side are as many times wider as they are fewer, so an epoch takes about the same arithmetic. It has fewer
steps, unless minibatches are smaller in proportion: both are tried. Convolutional networks get principal components of
logarithms; bases of one frame tell what of a difference is the inputs'. All networks have as many features, 150 if the
profile has the paper's, and as many epochs; what they take stands beside. Rows of other windows are of the first row's
network: its own accuracy and costs are in them as well.
"""
from dbn.features.aggregate import STATISTICS
from experiments.questions import answer
from experiments.steps.options import run_script
from experiments.steps.question import Variant

QUESTION = "Do longer stretches of time help, or several time scales? (§5.3, §6)"

STACKS = (3, 9)  # frames: 0.1 s and 0.2 s
SECONDS = (0.5, 1.0, 2.5, 5.0, 10.0)


def VARIANTS(options):
    """Networks on more than a frame, then windows; a list."""
    profile = options.profile
    return [*_side_by_side(profile), *_over_time(sum(profile.training.hidden_layers_sizes)), *_windows(profile)]


def _side_by_side(profile):
    rows = []
    for n in STACKS:
        size = max(1, round(profile.training.batch_size / n))
        name, pooling = f"{n} frames side by side", {"pooling": f"stack-{n}"}
        rows += [Variant(name, pooling), Variant(f"{name}, minibatches of {size}", pooling, {"batch_size": size})]
    return rows


def _over_time(n_features):
    """Convolutional networks of so many bases together."""
    def row(name, widths, pools, **training):
        sizes = (n_features // len(widths),) * len(widths)
        training |= {"hidden_layers_sizes": sizes, "widths": widths, "pools": pools}
        return Variant(name, {}, training, network="convolutional")

    both = "bases of 6 frames, blocks of 3"
    return [row("bases of 1 frame", (1,), (1,)), row("bases of 6 frames", (6,), (1,)), row(both, (6,), (3,)),
            row(f"{both}, not pre-trained", (6,), (3,), pretrain_epochs=0),
            row(f"{both}, pre-trained alone", (6,), (3,), finetune_epochs=0),
            row(f"two layers of {both}", (6, 6), (3, 3))]


def _windows(profile):
    """Every length by itself, all side by side, and more statistics than mean and variance."""
    own = profile.window_seconds
    others = tuple(seconds for seconds in SECONDS if seconds != own)
    scales, four = {"window_scales": others}, {"window_statistics": tuple(STATISTICS)}
    *most, last = (f"{seconds:g}" for seconds in sorted({own, *SECONDS}))
    return [*(Variant(f"windows of {seconds:g} s", {"window_seconds": seconds, "window_hop": seconds / 2})
              for seconds in others),
            Variant(f"windows of {', '.join(most)} and {last} s side by side", scales),
            Variant(f"mean, variance, maximum and minimum over {own:g} s", four),
            Variant("mean, variance, maximum and minimum, all lengths", scales | four)]


def main(argv=None):
    """Train and test all systems, write and print the table."""
    answer(__doc__, argv, "context", QUESTION, VARIANTS)


if __name__ == "__main__":
    run_script(main)
