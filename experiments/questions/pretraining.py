"""What pre-training brings, and what unlabelled songs do (§3, §6).

The labels of a share of the training songs are crossed with no pre-training, with that on the labelled songs, with that
on all training songs, and with that on these and on a folder of other music; at multiples of the profile's rate, and at
the one of them that the validation frames choose. With all labels and with the fewest this is done on other inputs
too. The scaling is fitted to what pre-training sees.
"""
from experiments.questions import answer
from experiments.steps.options import path_of, run_script
from experiments.steps.pipeline import Corpora, Run
from experiments.steps.question import Variant

QUESTION = "Does pre-training help, and does unlabelled audio? (§3, §6)"

OWN_OPTIONS = {"--unlabelled": {"type": path_of, "help": "a folder of other music to pre-train on as well"}}

SHARES = (1.0, 0.5, 0.2, 0.1, 0.02)
RATES = (1, 30)  # times the profile's rate of pre-training
INPUTS = {"": ({}, {}), "log inputs, ": ({"scaling": "log"}, {}),
          "Gaussian inputs, ": ({"scaling": "standardize"}, {"visible": "gaussian"})}


def VARIANTS(options):
    """By inputs and by number of labelled songs, which small corpora have at least one of in each class; a list.

    With the same inputs and labels, pre-training is compared with none: at the profile's rate, and at the best.
    """
    profile, run = options.profile, Run(Corpora(options), options.seed)
    shares = {len(run.labelled(share * profile.train_songs)): share for share in reversed(SHARES)}
    rows = []
    for inputs in INPUTS:
        n_labels = sorted(shares, reverse=True)
        for n_songs in n_labels if not inputs else dict.fromkeys((n_labels[0], n_labels[-1])):
            rows += _rows(options, inputs, n_songs, shares[n_songs])
    return rows


def _rows(options, inputs, n_songs, share):
    """Without pre-training, and with it on more and more songs."""
    profile, more = INPUTS[inputs]
    profile = profile | {"train_songs": share * options.profile.train_songs}
    none = f"{inputs}{n_songs} labelled songs, no pre-training"
    rows = [Variant(none, profile, more | {"pretrain_epochs": 0})]
    on = {"these": "labelled", "all": "all", "all and other music": str(options.unlabelled)}
    if share * options.profile.train_songs == 1:
        on.pop("all")  # they are these
    if options.unlabelled is None or inputs:
        on.pop("all and other music")
    if inputs and share < 1:
        on.pop("these")
    for name, which in on.items():
        trained_on, at = f"{inputs}{n_songs} labelled songs, pre-trained on {name}", []
        for factor in RATES:
            rate = factor * options.profile.training.pretrain_lr
            at.append(Variant(f"{trained_on}, rate {rate:g}", profile | {"pretrain_songs": which},
                              more | {"pretrain_lr": rate}, against=none, is_trial=factor != 1))
        is_first = not inputs and share == 1 and which == "labelled"  # the table's first row is that of one rate
        rows += at[is_first:]
        rows.append(Variant(f"{trained_on}, the best rate", against=none,
                            among=[""] * is_first + [variant.name for variant in at[is_first:]]))
    return rows


def main(argv=None):
    """Train and test all systems, write and print the table."""
    answer(__doc__, argv, "pretraining", QUESTION, VARIANTS, OWN_OPTIONS)


if __name__ == "__main__":
    run_script(main)
