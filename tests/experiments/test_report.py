"""The report: every number of the results on one page that needs no other file."""
import base64
import json
import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import small_report
from dbn.errors import DBNError
from experiments import report
from experiments.page.content import RESULTS, deviations
from experiments.page.elements import element, picture
from experiments.steps.reporting import SYNTHETIC_NOTE
from small_report import CLIPS, HOSTILE, PNG, ROWS, SONGS, TABLE1, Page, accuracies, table

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def write(tmp_path):
    """Writes results into a folder and gives the page made of it."""
    return partial(small_report.write, tmp_path)


SEARCH = table("sweep", [{"rank": 1, "point": 17}], winner={"point": 17},
               shown=[{"name": "best", "frame error": 0.25, "pretrain_lr": 0.0123}])


def everything():
    figure2 = [{"name": "MFCCs", "dimensions": 20, "neighbour_share_space": 0.48712}]
    figure3 = [{"name": "rap", "clips": 41, "DBN": [0.81234, 0.0123], "MIM": [0.7, 0.0]}]
    return [table("figure1", [{"name": "Hidden layer 1", "units": 50, "kind": "binary units"}]),
            table("table1", TABLE1), table("table2", accuracies(ROWS)), table("table3", accuracies(ROWS)),
            table("figure2", figure2), SEARCH, table("figure3", figure3, corpus=CLIPS),
            table("table4", [{"name": "DBN", "accuracy": 0.7311, "standard_error": 0.0213, "paper": 0.73}],
                  corpus=CLIPS)]


ALL_PICTURES = [name for entry in RESULTS for name, _ in entry.pictures]


def test_nothing_to_report(tmp_path):
    (tmp_path / "seconds.json").write_text("{}")
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DBNError, match="no results") as error:
            report.main(["--profile", "smoke", "--out", str(folder), "--n-mfcc", "13"])
        assert f"python -m experiments.table1 --profile smoke --out {folder} --n-mfcc 13" in str(error.value)
        assert not (folder / "report.html").exists()


def test_message_on_the_command_line(tmp_path):
    """Exit status 2 and one message, without a traceback."""
    ended = subprocess.run([sys.executable, "-m", "experiments.report", "--out", str(tmp_path)], cwd=REPOSITORY,
                           capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ") and "experiments.table1" in ended.stderr


def test_only_table1(write, capsys, tmp_path):
    page = write(table("table1", TABLE1), pictures=["table1-learning.png"])
    assert f"report: {tmp_path / 'report.html'}" in capsys.readouterr().out
    # the others are named with the command that makes them, in every particular that of the table that is there
    assert page.text.count("Not made yet") == sum((REPOSITORY / "experiments" / f"{entry.name}.py").exists()
                                                  for entry in RESULTS if "gtzan" in entry.datasets) - 1
    assert "Table 4" not in page.text  # GTZAN has no tags
    for other in ("table2", "table3", "figure1", "figure2"):
        assert (f"python -m experiments.{other} --dataset gtzan --root 'my music' --profile paper --seed 3 --repeats 2 "
                "--n-mfcc 13") in page.text
    assert "table1-confusion.png is not there" in page.text
    assert len(page.of("img")) == 1


def test_numbers_are_those_of_the_results(write):
    page = write(*everything())
    row = page.row("Classification accuracy")
    assert (row["ours"], row["paper"], row["songs"], row["decisions"]) == (
        "0.701 [0.651, 0.745]", "0.737", "510", "598")
    assert page.row("Number of hidden layers")["ours"] == "3"
    assert page.row("Training frames")["ours"] == "645,500"
    row = page.row("Layer 3", "γ")
    assert row["ours"] == "0.442 [0.381, 0.509]" and row["paper"] == "0.660"
    assert (row["C"], row["γ"], row["of each seed"]) == ("1–10", "0.00075–0.05", "0.402, 0.423")
    assert (row["p against MFCCs"], row["Holm"], row["resampled t"]) == ("0.0369", "0.0963", "0.1368")
    assert page.row("MFCCs", "γ")["p against MFCCs"] == "" and "bootstrap over songs" not in row.values()
    recall = page.row("blues", "Layer 1")
    assert [recall[name] for name in ROWS] == ["0.12", "0.22", "0.32", "0.42", "0.52"]
    assert page.row("MFCCs", "dimensions")["neighbours, original space"] == "0.487"
    assert page.row("best", "frame error")["pretrain_lr"] == "0.0123"
    assert page.row("DBN")["standard error"] == "0.021"
    assert page.row("rap", "clips")["DBN, its standard error"] == "0.812, 0.012"
    assert page.row("Hidden layer 1", "units")["units"] == "50"


def test_how_numbers_are_judged_stands_under_the_table(write):
    judged = {"judged": {"unit": "artists", "n_units": 77, "n_decisions": 598, "n_songs": 510, "one_split": False}}
    page = write(table("table1", TABLE1, **judged), table("table2", accuracies(ROWS), **judged),
                 table("table3", accuracies(ROWS), repeats=1, **judged))
    assert page.text.count("598 decisions on 510 different test songs by 77 artists") == 2
    assert page.text.count("the signs of the differences of the artists") == 1
    assert page.text.count("McNemar's exact test") == page.text.count("Wilson interval") == 1


def test_one_decision_a_song_is_not_said_twice(write):
    rows = [row | {"n_test": 510} for row in accuracies(ROWS)]
    assert "decisions" not in write(table("table2", rows)).row("Layer 1")


def test_accuracy_marks(write):
    """The drawn dot, bar and stroke stand where the numbers are."""
    page = write(table("table1", TABLE1))
    circle, = page.of("circle")
    assert float(circle["cx"]) == pytest.approx(70.117)
    lines = {line["class"]: (float(line["x1"]), float(line["x2"])) for line in page.of("line")}
    assert lines == {"axis": (0, 100), "interval": pytest.approx((65.12, 74.49)), "paper": pytest.approx((73.7, 73.7))}


def test_facts_settings_times_and_files(write):
    page = write(*everything())
    for fact in ("GTZAN", "500 training, 200 validation, 299 test", "3 to 4; what is no accuracy",
                 "2026-11-22 18:24 UTC", "A CPU, 7 cores, Linux", "python 3.11.7; pytensor 3.0.7", "jazz.00054.wav",
                 "damaged", "make setup"):
        assert fact in page.text
    # eight steps of 7,323 s and a shared one of 61 s
    assert f"{(8 * 7323 + 61) // 3600} h 17 min for one seed" in page.text
    assert page.row("table2 step", "Table 2")["Table 2"] == "2 h 2 min"
    assert re.search(r"hidden_layers_sizes\s*50,50,50", page.text) and re.search(r"f_max\s*11025", page.text)
    assert page.text.count("jazz.00054.wav") == 1
    assert not any("synthetic" in tag.get("class", "") for _, tag in page.tags)
    for result in everything():
        assert result["command"] in page.text.split("make setup")[1]


def test_a_step_that_took_longer_meanwhile_counts_once(write):
    longer = table("table2", accuracies(ROWS))
    longer["seconds"]["frames"] = 3661.0
    page = write(table("table1", TABLE1), longer)
    assert f"{(2 * 7323 + 3661) // 3600} h 5 min for one seed" in page.text


def test_splits_of_different_sizes(write):
    page = write(table("table1", TABLE1, n_songs_of_seeds=[{"train": 254, "valid": 75, "test": 127},
                                                           {"train": 232, "valid": 78, "test": 127}]))
    assert "232–254 training, 75–78 validation, 127 test" in page.text


def test_mfccs_were_chosen_by_tables_2_and_3_alone():
    of = {"winner_of_search": {"n_points": 5}, "settings": {"n_mfcc": 13, "n_mels": 40}}
    texts = [dict(deviations(of | {"table": name}))["MFCCs"] for name in ("table2", "table3", "table4", "figure2")]
    assert ["chose" in text for text in texts] == [True, True, False, False]


def test_differing_results_are_told_apart(write):
    settings = {"n_mfcc": 20, "window": "hann", "training": {"batch_size": 20}}
    page = write(table("table1", TABLE1), table("table2", accuracies(ROWS), seed=5, repeats=1, settings=settings))
    assert "3 to 4; what is no accuracy is a mean over them (Table 1); 5 (Table 2)" in page.text
    differences = page.text.split("Where Table 2 differs")[1].split("Times")[0]
    assert re.search(r"n_mfcc\s*20", differences) and re.search(r"f_max\s*unknown", differences)
    assert "batch_size" not in differences
    assert "20 coefficients" in page.text and "13 coefficients" in page.text


def test_one_file_for_everything(write, tmp_path):
    page = write(*everything(), pictures=ALL_PICTURES)
    assert "Not made yet" not in page.text
    images = page.of("img")
    assert len(images) == len(ALL_PICTURES)
    for image in images:
        kind, data = image["src"].split(",")
        assert kind == "data:image/png;base64" and base64.b64decode(data, validate=True) == PNG
        assert len(image["alt"]) > 20
        assert (image["width"], image["height"]) == ("2", "1")  # dots over 1.5
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object")
        assert not attributes.get("href", "#").startswith(("http", "/")) and "onclick" not in attributes
        assert attributes.get("src", "data:").startswith("data:")
    assert "url(" not in page.source and "@import" not in page.source
    assert len(page.ids) == len(set(page.ids))
    assert {link["href"][1:] for link in page.of("a")} <= set(page.ids)


def test_synthetic_is_said_where_it_is(write):
    tags = table("table4", [{"name": "DBN", "accuracy": 0.7}], dataset="majorminer", corpus=CLIPS)
    page = write(table("table1", TABLE1, dataset="synthetic"), tags)
    assert SYNTHETIC_NOTE in page.text.split("How to read")[0]
    assert [tag.get("class") for tag in page.of("span")].count("badge") == 1  # of Table 1, not of Table 4


def test_networks_of_different_settings_are_not_passed_off_as_one(write):
    """A table that is made again without the search's winner, in the same folder; a question has its own first row."""
    ours, other = ({"training": {"finetune_lr": rate}, "scaling": "log"} for rate in (0.1, 0.3))
    same = [table("table1", TABLE1, settings=ours), table("table2", accuracies(ROWS), settings=ours),
            table("pca", accuracies(ROWS), settings=other, question="?")]
    assert "do not belong together" not in write(*same).text
    page = write(*same, table("table3", accuracies(ROWS), settings=other))
    assert "Table 1, Table 2; Table 3. These results are of networks with different settings" in page.text


def test_a_question_says_its_answer_first_and_lends_no_option_of_its_own(write):
    shared = "--dataset gtzan --root songs"
    command = f"python -m experiments.questions.transfer {shared} --other-dataset gtzan --other-root o"
    rows = [{"name": "as in the profile", "accuracy": 0.5, "ci95": [0.4, 0.6], "n_songs": 9, "against": None},
            {"name": "drawn", "accuracy": 0.25, "ci95": [0.15, 0.35], "n_songs": 9, "against": "as in the profile",
             "minus": -0.25, "minus_ci95": [-0.5, 0.0], "p_holm": 0.5, "best_seconds": 1.5}]
    page = write(table("transfer", rows, question="?", answers=["No difference seen."], command=command))
    assert page.text.index("No difference seen.") < page.text.index("0.500")
    [header, _, drawn] = next(rows for rows in page.tables if rows[0][1:2] == ["ours"])
    assert header[:6] == ["", "ours", "compared with", "difference", "Holm", "seconds until the best epoch"]
    assert drawn[:6] == ["drawn", "0.250 [0.150, 0.350]", "as in the profile", "-0.250 [-0.500, 0.000]", "0.5", "1.5"]
    assert f"python -m experiments.table1 {shared}\n" in page.text


def test_what_has_to_be_said_stands_at_the_table(write):
    page = write(table("table2", accuracies(ROWS), remarks=["Chosen among 12."]))
    assert page.text.index("Chosen among 12.") > page.text.index("Table 2: single frames")


def test_music_is_not_called_synthetic(write):
    assert "synthetic" not in write(*everything(), pictures=ALL_PICTURES).text.lower()


def test_hostile_names(write):
    skipped = [{"file": HOSTILE, "why": "\udcff is no text, " + HOSTILE}]
    command = f"python -m experiments.table1 --root {shlex.quote(HOSTILE)}"
    page = write(table("table1", TABLE1, skipped=skipped, made_with={HOSTILE: {HOSTILE: [HOSTILE]}}, dataset=HOSTILE,
                       settings={HOSTILE: HOSTILE}, command=command, warnings=[HOSTILE],
                       corpus=SONGS | {"root": HOSTILE}),
                 table("table2", accuracies([HOSTILE])), table(f"of {HOSTILE.replace('/', '')}", accuracies(["row"])))
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.row(HOSTILE)["ours"].startswith("0.412")
    assert page.row(HOSTILE, HOSTILE)[HOSTILE] == "0.46"
    assert command in page.text and command.replace("table1", "table3") in page.text
    assert [HOSTILE, "? is no text, " + HOSTILE] in page.tables[-1]


def test_tables_and_values_that_nobody_foresaw(write):
    rows = [{"name": "x", "value": float("nan"), "paper": "not given", "new": {"deep": [1, {"er": 2}]}, "zero": 0},
            {"value": True, "zero": 0, "list": [], "accuracy": 0.5, "ci95": None, "paper": None}, {}]
    page = write({"table": "table9", "rows": rows, "corpus": SONGS}, table("table1", TABLE1),
                 pictures=["table9-picture.png"])
    assert "table9" in page.text and (page.row("x")["paper"], page.row("x")["zero"]) == ("not given", "0")
    assert len(page.of("img")) == 1


@pytest.mark.parametrize("content", ["{", "\xff\xfe", '{"rows": ['])
def test_damaged_result(tmp_path, content):
    (tmp_path / "table2.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(DBNError, match="table2.json.*damaged"):
        report.main(["--out", str(tmp_path)])


def test_damaged_picture_leaves_the_old_page(write, tmp_path):
    write(table("table1", TABLE1))
    before = (tmp_path / "report.html").read_bytes()
    (tmp_path / "table1-confusion.png").write_bytes(b"GIF89a")
    with pytest.raises(DBNError, match="table1-confusion.png: not a PNG"):
        report.main(["--out", str(tmp_path)])
    assert (tmp_path / "report.html").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "table1-confusion.png", "table1.json"]


def test_unreadable_picture(tmp_path):
    with pytest.raises(DBNError, match="nowhere.png: cannot be read"):
        picture(tmp_path / "nowhere.png", "")


@pytest.mark.parametrize("seconds, text", [(0.04, "0.0 s"), (61, "61.0 s"), (119, "2 min"), (3599, "1 h 0 min"),
                                           (374_400, "104 h 0 min")])
def test_durations(write, seconds, text):
    page = write(table("table1", TABLE1, seconds={"frames": seconds}))
    assert page.row("DFTs of all frames", "Table 1")["Table 1"] == text
    assert f"{text} for one seed" in page.text


def test_element_keeps_the_order_of_texts_and_children():
    paragraph = element("p", "a", None, element("b", "c"), "d", 5, class_="e", aria_hidden="true", id=None)
    assert "".join(paragraph.itertext()) == "acd5"
    assert paragraph.attrib == {"class": "e", "aria-hidden": "true"}


def test_report_of_a_real_run(smoke_run):
    """What the scripts really write is what the page reads."""
    report.main(["--out", str(smoke_run)])
    page, result = Page(smoke_run / "report.html"), json.loads((smoke_run / "table1.json").read_text())
    assert page.row("Classification accuracy")["ours"].startswith(f"{result['rows'][7]['accuracy']:.3f} [")
    assert SYNTHETIC_NOTE in page.text and result["command"] in page.text and result["machine"]["cpu"] in page.text
    assert len(page.source) < 3_000_000
