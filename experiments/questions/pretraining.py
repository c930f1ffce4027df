"""What pre-training brings, and what unlabelled songs do (§3, §6).

The labels of a share of the training songs are crossed with no pre-training, with that on the labelled songs, and with
that on all training songs; at the profile's rate and at ten and at a hundred times it. The scaling is fitted to what
pre-training sees.
"""
from experiments.questions import answer
from experiments.steps.options import run_script
from experiments.steps.question import Variant

QUESTION = "Does pre-training help, and does unlabelled audio? (§3, §6)"

SHARES = (1.0, 0.5, 0.2, 0.1, 0.02)


def VARIANTS(options):
    """By share of the labels."""
    profile = options.profile
    rate, rows = profile.training.pretrain_lr, []
    for share in SHARES:
        songs = {"train_songs": share * profile.train_songs}
        labels = f"{100 * share:g} % of the labels"
        rows.append(Variant(f"{labels}, no pre-training", songs, {"pretrain_epochs": 0}))
        for factor in (1, 10, 100):
            at = f"rate {factor * rate:g}"
            training = {"pretrain_lr": factor * rate}
            if share < 1 or factor > 1:
                rows.append(Variant(f"{labels}, pre-trained on these songs, {at}", songs, training))
            if share < 1:
                rows.append(Variant(f"{labels}, pre-trained on all songs, {at}", songs | {"pretrain_songs": "all"},
                                    training))
    return rows


def main(argv=None):
    """Train and test all systems, write and print the table."""
    answer(__doc__, argv, "pretraining", QUESTION, VARIANTS)


if __name__ == "__main__":
    run_script(main)
