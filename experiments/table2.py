"""Table 2: an SVM on single frames of each feature set; a song takes the vote of its frames (§5.1.1)."""
import numpy as np

from experiments import paper
from experiments.steps.comparison import Examples, compare
from experiments.steps.options import parse, run_script

TITLE = "Table 2: frame-level features"

FRAME_DRAW = 100  # marks the seed of this draw, apart from those of the training


def main(argv=None):
    """Make the table of all seeds, write and print it."""
    options = parse(__doc__, argv)
    grid = {"C": options.profile.frame_C, "gamma_times_features": options.profile.frame_gamma}
    compare(options, "table2", frame_examples, grid, paper.TABLE2, TITLE)


def frame_examples(run, features):
    """Single frames as examples.

    The same training frames, drawn at random with the run's seed, serve every feature set; every frame of a test song
    votes, and of a validation song every ``valid_stride``-th.

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
    classes = np.array(run.corpora.corpus.classes)
    train, valid, test = map(features.songs, (run.labelled_songs, run.split.valid, run.split.test))
    rows = np.concatenate([np.arange(song.start, song.stop) for song in train])
    labels = np.concatenate([np.full(song.stop - song.start, song.label) for song in train])
    drawn = np.random.default_rng([run.seed, FRAME_DRAW]).permutation(len(rows))[:run.profile.svm_frames]
    drawn = drawn[np.argsort(rows[drawn])]  # read from front to back
    valid_features = [features.at(slice(song.start, song.stop, run.profile.valid_stride)) for song in valid]
    return Examples(train_x=features.at(rows[drawn]), train_y=classes[labels[drawn]],
                    valid_songs={name: [song[name] for song in valid_features] for name in features.names},
                    valid_labels=classes[[song.label for song in valid]],
                    test_songs=test, of_song=lambda song: features.at(slice(song.start, song.stop)))


if __name__ == "__main__":
    run_script(main)
