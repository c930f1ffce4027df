"""``dbn train`` by recipes: what each is, which is the best, and which cannot be."""
from dataclasses import asdict

import numpy as np
import pytest
from test_train import folder, names_in, parameters, quick, train  # noqa: F401

import dbn.training.fit
from dbn.trained.model import load_model
from dbn.training.recipes import RECIPES, RECOMMENDED
from dbn.training.settings import TrainingSettings


@pytest.mark.parametrize("name", [*RECIPES, "recommended"])
def test_a_recipe_and_what_options_change_of_it(quick, folder, tmp_path, name):  # noqa: F811
    recipe = RECIPES[RECOMMENDED if name == "recommended" else name]
    options = ["--recipe", name, "--pretrain-epochs", "0", "--weight-decay", "0.01"]
    assert train(folder, tmp_path / "m.npz", *options) == 0
    model = load_model(tmp_path / "m.npz")
    assert model.scaling.kind == recipe.scaling
    given = {"hidden_layers_sizes": (6, 5), "pretrain_epochs": 0, "finetune_epochs": 6, "finetune_lr": 0.5,
             "patience": 100000, "weight_decay": 0.01}
    expected = asdict(TrainingSettings(**recipe.changes | given)) | {"hidden_layers_sizes": [6, 5]}
    assert model.about["settings"] == expected
    assert model.about["recipe"] == {"name": RECOMMENDED if name == "recommended" else name, "about": recipe.about,
                                     "tried": {}}
    assert train(folder, tmp_path / "other.npz", *options, "--scaling", "max") == 0
    assert load_model(tmp_path / "other.npz").scaling.kind == "max"


def tried_recipes(monkeypatch, accuracies, errors):
    """Let the recipes, in their order, have these accuracies of validation songs and these errors of frames.

    Of test songs MFCCs label all right, and learned features none.
    """
    calls, error_of = iter(accuracies), dict(zip([recipe.scaling for recipe in RECIPES.values()], errors, strict=True))

    def fit_model(store, split, scaling, *more):
        model = fit_really(store, split, scaling, *more)
        model.about["best_error"] = error_of[scaling]
        return model

    fit_really = dbn.training.fit.fit_model
    monkeypatch.setattr(dbn.training.fit, "fit_model", fit_model)
    monkeypatch.setattr("dbn.evaluation.windows.chosen_svm", lambda windows, labels, split, jobs: (None, next(calls)))
    monkeypatch.setattr("dbn.evaluation.windows.test_answers", lambda windows, *_: {
        kind: np.array([kind == "MFCCs"] * 2) for kind in windows})


@pytest.mark.parametrize("accuracies, errors, best", [
    ((0.9, 0.5, 0.6), (0.3, 0.1, 0.2), "paper"), ((0.5, 0.9, 0.6), (0.1, 0.3, 0.2), "log"),
    ((0.5, 0.6, 0.9), (0.1, 0.2, 0.3), "rectified"), ((0.5, 0.9, 0.9), (0.1, 0.2, 0.3), "log"),
    ((0.5, 0.9, 0.9), (0.1, 0.3, 0.2), "rectified"), ((0.9, 0.9, 0.9), (0.2, 0.2, 0.2), "paper")])
def test_the_best_recipe_by_the_validation_songs(quick, folder, tmp_path, monkeypatch, accuracies, errors,  # noqa: F811
                                                 best):
    """Of equals, by the frames' errors; of equals in both, the first. The model is that of this recipe alone."""
    tried_recipes(monkeypatch, accuracies, errors)
    no_pretraining = "--pretrain-epochs", "0"
    assert train(folder, tmp_path / "m.npz", "--recipe", "auto", *no_pretraining) == 0
    assert train(folder, tmp_path / "alone.npz", "--recipe", best, *no_pretraining) == 0
    model, alone = (load_model(tmp_path / name) for name in ("m.npz", "alone.npz"))
    tried = model.about["recipe"]["tried"]
    assert {name: numbers["valid_accuracy"] for name, numbers in tried.items()} == dict(zip(RECIPES, accuracies))
    assert (model.about["recipe"]["name"], model.about["best_error"]) == (best, dict(zip(RECIPES, errors))[best])
    for value, other in zip(parameters(model), parameters(alone), strict=True):
        np.testing.assert_array_equal(value, other)


def test_what_is_said_of_the_recipes(quick, folder, tmp_path, capsys, monkeypatch):  # noqa: F811
    """Each when it is through; the SVM's test songs choose nothing."""
    tried_recipes(monkeypatch, (0.5, 1.0, 0.6), (0.1, 0.3, 0.2))
    assert train(folder, tmp_path / "m.npz", "--recipe", "auto", "--pretrain-epochs", "0") == 0
    out, err = capsys.readouterr()
    assert "  log: 1.000 of validation songs" in out and "recipe paper: 0.500 of validation songs" in err
    assert "; 2 more, about 0 min" in err and "MFCCs label more of these songs right" in out


@pytest.mark.parametrize("options, message", [
    (["--recipe", "rectified"], "or activation sigmoid; or give another --recipe, such as log"),
    (["--recipe", "secret"], "choose one of recommended, auto, paper"),
    (["--unsupervised", "--recipe", "auto"], "--unsupervised looks at no label"),
    (["--unsupervised", "--labels", "x.csv"], "--unsupervised looks at no label")])
def test_recipes_that_cannot_be(quick, folder, tmp_path, capsys, options, message):  # noqa: F811
    assert train(folder, tmp_path / "m.npz", *options) == 2
    assert message in capsys.readouterr().err and names_in(tmp_path) == []
