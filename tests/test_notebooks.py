"""The notebooks run from their own folder, on the smoke profile, and show their pictures."""
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
N_FIGURES = {"figure2_tsne": 2, "over_time": 4, "rbm_tutorial": 5, "the_papers_questions": 5, "what_the_dbn_learns": 7,
             "your_own_audio": 1}


@pytest.mark.parametrize("name", N_FIGURES)
def test_notebook_runs_without_errors_and_shows_its_figures(name, smoke_run, tmp_path, monkeypatch):
    out = tmp_path / "results"
    shutil.copytree(smoke_run, out)  # it trains more networks there
    monkeypatch.setenv("DBN_PROFILE", "smoke")
    monkeypatch.setenv("DBN_OUT", str(out))
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": NOTEBOOKS}}).execute()

    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(figures) == N_FIGURES[name]
    assert len(nbformat.writes(notebook)) < 1.5e6


@pytest.mark.parametrize("name", N_FIGURES)
def test_notebook_opens_with_what_it_shows_and_its_cells_are_short(name):
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    first, *others = notebook.cells
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    assert "README" in first.source and "synthetic" in first.source
    lines = [len(cell.source.splitlines()) for cell in others[1:] if cell.cell_type == "code"]
    assert max(lines) <= 10
