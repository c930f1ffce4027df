"""Options of the scripts beyond reason: each is named before anything is made."""
import os
from dataclasses import fields, replace

import joblib
import pytest

from dbn.audio.extraction import checked_settings, extract_frames
from dbn.cli.options import check_bounds, checked_jobs
from dbn.datasets import synthetic
from dbn.errors import DBNError
from dbn.training.recipes import RECIPES, RECOMMENDED
from experiments.profiles import BOUNDS, PROFILES, Profile
from experiments.steps.options import parse, shared_arguments


@pytest.mark.parametrize("option", [
    "--frame-length 100000000000000", "--n-mels 100000000", "--valid-stride 0", "--sweep-frames -1", "--svm-frames -1",
    "--clips-per-genre 100000000", "--clip-seconds nan", "--tag-folds 1", "--frame-C 1,inf", "--repeats 0",
    "--window-scales 0.5,0", "--svm-windows 0", "--seed -1", "--jobs 10000000000000000000", "--hop-length 0"])
def test_a_number_out_of_bounds_names_its_option(tmp_path, option):
    name, value = option.split()
    with pytest.raises(DBNError, match=f"^{name} is"):
        parse("", ["--out", str(tmp_path / "out"), name, value])
    assert not os.listdir(tmp_path)


def test_no_more_processes_than_cores_or_songs(tmp_path, monkeypatch):
    cores = joblib.cpu_count()
    assert (checked_jobs(60), checked_jobs(-1), checked_jobs(1)) == (min(60, cores), cores, 1)
    monkeypatch.setattr(joblib, "effective_n_jobs", lambda jobs: 8 if jobs == -1 else jobs)
    asked = []
    monkeypatch.setattr(joblib, "Parallel", lambda n_jobs, **_: asked.append(n_jobs) or (lambda tasks: ()))
    for jobs, n_clips in ((60, 3), (60, 20), (2, 3)):
        extract_frames(["none"] * n_clips, tmp_path / "frames.npy", checked_settings(22050, 1024, 512, None), jobs)
    assert asked == [3, 8, 2]


def test_a_network_too_large_for_its_inputs():
    parse("", ["--hidden-layers-sizes", "3000"])
    with pytest.raises(DBNError, match="on 32769 inputs the weights take 0.39 GB"):
        parse("", ["--hidden-layers-sizes", "3000", "--frame-length", "65536"])


def test_every_number_of_a_profile_has_bounds():
    numbers = {field.name for field in fields(Profile)
               if any(kind in str(field.type) for kind in ("int", "float", "tuple")) and "str" not in str(field.type)}
    numbers.remove("corpus_seed")
    assert numbers == set(BOUNDS)
    for profile in PROFILES.values():
        check_bounds(profile, BOUNDS)


def test_a_corpus_that_the_disk_has_no_room_for(tmp_path):
    with pytest.raises(DBNError, match="1,000,000 clips of 600 s take 26,460.0 GB"):
        synthetic.generate(tmp_path / "corpus", clips_per_genre=100_000, seconds=600)
    with pytest.raises(DBNError, match="GB are free"):
        synthetic.generate_tagged(tmp_path / "corpus", n_clips=10**6, seconds=600)
    assert not os.listdir(tmp_path)


def test_a_recipe_instead_of_the_profiles_settings(tmp_path):
    """What is given as an option of its own wins."""
    arguments = ["--out", str(tmp_path)]
    assert parse("", arguments).profile == PROFILES["demo"]
    profile = parse("", [*arguments, "--recipe", "recommended"]).profile
    recipe = RECIPES[RECOMMENDED]
    assert profile.scaling == recipe.scaling
    assert profile.training == replace(PROFILES["demo"].training, **recipe.changes)
    changed = parse("", [*arguments, "--recipe", "recommended", "--scaling", "standardize", "--finetune-lr", "0.3"])
    assert (changed.profile.scaling, changed.profile.training.finetune_lr) == ("standardize", 0.3)
    assert changed.profile.training.activation == recipe.changes["activation"]
    with pytest.raises(DBNError, match="--from-sweep and --recipe"):
        parse("", [*arguments, "--recipe", "paper", "--from-sweep"])


@pytest.mark.parametrize("own", ["--other-dataset gtzan --other-root clips", "--unlabelled clips", "--most-units 50",
                                 "--other-root=clips", "--help"])
def test_arguments_that_every_script_takes(own):
    shared = "--dataset gtzan --root clips --repeats 5 --scaling log --no-persistent".split()
    for n in range(0, len(shared), 2):
        assert shared_arguments([*shared[:n], *own.split(), *shared[n:]]) == shared


def test_arguments_without_sense_are_given_back():
    assert shared_arguments(["--seed", "x", "--unlabelled", "y"]) == ["--seed", "x", "--unlabelled", "y"]
