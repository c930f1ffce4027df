"""Table 3: an SVM on means and variances over 5 s windows; a song takes the vote of its windows (§5.1.2)."""
import numpy as np

from dbn.audio.pooling import frame_rate
from dbn.features.aggregate import aggregate
from dbn.system.progress import progress_bar
from experiments import paper
from experiments.steps.comparison import Examples, compare
from experiments.steps.options import parse, run_script

WINDOW_DRAW = 103  # marks the seed of this draw, apart from those of the training and of pipeline.py

TITLE = "Table 3: features aggregated over windows"


def main(argv=None):
    """Make the table of all seeds, write and print it."""
    options = parse(__doc__, argv)
    grid = {"C": options.profile.window_C, "gamma_times_features": options.profile.window_gamma}
    compare(options, "table3", window_examples, grid, paper.TABLE3, TITLE)


def window_examples(run, features):
    """Windows as examples: mean and variance of each feature over ``window_seconds``, every ``window_hop`` seconds.

    Other ``window_statistics``, or windows of further ``window_scales`` beside them, where the profile says so. Of more
    training windows than ``svm_windows`` so many are drawn at random with the run's seed, the same for every feature
    set.

    Parameters
    ----------
    run : experiments.steps.pipeline.Run
        The run.
    features : experiments.steps.features.FeatureSets
        Its feature sets.

    Returns
    -------
    experiments.steps.comparison.Examples
    """
    profile, classes = run.profile, np.array(run.corpora.corpus.classes)
    rate = frame_rate(run.corpora.frame_settings)

    def windows(song):
        return {name: aggregate(x, rate, profile.window_seconds, profile.window_hop, profile.window_statistics,
                                profile.window_scales)
                for name, x in features.at(slice(song.start, song.stop)).items()}

    train, valid, test = map(features.songs, (run.labelled_songs, run.split.valid, run.split.test))
    of_song = {song.name: windows(song)
               for song in progress_bar("windows", [*train, *valid, *test], unit=" songs")}
    names = features.names
    n_windows = [len(of_song[song.name][names[0]]) for song in train]
    train_y = np.repeat(classes[[song.label for song in train]], n_windows)
    drawn = np.random.default_rng([run.seed, WINDOW_DRAW]).permutation(len(train_y))[:profile.svm_windows]
    drawn.sort()
    return Examples(train_x={name: np.concatenate([of_song[song.name][name] for song in train])[drawn]
                             for name in names},
                    train_y=train_y[drawn],
                    valid_songs={name: [of_song[song.name][name] for song in valid] for name in names},
                    valid_labels=classes[[song.label for song in valid]],
                    test_songs=test, of_song=lambda song: of_song[song.name])


if __name__ == "__main__":
    run_script(main)
