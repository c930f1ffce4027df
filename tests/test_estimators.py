"""DBNClassifier and DBNFeatures: scikit-learn's own checks, its tools around them, the training that they stand for."""
import pickle

import joblib
import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from dbn.audio.frames import FrameSet
from dbn.audio.scaling import Scaling
from dbn.errors import DBNError, TrainingError
from dbn.estimators import PAPER, SETTINGS, DBNClassifier, DBNFeatures
from dbn.likelihood import log_likelihood, log_partition
from dbn.rbm import RBM
from dbn.trained.model import load_model, save_model
from dbn.training.fit import held_out_rows
from dbn.training.loops import train
from dbn.training.settings import TrainingSettings
from experiments.profiles import Profile
from small_network import examples, forget_compiled

# scikit-learn's checks want blobs of three classes told apart, with few rows and features; two layers everywhere, so
# that there is less to compile
CHECKED = PAPER | {"hidden_layers_sizes": (8, 8), "pretrain_epochs": 1, "finetune_lr": 1.0, "finetune_epochs": 60,
                   "batch_size": 10, "random_state": 0}
SMALL = PAPER | {"hidden_layers_sizes": (6, 5), "pretrain_lr": 0.05, "pretrain_epochs": 2, "finetune_lr": 1.0,
                 "finetune_epochs": 8, "batch_size": 10, "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    """Rows and labels of scikit-learn's digits, 8 by 8 grey values: training and test."""
    return train_test_split(*load_digits(return_X_y=True), test_size=0.5, random_state=0)


@pytest.fixture(scope="module")
def classifier():
    return DBNClassifier(**SMALL).fit(*examples(120))


@pytest.fixture(scope="module")
def features():
    return DBNFeatures(**SMALL).fit(*examples(120))


def assert_same_network(one, other):
    for name in ("weights", "biases", "visible_biases"):
        for array, expected in zip(getattr(one.model_, name), getattr(other.model_, name), strict=True):
            np.testing.assert_array_equal(array, expected)


# nothing is excluded
@parametrize_with_checks([DBNClassifier(), DBNClassifier(**CHECKED), DBNClassifier(**CHECKED | {"output": "sigmoid"}),
                          DBNFeatures(), DBNFeatures(**CHECKED | {"finetune_epochs": 0})])
def test_scikit_learn_checks(estimator, check):
    assert check(estimator) is None  # it raises an AssertionError where it finds something


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer, load_digits])
def test_the_defaults_come_within_two_points_of_logistic_regression(load):
    """Five-fold, nothing tuned on these sets."""
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    x, y = load(return_X_y=True)
    ours = cross_val_score(DBNClassifier(random_state=0), x, y, cv=folds, error_score="raise").mean()
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    assert ours >= cross_val_score(linear, x, y, cv=folds).mean() - 0.02


def test_the_papers_settings():
    defaults = TrainingSettings()
    for estimator in (DBNClassifier(**PAPER), DBNFeatures(**PAPER)):
        for name in SETTINGS:
            assert getattr(estimator, name) == getattr(defaults, name), name
        assert estimator.scaling == Profile.scaling


@pytest.mark.parametrize("scaling", ["max", "log", "log-standardize", "log-pca-2", "log-whitened-pca-2", "minmax",
                                     "standardize", "pca-2", "none"])
def test_negative_numbers_are_refused_where_the_scaling_cuts_them(scaling):
    x, y = examples(60)
    estimator = DBNClassifier(**SMALL | {"scaling": scaling, "visible": "gaussian", "finetune_epochs": 1})
    is_cut = scaling not in ("minmax", "standardize", "pca-2", "none")
    assert estimator.__sklearn_tags__().input_tags.positive_only == is_cut
    if is_cut:
        with pytest.raises(ValueError, match=f"Negative values in data passed to DBNClassifier with .*'{scaling}'"):
            estimator.fit(x - 1, y)
    else:
        assert len(estimator.fit(x - 1, y).predict(x - 1)) == 60


def test_same_bits_as_the_training_loop(monkeypatch):
    x, y = examples(120)
    valid = examples(60, seed=1)
    fitted = DBNClassifier(**SMALL).fit(x, y, *valid)
    settings = {name: value for name, value in SMALL.items() if name not in ("random_state", "scaling")}
    scaling = Scaling("minmax").fit([x])
    sets = [FrameSet.from_arrays(*pair).with_scaling(scaling) for pair in ((x, y), valid)]
    seed = int(np.random.RandomState(0).randint(2**31 - 1))
    forget_compiled(monkeypatch)  # this network compiles its own epochs
    result = train(*sets, 3, TrainingSettings(**settings, seed=seed), progress=False)
    n = len(fitted.model_.weights)
    for i, value in enumerate(result.dbn.get_values()[:2 * n]):
        np.testing.assert_array_equal((fitted.model_.biases if i % 2 else fitted.model_.weights)[i // 2], value)
    assert fitted.best_epoch_ == result.best_epoch > 0
    assert fitted.validation_score_ == 1 - result.best_error == fitted.score(*valid)


def test_grid_search_over_a_pipeline_on_digits(digits):
    x_train, x_test, y_train, y_test = digits
    pipeline = make_pipeline(DBNFeatures(**SMALL | {"hidden_layers_sizes": (40, 20), "finetune_epochs": 20}),
                             LogisticRegression(max_iter=1000))
    search = GridSearchCV(pipeline, {"dbnfeatures__layers": [[2], "all"], "dbnfeatures__pretrain_epochs": [0, 2]}, cv=2,
                          error_score="raise")
    search.fit(x_train, y_train)
    assert len(search.cv_results_["params"]) == 4
    assert search.score(x_test, y_test) >= 0.9


@pytest.mark.parametrize("options", [{}, {"output": "sigmoid"}, {"visible": "gaussian", "scaling": "standardize"}])
def test_classifier_on_digits(digits, options):
    x_train, x_test, y_train, y_test = digits
    network = DBNClassifier(**SMALL | {"hidden_layers_sizes": (40, 20), "finetune_epochs": 40} | options)
    assert network.fit(x_train, y_train).score(x_test, y_test) >= 0.9


def test_clone_gives_the_same_bits_and_another_seed_others(classifier):
    x, y = examples(120)
    again = clone(classifier)
    assert not hasattr(again, "model_")
    assert_same_network(again.fit(x, y), classifier)
    other = clone(classifier).set_params(random_state=1).fit(x, y)
    assert (other.model_.weights[0] != classifier.model_.weights[0]).all()
    generator = np.random.RandomState(0)
    assert_same_network(clone(classifier).set_params(random_state=generator).fit(x, y), classifier)


def test_pickle_and_joblib(classifier, features, tmp_path):
    x, _ = examples(20, seed=5)
    for fitted, method in ((classifier, "predict_proba"), (features, "transform")):
        stored = pickle.dumps(fitted)
        assert b"pytensor" not in stored  # arrays only, no graph
        joblib.dump(fitted, tmp_path / "fitted.joblib")
        for copy in (pickle.loads(stored), joblib.load(tmp_path / "fitted.joblib")):
            np.testing.assert_array_equal(getattr(copy, method)(x), getattr(fitted, method)(x))


def test_the_model_can_be_saved(classifier, tmp_path):
    x, _ = examples(20, seed=5)
    save_model(tmp_path / "model.npz", classifier.model_)
    model = load_model(tmp_path / "model.npz")
    np.testing.assert_allclose(model.predict_proba(x), classifier.predict_proba(x), rtol=1e-5)
    assert model.classes == ("0", "1", "2")


def test_reconstructions_and_samples_are_the_models_in_the_units_of_the_rows(digits):
    x, other, *_ = digits
    network = DBNFeatures(**SMALL | {"hidden_layers_sizes": (30, 20), "pretrain_epochs": 20}).fit(x)
    again = network.reconstruct(other, n_layers=1)
    assert again.shape == other.shape and again.dtype == np.float32
    assert np.abs(again - other).mean() < 0.8 * np.abs(other - x.mean(axis=0)).mean()
    np.testing.assert_array_equal(again, network.model_.reconstruct(other, 1))
    for options in ({"n": 7}, {"X": other[:7]}, {"X": other[:7], "n_layers": 1}):
        found = network.sample(n_steps=5, seed=3, **options)
        assert found.shape == (7, 64) and 0 <= found.min() and found.max() <= 16
        options["frames"] = options.pop("X", None)
        np.testing.assert_array_equal(found, network.model_.sample(n_steps=5, seed=3, **options))
    with pytest.raises(ValueError, match="X has 63 features"):
        network.sample(X=other[:, 1:])
    with pytest.raises(ValueError, match="X has 63 features"):
        network.reconstruct(other[:, 1:])
    with pytest.raises(NotFittedError):
        clone(network).sample()


def test_pcd_raises_the_exact_likelihood_of_binary_rows():
    """As CD does, by other steps; two layers, of which the first is asked."""
    rows = examples(200)[0].round()

    def likelihood(**options):
        model = DBNFeatures(**SMALL | {"scaling": "none", "pretrain_epochs": 60} | options).fit(rows).model_
        rbm = RBM(n_visible=8, n_hidden=6, W=model.weights[0], hbias=model.biases[0], vbias=model.visible_biases[0],
                  dtype="float32")
        return log_likelihood(rbm, rows, log_partition(rbm)).mean()

    untrained, cd, pcd = likelihood(pretrain_epochs=0), likelihood(), likelihood(persistent=True)
    assert min(cd, pcd) > untrained + 1 and cd != pcd


def test_labels_of_any_kind(classifier):
    x, y = examples(120)
    names = np.array(["rock", "blues", "jazz"])[y]
    fitted = clone(classifier).fit(x, names)
    assert fitted.classes_.tolist() == ["blues", "jazz", "rock"]
    assert fitted.score(x, names) > 0.9


def test_features_are_the_sigmoids_of_scaled_rows(features):
    x, y = examples(120)
    held_out = held_out_rows(y, 0.2, _generator_after_the_seed())
    lowest, highest = x[~held_out].min(axis=0), x[~held_out].max(axis=0)
    layer = np.clip((x - lowest) / (highest - lowest), 0, 1)
    expected = []
    for weights, bias in list(zip(features.model_.weights, features.model_.biases))[:-1]:
        layer = expit(layer.astype(float) @ weights + bias)
        expected.append(layer)
    np.testing.assert_allclose(features.transform(x), np.hstack(expected), atol=1e-5)


def _generator_after_the_seed():
    generator = np.random.RandomState(0)
    generator.randint(2**31 - 1)
    return generator


def test_chosen_layers_in_their_order(features):
    x, y = examples(120)
    every = features.transform(x)
    chosen = clone(features).set_params(layers=[2, 1]).fit(x, y)
    np.testing.assert_array_equal(chosen.transform(x), np.hstack([every[:, 6:], every[:, :6]]))
    assert chosen.get_feature_names_out().tolist() == (
        [f"layer2_unit{unit}" for unit in range(5)] + [f"layer1_unit{unit}" for unit in range(6)])
    assert clone(features).set_params(layers=[1]).fit(x, y).get_feature_names_out().tolist() == [
        f"layer1_unit{unit}" for unit in range(6)]


def test_names_of_columns(features):
    names = features.get_feature_names_out()
    assert [names[0], names[5], names[6], names[-1]] == ["layer1_unit0", "layer1_unit5", "layer2_unit0", "layer2_unit4"]
    assert features.get_feature_names_out([f"bin{i}" for i in range(8)]).tolist() == names.tolist()
    with pytest.raises(ValueError, match="input_features is not equal to feature_names_in_.*8 names"):
        features.get_feature_names_out(["bin0"])


def test_pandas_output(features):
    pandas = pytest.importorskip("pandas")
    x, y = examples(120)
    frame = pandas.DataFrame(x, columns=[f"bin{i}" for i in range(8)])
    fitted = clone(features).set_output(transform="pandas").fit(frame, y)
    table = fitted.transform(frame)
    assert list(table.columns) == fitted.get_feature_names_out().tolist()
    np.testing.assert_array_equal(table.to_numpy(), features.transform(x))
    with pytest.raises(ValueError, match="feature_names_in_"):
        fitted.get_feature_names_out([f"other{i}" for i in range(8)])


def test_without_labels_the_layers_are_pretrained_only():
    x, y = examples(120)
    unsupervised = DBNFeatures(**SMALL).fit(x)
    assert [(record["stage"], record["layer"]) for record in unsupervised.history_] == [("pretrain", 1)] * 2 + [
        ("pretrain", 2)] * 2
    assert unsupervised.validation_score_ is None and unsupervised.best_epoch_ is None
    untrained = DBNFeatures(**SMALL | {"pretrain_epochs": 0}).fit(x)
    assert (unsupervised.model_.weights[1] != untrained.model_.weights[1]).any()
    # no row is held out: labels of any kind are not looked at
    assert_same_network(DBNFeatures(**SMALL | {"finetune_epochs": 0}).fit(x, y + 0.5), unsupervised)


def test_probabilities_of_softmax_sum_to_one(classifier):
    x, y = examples(60, seed=3)
    probabilities = classifier.predict_proba(x)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert (classifier.predict(x) == probabilities.argmax(axis=1)).all()
    assert classifier.score(x, y) > 0.9


def test_probabilities_of_sigmoid_are_shares_of_the_outputs(classifier):
    x, _ = examples(60, seed=3)
    fitted = clone(classifier).set_params(output="sigmoid").fit(*examples(120))
    outputs = fitted.model_.predict_proba(x).astype(float)
    assert (np.abs(outputs.sum(axis=1) - 1) > 1e-3).any()
    np.testing.assert_allclose(fitted.predict_proba(x), outputs / outputs.sum(axis=1, keepdims=True), atol=1e-5)
    fitted.model_.biases[-1] -= np.float32([200, 210, 220])  # outputs that round to 0
    assert not fitted.model_.predict_proba(x).any()
    np.testing.assert_allclose(fitted.predict_proba(x), np.tile([1, 0, 0], (60, 1)), atol=0.1)


def test_rows_held_out_of_every_class():
    labels = np.repeat([0, 1, 2, 3], [50, 10, 2, 1])
    held_out = held_out_rows(labels, 0.2, np.random.RandomState(0))
    assert np.bincount(labels[held_out], minlength=4).tolist() == [10, 2, 1, 0]
    other = held_out_rows(labels, 0.2, np.random.RandomState(1))
    assert (held_out != other).any()
    with pytest.raises(DBNError, match="no class has two rows"):
        held_out_rows(np.arange(3), 0.5, np.random.RandomState(0))


def test_scaling_sees_the_training_rows_only():
    x, y = examples(120)
    x[held_out_rows(y, 0.2, _generator_after_the_seed())] *= 100
    held_out = DBNClassifier(**SMALL).fit(x, y)
    assert 1 / held_out.model_.scaling.gain.min() < 2
    given = DBNClassifier(**SMALL).fit(x, y, *examples(60, seed=1))  # then every row is trained on
    assert 1 / given.model_.scaling.gain.min() > 50


def test_warm_start_goes_on_from_the_parameters_kept(classifier):
    x, y = examples(120)
    standing = clone(classifier).set_params(warm_start=True).fit(x, y)
    before = pickle.loads(pickle.dumps(standing))
    assert_same_network(standing.set_params(finetune_lr=1e-30).fit(x, y), before)  # no step: the same network
    assert len(standing.history_) == len(before.history_) + 8
    assert {record["stage"] for record in standing.history_[len(before.history_):]} == {"finetune"}
    going_on = before.set_params(finetune_lr=0.5, finetune_epochs=3)
    score = going_on.validation_score_
    assert going_on.fit(x, y).validation_score_ >= score  # on the same rows held out
    cold = clone(classifier).fit(x, y)
    assert_same_network(cold.fit(x, y), classifier)  # without warm start a second fit is a first one


def test_warm_start_keeps_the_scaling_that_the_weights_were_learned_with():
    x, _ = examples(120)
    network = DBNFeatures(**SMALL | {"pretrain_lr": 1e-30}, warm_start=True).fit(x)
    before = network.transform(x)
    np.testing.assert_array_equal(network.fit(x / 2).transform(x), before)
    with pytest.raises(ValueError, match="X has 7 features, but DBNFeatures is expecting 8"):
        network.fit(x[:, 1:])


def test_warm_start_draws_anew():
    x, _ = examples(120)
    network = DBNFeatures(**SMALL | {"pretrain_lr": 1e-30}, warm_start=True).fit(x).fit(x)
    costs = [record["cost"] for record in network.history_]  # of a network that stands still
    assert len(set(costs)) == len(costs) == 8


def test_warm_start_fine_tunes_what_was_learned_without_labels():
    x, y = examples(120)
    network = DBNFeatures(**SMALL, warm_start=True).fit(x)
    learned = network.model_
    network.set_params(finetune_lr=1e-30).fit(x, y)
    for weights, expected in zip(network.model_.weights[:-1], learned.weights[:-1], strict=True):
        np.testing.assert_array_equal(weights, expected)
    assert network.model_.weights[-1].shape == (5, 3)
    network.set_params(finetune_lr=1.0, finetune_epochs=30).fit(x, y)
    assert network.validation_score_ > 0.9


@pytest.mark.parametrize(("change", "message"), [
    ({"hidden_layers_sizes": (6, 4)}, "hidden_layers_sizes has changed from"),
    ({"visible": "gaussian"}, "visible has changed from 'bernoulli' to 'gaussian'"),
    ({"output": "sigmoid"}, "output has changed"),
    ({"scaling": "log"}, "scaling has changed"),
])
def test_warm_start_refuses_another_network(classifier, change, message):
    fitted = pickle.loads(pickle.dumps(classifier)).set_params(warm_start=True, **change)
    with pytest.raises(DBNError, match=message + ".*warm_start=False"):
        fitted.fit(*examples(120))


def test_warm_start_refuses_other_classes_and_widths(classifier):
    x, y = examples(120)
    fitted = pickle.loads(pickle.dumps(classifier)).set_params(warm_start=True)
    with pytest.raises(DBNError, match="y has changed"):
        fitted.fit(x, y + 1)
    with pytest.raises(ValueError, match="X has 7 features, but DBNClassifier is expecting 8"):
        fitted.fit(x[:, 1:], y)
    assert fitted.classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("name", "value", "message"), [
    ("hidden_layers_sizes", (), "at least one layer"),
    ("hidden_layers_sizes", 50, "at least one layer"),
    ("visible", "binary", "bernoulli, gaussian"),
    ("output", "linear", "softmax, sigmoid"),
    ("scaling", "l2", "minmax"),
    ("pretrain_lr", 0, "positive"),
    ("pretrain_epochs", -1, "at least 0"),
    ("k", 0, "at least 1"),
    ("persistent", "yes", "True or False"),
    ("finetune_lr", "0.1", "positive"),
    ("finetune_epochs", 0, "at least 1"),
    ("finetune_epochs", 1.5, "integer"),
    ("batch_size", 0, "at least 1"),
    ("patience", 0, "at least 1"),
    ("patience", None, "integer"),
    ("validation_fraction", 0, "between 0 and 1"),
    ("validation_fraction", 1.0, "between 0 and 1"),
    ("warm_start", "yes", "True or False"),
    ("random_state", -1, "non-negative integer"),
    ("random_state", "0", "non-negative integer"),
    ("verbose", None, "True or False"),
])
def test_wrong_parameters_are_named(name, value, message):
    estimator = DBNClassifier(**SMALL | {name: value})
    estimator.__sklearn_tags__()  # scikit-learn asks for them before anything is checked
    with pytest.raises(DBNError, match=f"{name}.*{message}"):
        estimator.fit(*examples(30))


@pytest.mark.parametrize("layers", ["1", 1, [], [0], [3], [1, 1], [1.0], None])
def test_wrong_layers_are_named(layers):
    with pytest.raises(DBNError, match="layers is .*from 1 to 2"):
        DBNFeatures(**SMALL, layers=layers).fit(examples(30)[0])


def test_wrong_validation_sets_are_named():
    x, y = examples(30)
    network = DBNClassifier(**SMALL)
    with pytest.raises(DBNError, match="X_valid and y_valid belong together"):
        network.fit(x, y, X_valid=x)
    with pytest.raises(DBNError, match="y_valid has the class 7"):
        network.fit(x, y, x, np.where(y == 0, 7, y))
    with pytest.raises(ValueError, match="X has 7 features"):
        network.fit(x, y, x[:, 1:], y)
    with pytest.raises(DBNError, match="only one class, 1"):
        network.fit(x, np.ones(30))


def test_divergence_is_told():
    with np.errstate(all="ignore"), pytest.raises(TrainingError, match="lower finetune_lr"):
        DBNClassifier(**SMALL | {"finetune_lr": 1e38}).fit(*examples(60))
