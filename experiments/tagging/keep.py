"""What Table 4 leaves for use (§5.2): ``tagger.npz``, the network and one SVM a tag, trained on all clips."""
import hashlib
import json

import numpy as np

from dbn.errors import ModelFileError
from dbn.evaluation.autotag import train_tags
from dbn.system.versions import versions
from dbn.trained.tagger import Tagger, TagMeasure, load_tagger, save_tagger, shared_windows
from experiments.tagging.experiment import svm_grid, tags_and_groups
from experiments.tagging.features import DBN


def keep_tagger(experiment):
    """Write ``tagger.npz`` into the run's folder, unless this very one is there.

    It holds the tags that Table 4 could evaluate, each with the accuracy that it measured by cross-validation: the
    SVMs in the file have seen all clips, and nothing is left to measure them on.

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
        svms = train_tags(features, tags, groups, seed=options.seed, jobs=options.jobs, **grid)
        of_tag = [(svm, score) for svm, score in zip(svms, scores) if svm is not None]
        windows, svms = shared_windows(np.concatenate(features), [svm for svm, _ in of_tag])
        about = {"dataset": options.dataset, "synthetic": options.dataset == "synthetic", "n_clips": len(clips.used),
                 "n_folds": profile.tag_folds, "seed": options.seed, "key": key, "versions": versions()}
        save_tagger(path, Tagger(experiment.model, windows, tuple(score.name for _, score in of_tag), svms,
                                 tuple(TagMeasure(score.accuracy, score.n_test) for _, score in of_tag),
                                 profile.window_seconds, profile.window_hop, about))
    return path


def _is_there(path, key):
    try:
        return load_tagger(path).about.get("key") == key
    except ModelFileError:
        return False
