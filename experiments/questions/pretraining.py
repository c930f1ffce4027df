"""What pre-training brings, and what unlabelled songs do (§3, §6).

The labels of a share of the training songs are crossed with no pre-training, with that on the labelled songs, with that
on all training songs, and with that on these and on a folder of other music; at the profile's rate and at
thirty times it. The scaling is fitted to what pre-training sees.
"""
from experiments.questions import answer
from experiments.steps.options import path_of, run_script
from experiments.steps.pipeline import Corpora, Run
from experiments.steps.question import Variant

QUESTION = "Does pre-training help, and does unlabelled audio? (§3, §6)"

OWN_OPTIONS = {"--unlabelled": {"type": path_of, "help": "a folder of other music to pre-train on as well"}}

SHARES = (1.0, 0.5, 0.2, 0.1, 0.02)
RATES = (1, 30)  # times the profile's rate of pre-training


def VARIANTS(options):
    """By number of labelled songs, which small corpora have at least one of in each class; a list.

    With the same labels, pre-training is compared with none.
    """
    profile, run = options.profile, Run(Corpora(options), options.seed)
    shares = {len(run.labelled(share * profile.train_songs)): share for share in reversed(SHARES)}
    rate, rows = profile.training.pretrain_lr, []
    for n_songs, share in sorted(shares.items(), reverse=True):
        songs, labels = {"train_songs": share * profile.train_songs}, f"{n_songs} labelled songs"
        none = f"{labels}, no pre-training"
        rows.append(Variant(none, songs, {"pretrain_epochs": 0}))
        for factor in RATES:
            at, training = f"rate {factor * rate:g}", {"pretrain_lr": factor * rate}
            on = {"these": "labelled", "all": "all", "all and other music": str(options.unlabelled)}
            if share == 1:
                on.pop("all")  # they are these
            if share == 1 and factor == 1:
                on.pop("these")  # the first row
            if options.unlabelled is None:
                on.pop("all and other music")
            rows += [Variant(f"{labels}, pre-trained on {name}, {at}", songs | {"pretrain_songs": which}, training,
                             against=none) for name, which in on.items()]
    return rows


def main(argv=None):
    """Train and test all systems, write and print the table."""
    answer(__doc__, argv, "pretraining", QUESTION, VARIANTS, OWN_OPTIONS)


if __name__ == "__main__":
    run_script(main)
