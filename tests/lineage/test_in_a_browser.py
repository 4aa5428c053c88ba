"""What a person sees and clicks in the Dagster UI and in MLflow, in a real browser on real servers.

WARRANT_REWRITE_PICTURES=1 also writes the screenshots of docs/pictures/ again.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain, repeat
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.lineage.conftest import NAME, ROOT, Home

PICTURES = ROOT / "docs" / "pictures"
PATIENCE, LOADING = 180, 15
# Letters of the navigation, which is there before the page is.
SHELL = 120
SIZE = (1700, 1150)
# Chromium as root in a closed network: no sandbox, and nothing that would look for its maker's hosts.
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    f"--window-size={SIZE[0]},{SIZE[1]}",
)


@dataclass(frozen=True)
class Page:
    """A browser, and what one does with a page in it."""

    browser: webdriver.Chrome
    dagster: str
    mlflow: str

    def wait(self, what: str, found: Callable[[], object]) -> object:
        waiting = WebDriverWait(self.browser, PATIENCE, ignored_exceptions=[StaleElementReferenceException])
        return waiting.until(lambda _: found(), f"not seen in {PATIENCE} s: {what}; the page: {self.text()[:3000]}")

    def text(self) -> str:
        return self.browser.find_element(By.TAG_NAME, "body").text

    def see(self, *wanted: str) -> None:
        for text in wanted:
            self.wait(text, lambda text=text: text in self.text())

    def see_in_time(self, path: str, *wanted: str) -> None:
        """Loads the page again until it shows all this: a run takes its time, and not every page follows it.

        A page is given longer each time: at first it is the run that is slow, and later it may be the page.
        """
        given = chain(range(3, LOADING, 3), repeat(LOADING))

        def loaded() -> bool:
            self.browser.get(self.dagster + path)
            WebDriverWait(self.browser, LOADING).until(lambda _: len(self.text()) > SHELL)
            shown = WebDriverWait(self.browser, next(given), ignored_exceptions=[StaleElementReferenceException])
            try:
                return shown.until(lambda _: all(text in self.text() for text in wanted))
            except TimeoutException:
                return False

        self.wait(", ".join(wanted), loaded)

    def click(self, label: str) -> None:
        def button() -> WebElement | None:
            buttons = self.browser.find_elements(By.CSS_SELECTOR, "button, a")
            return next((b for b in buttons if b.is_displayed() and b.is_enabled() and b.text.startswith(label)), None)

        self.wait(f"the button {label}", button)
        found = button()
        assert found is not None
        found.click()

    def launch(self, key: str) -> None:
        """Asks for the partition in the dialog that launches runs, and waits until the run is launched."""

        def field() -> WebElement | None:
            fields = self.browser.find_elements(By.CSS_SELECTOR, "input[placeholder^='ex:']")
            return fields[-1] if fields and self._launching() else None

        self.wait("the dialog's field", field)
        found = field()
        assert found is not None
        found.send_keys(Keys.CONTROL, "a")
        found.send_keys(key, Keys.TAB)
        self.click("Launch")
        self.wait("the dialog to close", lambda: not self._launching())

    def _launching(self) -> bool:
        return any(b.text.startswith("Launch") for b in self.browser.find_elements(By.TAG_NAME, "button"))

    def open_plot(self) -> None:
        """Opens the first plot of the page's metadata, if it has one."""
        links = self.browser.find_elements(By.XPATH, "//*[text()='[Show Markdown]']")
        if links:
            links[0].click()
            self.wait("the plot", lambda: self.browser.find_elements(By.CSS_SELECTOR, "img[src^='data:image']"))

    def picture(self, name: str) -> None:
        if os.environ.get("WARRANT_REWRITE_PICTURES"):
            self.browser.save_screenshot(str(PICTURES / f"{name}.png"))


@pytest.fixture(scope="module")
def home(copied: Callable[[str], Home]) -> Home:
    return copied("browsed")


@pytest.fixture(scope="module")
def day(home: Home) -> date:
    """The first day that is not decided yet; the servers' source has a corrupted morning on it."""
    return max(home.lake.counts(NAME, "decisions")) + timedelta(days=1)


@pytest.fixture(scope="module")
def page(
    home: Home, day: date, corrupted_source: Callable[[date], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.fail("Chromium is missing. Install it (Debian: apt install chromium chromium-driver); .ci/run does.")
    dagster, mlflow = _free_port(), _free_port()
    ports = ("--dagster-port", str(dagster), "--mlflow-port", str(mlflow))
    started = home.warrant("up", *ports, WARRANT_FLIGHT_DISRUPTION_SOURCE=str(corrupted_source(day)))
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
            options.add_argument(argument)
        with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as chrome:
            yield Page(chrome, f"http://127.0.0.1:{dagster}", f"http://127.0.0.1:{mlflow}")
    finally:
        stopped = home.warrant("down")
        assert stopped.returncode == 0, stopped.stdout + stopped.stderr


def test_the_lineage_shows_every_stage_and_each_of_its_tables(page: Page) -> None:
    page.browser.set_window_size(2800, 2000)
    page.browser.get(f"{page.dagster}/asset-groups")
    page.see("raw", "features", "training", "scoring", "decisions", "outcomes", "monitoring")
    ActionChains(page.browser).key_down(Keys.ALT).send_keys("e").key_up(Keys.ALT).perform()

    def seen() -> bool:
        """Only what is in view is on the page: from where all of it is, nothing is left out."""
        if all(table in page.text() for table in ("candidate_model", "scores", "weather", "decision_quality")):
            return True
        page.browser.find_element(By.CSS_SELECTOR, "[aria-label='zoom_out']").click()
        return False

    page.wait("each stage's tables", seen)
    page.picture("lineage")
    page.browser.set_window_size(*SIZE)


def test_a_partition_is_materialized_by_a_click(page: Page, home: Home, day: date) -> None:
    assert day not in home.lake.counts(NAME, "flight_schedule")
    page.browser.get(f"{page.dagster}/assets/{NAME}/flight_schedule?view=partitions&partition={day}")
    page.see("Partitions Selected")
    page.click("Materialize")
    page.launch(str(day))
    partition = f"/assets/{NAME}/flight_schedule?view=partitions&partition={day}"
    page.see_in_time(partition, str(day), "Materialized", "dagster/partition_row_count")
    assert home.lake.counts(NAME, "flight_schedule")[day] > 0
    page.picture("partition")


def test_a_failed_gate_is_red_with_the_rows_it_rejected_and_everything_downstream_is_held(
    page: Page, home: Home, day: date
) -> None:
    page.browser.get(f"{page.dagster}/locations/warrant/jobs/{NAME}_daily")
    page.click("Materialize all")
    page.launch(str(day))
    page.see_in_time(
        f"/assets/{NAME}/weather?view=checks&checkDetail=contract",
        "36 of 72 rows (50.0%) break weather",
        "Failed",
        str(day),
        "wind_speed_mph: maximum 120",
    )
    page.picture("failed-gate")
    # The day beside the table's own past; in a home of a few days, that this is too short to say.
    page.see_in_time(f"/assets/{NAME}/weather?view=checks&checkDetail=anomaly", "the table's own past", str(day))
    page.open_plot()
    page.picture("anomaly")
    page.see_in_time("/runs", "Failure")
    run = re.search(r"\b[0-9a-f]{8}\b", page.text())
    assert run is not None
    page.click(run[0])
    page.see("flight_disruption__weather", "Errored (1)", "Not executed", "STEP_SUCCESS")
    for table in ("origin_weather", "scores", "decisions"):
        page.browser.get(f"{page.dagster}/assets/{NAME}/{table}?view=partitions&partition={day}")
        page.see(str(day), "Missing")
        assert day not in home.lake.counts(NAME, table), f"{table} went on past a failed gate"


def test_an_asset_shows_its_columns_and_its_decisions_in_words(page: Page, home: Home) -> None:
    decided = max(home.lake.counts(NAME, "decisions"))
    page.browser.get(f"{page.dagster}/assets/{NAME}/weather")
    page.see("Columns", "wind_gust_mph", "flight-data", "Delta Lake")
    page.picture("columns")
    page.browser.get(f"{page.dagster}/assets/{NAME}/decisions?view=partitions&partition={decided}")
    page.see("automation rate", "first decisions", "places")
    page.picture("decisions")


def test_what_is_known_of_drift_is_there_in_words(page: Page, home: Home) -> None:
    decided = max(home.lake.counts(NAME, "decisions"))
    for table, *wanted in (
        ("input_drift", "watched since", "left out"),
        ("realised_harm", "outcomes until"),
        ("estimated_performance", "asks for"),
        ("retraining", "Nothing asks for a new model"),
    ):
        page.browser.get(f"{page.dagster}/assets/{NAME}/{table}?view=partitions&partition={decided}")
        page.see("says", *wanted)


def test_mlflow_shows_the_versions_with_the_champion(page: Page) -> None:
    page.browser.get(f"{page.mlflow}/#/models/{NAME}")
    page.see("Version 1", "champion")
    page.picture("mlflow-versions")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
