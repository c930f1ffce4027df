"""``dbn explore`` in a real browser: what is seen, heard and said; and what the command refuses."""
import json
import os
import shutil

import numpy as np
import pytest
import soundfile

from command_line import REPOSITORY, refusal
from dbn.cli.parser import main

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    root = tmp_path_factory.mktemp("music")
    rng, t = np.random.default_rng(0), np.arange(5 * 22050) / 22050
    for number in range(4):
        genre = root / ("jazz", HOSTILE)[number % 2]
        genre.mkdir(exist_ok=True)
        soundfile.write(genre / f"{number} #.flac", 0.3 * np.sin(2 * np.pi * (300 + 900 * number) * t)
                        + 0.05 * rng.normal(size=len(t)), 22050)
    return root


@pytest.fixture(scope="module", params=["linked", "embedded"])
def page(request, music, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    path = folder / "page.html"
    options = ["--embed"] if request.param == "embedded" else []
    assert main(["explore", "synthetic-demo", str(music), "-o", str(path), "--frames", "60", "--songs", "2",
                 *options]) == 0
    assert os.listdir(folder) == ["page.html"]
    return path


@pytest.fixture(params=[(1280, "light"), (390, "dark")])
def browser(request, page, tmp_path):
    """The page in Chromium, wide and light or narrow and dark; at the end it must have complained of nothing."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("no Chromium with ChromeDriver: install Debian's chromium and chromium-driver, or their like")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-background-networking", "disable-sync",
                     "disable-component-update", "no-first-run", "autoplay-policy=no-user-gesture-required",
                     f"user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    width, scheme = request.param
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1,
                                                                  "mobile": False})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
        {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]})
    driver.get(page.as_uri())
    driver.scheme, driver.width = scheme, width
    yield driver
    complaints = driver.get_log("browser")
    driver.quit()
    assert complaints == []


def wait_until(browser, condition):
    from selenium.webdriver.support.ui import WebDriverWait
    return WebDriverWait(browser, 20).until(lambda _: browser.execute_script(f"return {condition}"))


def colours_in(browser, canvas):
    """How many colours a canvas shows."""
    return browser.execute_script("""
        const canvas = document.getElementById(arguments[0]);
        const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size""", canvas)


def over_point(browser, number):
    """The pointer's actions that bring it onto a point."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    plane = browser.find_element(By.ID, "plane")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", plane)
    x, y = browser.execute_script("return screenOf(arguments[0])", number)
    box = browser.execute_script("return [plane.offsetWidth / 2, plane.offsetHeight / 2]")
    return ActionChains(browser).move_to_element_with_offset(plane, round(x - box[0]), round(y - box[1]))


def test_points_hover_and_click(browser):
    """A point tells its song; a click plays the sound around it, shows its spectrum, and says so to a screen reader."""
    assert colours_in(browser, "plane") > 4  # two genres, their edges, the background
    assert browser.execute_script("return document.documentElement.scrollWidth") <= browser.width
    assert browser.execute_script("return isDark") == (browser.scheme == "dark")
    over_point(browser, 7).perform()
    number = browser.execute_script("return hovered")
    name, genre = browser.execute_script(
        "const song = data.songs[points.song[arguments[0]]]; return [song.name, data.genres[song.genre]]", number)
    text = browser.execute_script("return tip.hidden ? '' : tip.textContent")
    assert name in text and genre in text and (" #.flac" in text)
    over_point(browser, 7).click().perform()
    wait_until(browser, "!clip.paused && clip.currentTime > 0")
    began = browser.execute_script("return clip.currentTime")
    wait_until(browser, f"clip.currentTime > {began} + .2")
    assert name in browser.execute_script("return document.getElementById('status').textContent")
    assert colours_in(browser, "spectrum") > 2 and colours_in(browser, "units") > 2
    wait_until(browser, "clip.paused")  # after two seconds
    assert browser.execute_script("return document.querySelector('img')") is None


def test_views_move_the_points_and_the_plane_zooms(browser):
    from selenium.webdriver.common.by import By
    before = browser.execute_script("return screenOf(0)")
    labels = browser.find_elements(By.CSS_SELECTOR, "#views label")
    assert [label.text for label in labels] == ["Inputs (DFTs)", "MFCCs", "Layer 1", "Layer 2", "Layer 3", "All Layers"]
    labels[-1].click()
    wait_until(browser, f"Math.abs(screenOf(0)[0] - {before[0]}) + Math.abs(screenOf(0)[1] - {before[1]}) > 1")
    browser.find_element(By.ID, "zoom-in").click()
    assert browser.execute_script("return zoom.scale") > 1.5
    browser.find_element(By.ID, "zoom-reset").click()
    assert browser.execute_script("return zoom.scale") == 1
    browser.find_element(By.CSS_SELECTOR, "#genres label").click()
    assert browser.execute_script("return [...points.song].some((song, i) => !isShown(i))")
    browser.find_element(By.ID, "theme").click()
    assert browser.execute_script("return isDark") == (browser.scheme == "light")


def test_keyboard_and_player(browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    plane = browser.find_element(By.ID, "plane")
    plane.send_keys(Keys.ARROW_RIGHT)
    first = browser.execute_script("return chosen")
    plane.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.ARROW_UP)
    assert first >= 0 and browser.execute_script("return chosen") != first
    plane.send_keys(Keys.ENTER)
    wait_until(browser, "!clip.paused && clip.currentTime > 0")
    plane.send_keys(Keys.ESCAPE)
    wait_until(browser, "clip.paused")
    browser.execute_script("audio.play()")
    wait_until(browser, "audio.currentTime > .3 && clip.paused")
    assert colours_in(browser, "tracks") > 8
    values = browser.execute_script(
        "return [...document.querySelectorAll('#now .value')].map(each => +each.textContent)")
    assert len(values) == 10 and sum(values) == pytest.approx(1, abs=0.06)
    browser.execute_script("audio.pause()")


@pytest.mark.parametrize("arguments, message", [
    (["{song}", "-o", "page.txt"], "ends in .html"), (["-", "-o", "page.html"], "write standard input to a file"),
    (["{song}", "-o", "page.html", "--frames", "1"], "--frames is 1"),
    (["{song}", "-o", "none/page.html"], "there is no folder none; make it first"),
    (["{song}", "-o", "page.html", "--songs", "1000"], "--songs is 1000")])
def test_what_cannot_be(music, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    song = str(next(music.glob("jazz/*")))
    assert message in refusal(capsys, "explore", "synthetic-demo", *(each.format(song=song) for each in arguments))
    assert os.listdir() == []


def test_a_bad_file_is_named_and_the_others_shown(music, tmp_path, capsys):
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    page = tmp_path / "page.html"
    assert main(["explore", "synthetic-demo", str(music), str(tmp_path / "bad.wav"), "-o", str(page), "--frames", "20",
                 "--songs", "0"]) == 1
    out, err = capsys.readouterr()
    assert out == f"{page}\n" and "bad.wav: " in err
    text = page.read_text(encoding="utf-8")
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert len(data["songs"]) == 4 and data["players"] == []


def test_nothing_that_can_be_shown(tmp_path, capsys):
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    assert main(["explore", "synthetic-demo", str(tmp_path / "bad.wav"), "-o", str(tmp_path / "page.html")]) == 2
    assert "no recording could be used" in capsys.readouterr().err and not (tmp_path / "page.html").exists()


def test_no_recording_at_all(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    error = refusal(capsys, "explore", "synthetic-demo", tmp_path / "empty", "-o", tmp_path / "page.html")
    assert "empty: no audio file in this folder" in error and "no recording could be used" in error


def test_the_pages_parts_are_in_the_package():
    folder = REPOSITORY / "dbn" / "explorer" / "page"
    assert {path.suffix for path in folder.iterdir()} == {".html", ".css", ".js"}
