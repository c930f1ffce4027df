"""The house holds together: who may import whom, what a user imports, what the old places are now."""
import configparser
import importlib
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import dbn
from dbn.audio.scaling import KINDS

REPOSITORY = Path(__file__).parents[1]


def in_fresh_python(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, **options)


# ------------------------------------------------------------------------------------------------ what a user imports

def test_every_name_of_a_face_is_there():
    rooms = ["dbn", *(f"dbn.{path.parent.name}" for path in sorted(Path(dbn.__file__).parent.glob("*/__init__.py")))]
    assert len(rooms) == 11
    for room in map(importlib.import_module, rooms):
        for name in getattr(room, "__all__", ()):
            assert getattr(room, name) is not None


def test_the_classifier_names_every_scaling():
    assert all(f'"{kind}"' in dbn.DBNClassifier.__doc__ for kind in KINDS)


def test_the_face_alone_loads_next_to_nothing():
    done = in_fresh_python("import sys; before = set(sys.modules); import dbn; "
                           "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))")
    assert not set(done.stdout.split()) & {"numpy", "scipy", "soundfile", "numba", "pytensor", "sklearn", "joblib"}


def test_a_model_is_loaded_and_used_without_a_compiler():
    done = in_fresh_python("import sys; sys.modules['pytensor'] = sys.modules['numba'] = None; import numpy as np; "
                           "from dbn import dft_magnitudes, load_model, open_model; "
                           "model = open_model('synthetic-demo'); "
                           "signal = np.random.default_rng(0).normal(size=2048); "
                           "print(model.predict_proba(dft_magnitudes(signal)).shape)")
    assert done.stdout.split() == ["(3,", "10)"], done.stderr


@pytest.mark.parametrize("old, new, name", [
    ("dbn.aggregate", "dbn.features.aggregate", "aggregate"),
    ("dbn.model_io", "dbn.trained.model", "load_model"),
    ("dbn.tagger", "dbn.trained.tagger", "load_tagger"),
    ("experiments.options", "experiments.steps.options", "parse"),
    ("experiments.pipeline", "experiments.steps.pipeline", "Corpora"),
    ("experiments.reporting", "experiments.steps.reporting", "markdown_table"),
])
def test_what_readme_and_notebooks_once_imported_is_found_in_its_new_place(old, new, name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sys.modules.pop(old, None)
        assert getattr(importlib.import_module(old), name) is getattr(importlib.import_module(new), name)
    assert f"{old} is now {new}" in [str(warning.message) for warning in caught]


# ------------------------------------------------------------------------------------------------ who imports whom

BROKEN = {
    "audio imports the network": ("dbn/audio/scaling.py", "from dbn.rbm import RBM"),
    "the network imports audio": ("dbn/layers.py", "from dbn.audio.scaling import Scaling"),
    "a trained model needs PyTensor": ("dbn/trained/forward.py", "import pytensor"),
    "the loops import the estimators above them": ("dbn/training/fit.py", "import dbn.estimators"),
    "a circle between operations and kernels": ("dbn/graph/ops.py", "import dbn.graph.numba_products"),
    "what the scripts share imports a script": ("experiments/steps/reporting.py", "import experiments.table1"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_an_import_against_the_rules_is_found(what, tmp_path):
    file, line = BROKEN[what]
    for part in ("dbn", "experiments", "setup.cfg"):
        copy = shutil.copytree if (REPOSITORY / part).is_dir() else shutil.copy
        copy(REPOSITORY / part, tmp_path / part)
    code = (tmp_path / file).read_text()
    (tmp_path / file).write_text(code.replace("\nimport ", f"\n{line}\nimport ", 1))
    assert (tmp_path / file).read_text() != code
    lint = Path(sys.executable).with_name("lint-imports")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([lint, "--no-cache"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and re.search(r"Contracts: \d kept, [1-9] broken", done.stdout), done.stdout


def test_every_file_of_the_hall_has_a_floor():
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg")
    floors = set(re.findall(r"dbn\.\w+", config["importlinter:contract:floors"]["layers"]))
    there = {f"dbn.{path.stem}" for path in (REPOSITORY / "dbn").iterdir()
             if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert there - {"dbn.__init__"} == floors


# ------------------------------------------------------------------------------------------------ other systems

WITHOUT_FCNTL = """
import os, sys
sys.modules["fcntl"] = None
"""


def test_everything_works_where_there_is_no_fcntl(smoke_run, tmp_path):
    """As on Windows: the command line, extraction by two processes, training and the search."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_FCNTL)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"}

    def run(*command):
        return subprocess.run([sys.executable, "-m", *map(str, command)], env=environment, cwd=tmp_path,
                              capture_output=True, text=True)

    music = smoke_run / "corpus" / "genres"
    done = run("dbn", "train", music, "-o", "model.npz", "--jobs", "2", "--recipe", "paper",
               "--hidden-layers-sizes", "5", "--pretrain-epochs", "1", "--finetune-epochs", "1", "--keep")
    assert done.returncode == 0 and (tmp_path / "model.npz").exists(), done.stderr
    done = run("dbn", "extract", "model.npz", music / "jazz", "-o", "features.npz")
    assert done.returncode == 0 and (tmp_path / "features.npz").exists(), done.stderr
    out = tmp_path / "out"
    done = run("experiments.sweep", "--profile", "smoke", "--jobs", "1", "--sweep-points", "1", "--out", out)
    assert done.returncode == 0 and (out / "sweep.json").exists(), done.stderr


# ------------------------------------------------------------------------------------------------ installed packages

@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Environment and folder of a process that has the package as a wheel brings it, and no checkout."""
    source, site, elsewhere = (tmp_path_factory.mktemp(name) for name in ("source", "site", "elsewhere"))
    for part in ("dbn", "data/gtzan"):
        shutil.copytree(REPOSITORY / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("setup.py", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / part, source)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
                    "--disable-pip-version-check", "--wheel-dir", site, source], check=True, capture_output=True)
    [wheel] = site.glob("*.whl")
    shutil.unpack_archive(wheel, site, "zip")
    return {"env": os.environ | {"PYTHONPATH": str(site)}, "cwd": elsewhere, "capture_output": True, "text": True}


def test_a_wheel_brings_the_command_and_its_model(installed):
    done = subprocess.run([sys.executable, "-m", "dbn", "info", "synthetic-demo"], **installed)
    assert "classes: blues" in done.stdout, done.stderr
    done = subprocess.run([sys.executable, "-c", "import dbn; print(dbn.__file__)"], **installed)
    assert installed["env"]["PYTHONPATH"] in done.stdout


def test_scripts_that_are_not_installed_say_where_they_are(installed):
    done = subprocess.run([sys.executable, "-m", "experiments.table1"], **installed)
    assert done.returncode and "get the repository" in done.stderr and "Traceback" not in done.stderr


def test_the_names_of_all_scripts_are_known_to_the_installed_package():
    from dbn.cli.no_experiments import SCRIPTS
    there = {path.stem for path in (REPOSITORY / "experiments").glob("*.py")} - {"__init__", "paper", "profiles"}
    assert {name.rpartition(".")[2] for name in SCRIPTS} == there | {"bench", "questions"}


def test_somebody_else_s_experiments_are_found_beside_the_installed_package(installed):
    folder = installed["cwd"] / "experiments"
    folder.mkdir()
    (folder / "mine.py").write_text("print('mine')")
    assert subprocess.run([sys.executable, "-m", "experiments.mine"], **installed).stdout == "mine\n"
