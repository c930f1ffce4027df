"""Results lie by corpus: where they go unless --out says it."""
import shutil
import subprocess
from pathlib import Path

import pytest

from dbn.errors import DBNError
from experiments.steps.options import parse
from experiments.steps.results_folder import results_folder

REPOSITORY = Path(__file__).parents[3]


def out_of(*arguments):
    return parse("", list(arguments)).out


def test_the_synthetic_corpus_has_one_folder_a_profile():
    assert out_of() == Path("results/synthetic-demo")
    assert out_of("--profile", "smoke", "--seed", "3") == Path("results/synthetic-smoke")


@pytest.mark.parametrize("dataset", ["gtzan", "folder", "majorminer"])
def test_two_folders_of_one_name_have_their_own(tmp_path, dataset):
    roots = [tmp_path / owner / "music" for owner in "ab"]
    for root in roots:
        root.mkdir(parents=True)
    ours, theirs = (out_of("--dataset", dataset, "--root", str(root)) for root in roots)
    assert ours != theirs
    for out in (ours, theirs):
        assert out.parent == Path("results")
        assert out.name.startswith(f"{dataset}-music-") and out.name.endswith("-demo")


def test_however_it_is_written_a_corpus_finds_its_folder(tmp_path, monkeypatch):
    root = tmp_path / "music"
    root.mkdir()
    (tmp_path / "link").symlink_to(root)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(root)
    expected = out_of("--dataset", "folder", "--root", str(root))
    (tmp_path / "other").mkdir()
    for written in (f"{root}/", "~/music", ".", "../music", f"{tmp_path}/other/../music", str(tmp_path / "link")):
        assert out_of("--dataset", "folder", "--root", written) == expected
    (root / "a new song.wav").write_bytes(b"RIFF")
    assert out_of("--dataset", "folder", "--root", str(root)) == expected
    assert out_of("--dataset", "folder", "--root", str(root), "--profile", "paper") != expected


def test_what_is_asked_for_stands(tmp_path):
    assert out_of("--dataset", "folder", "--root", str(tmp_path), "--out", str(tmp_path / "here")) == tmp_path / "here"


@pytest.mark.parametrize("name, shown", [("my music; rm -rf", "my_music_rm_-rf"), ("Müsik", "Müsik"),
                                         ("\udcff", "_"), ("n" * 255, "n" * 40)])
def test_names_that_a_shell_or_a_disk_would_mind(tmp_path, name, shown):
    assert results_folder("folder", tmp_path / name, "demo").name.startswith(f"folder-{shown}-")


def test_the_root_of_the_disk_has_no_name():
    assert len(results_folder("folder", "/", "demo").name.split("-")) == 3


def test_a_corpus_without_its_folder_is_asked_for_first():
    with pytest.raises(DBNError, match="--root is missing"):
        out_of("--dataset", "folder")


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
@pytest.mark.parametrize("dataset, root, more", [("synthetic", None, []), ("gtzan", "gtzan", ["--profile", "paper"]),
                                                 ("folder", "my own music", [])])
def test_make_announces_where_the_scripts_write(tmp_path, dataset, root, more):
    values = [f"DATASET={dataset}", *([f"ROOT={tmp_path / root}"] if root else []),
              *([f"PROFILE={more[1]}"] if more else [])]
    said = subprocess.run(["make", "--no-print-directory", "announce", *values], cwd=REPOSITORY, capture_output=True,
                          text=True, check=True).stdout
    if root:
        (tmp_path / root).mkdir()
    expected = out_of("--dataset", dataset, *(["--root", str(tmp_path / root)] if root else []), *more)
    assert said.startswith(f"results go to {expected}, at the end report.html")
