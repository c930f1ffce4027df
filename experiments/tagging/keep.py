"""What Table 4 leaves for use (§5.2): ``tagger.npz``, the network and one SVM a tag, trained on all clips."""
import hashlib
import json

from dbn.errors import ModelFileError
from dbn.evaluation.tagging import trained_tagger
from dbn.system.versions import versions
from dbn.trained.tagger import load_tagger, save_tagger
from experiments.tagging.experiment import svm_grid, tags_and_groups
from experiments.tagging.features import DBN


def keep_tagger(experiment):
    """Write ``tagger.npz`` into the run's folder, unless this very one is there.

    It holds the tags that Table 4 could evaluate, each with the accuracy that it measured by cross-validation.

    Parameters
    ----------
    experiment : experiments.tagging.experiment.Experiment

    Returns
    -------
    pathlib.Path
    """
    options, clips, scores = experiment.options, experiment.clips, experiment.results[DBN].scores
    features, profile = clips.features[DBN], options.profile
    tags, groups = tags_and_groups(clips)
    tags = tags[:, [clips.corpus.tags.index(score.name) for score in scores]]
    grid = svm_grid(features, profile)
    depends_on = [clips.key, groups, tags.tolist(), [(score.name, score.accuracy) for score in scores], options.seed,
                  grid]
    key = hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()
    path = options.out / "tagger.npz"
    if not _is_there(path, key):
        about = {"dataset": options.dataset, "synthetic": options.dataset == "synthetic", "n_clips": len(clips.used),
                 "n_folds": profile.tag_folds, "seed": options.seed, "key": key, "versions": versions()}
        save_tagger(path, trained_tagger(experiment.model, features, tags, groups, scores, profile.window_seconds,
                                         profile.window_hop, about, grid, options.seed, options.jobs))
    return path


def _is_there(path, key):
    try:
        return load_tagger(path).about.get("key") == key
    except ModelFileError:
        return False
