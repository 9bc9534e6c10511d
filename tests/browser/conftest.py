"""Debian's Chromium over a live Airflow web server, with a life in the ledger."""

import shutil

import pytest

from evergreen.core.definition import load_definition
from evergreen.core.ledger import Ledger
from evergreen.core.store import Store, layout
from evergreen.settings import Settings
from evergreen.stack.config.home import Home
from evergreen.stack.control import Stack
from helpers.ledger_life import HOSTILE, RESULT, live

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PARTS = (
    "postgres", "databases", "airflow-migrate", "ledger-migrate", "folders", "dag-processor", "api-server",
)  # fmt: skip
REPORT = b"<h1 id=said>plain</h1><script>document.getElementById('said').textContent = 'drawn ' + self.origin</script>"


def pytest_collection_modifyitems(items):
    if BROWSER is None or DRIVER is None:
        reason = "needs Chromium: apt-get install chromium chromium-driver (as .ci/run does)"
        for item in items:
            if "browser" in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))


def draw_validation(store):
    """Great Expectations' page of the quarantined partition."""
    import great_expectations.expectations as gxe
    import pandas as pd

    from evergreen.loop.intake.validation.data_docs import Heading, keep
    from evergreen.loop.intake.validation.suite import run_suite

    frame = pd.DataFrame({HOSTILE: [HOSTILE, "b"], "origin": ["EWR", "JFK"]})
    expectations = [
        gxe.ExpectColumnValuesToMatchRegex(column=HOSTILE, regex="^[a-z]$"),
        gxe.ExpectColumnValuesToBeInSet(column="origin", value_set=["EWR", "JFK"]),
    ]
    result = run_suite(frame, expectations, "nyc_flights.inputs")
    keep(store, RESULT, result.json, Heading("inputs of 2013-03-25", "quarantined", result.reason))


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    stack = Stack(Home(tmp_path_factory.mktemp("browser")), only=PARTS)
    try:
        stack.start(tied=True)
        settings = Settings.from_env(stack.environment())
        with Ledger.from_settings(settings).transaction() as session:
            live(session, load_definition("nyc_flights"), settings.store_url)
        Store.from_settings(settings).write(layout.report("nyc_flights", "2013-03-18", "drift.html"), REPORT)
        draw_validation(Store.from_settings(settings))
        stack.airflow.wait_until_dags_parsed(["nyc_flights.train"])
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def _chromium():
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def anonymous(_chromium, stack):
    """A browser that is not logged in."""
    _chromium.get(stack.urls["airflow"] + "/api/v2/version")
    _chromium.delete_all_cookies()
    _chromium.get_log("browser")
    return _chromium


@pytest.fixture
def log_in(stack):
    """Fill in the login form that a browser shows."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def fill_in(driver):
        user, password = stack.airflow_login
        wait = WebDriverWait(driver, 60)
        wait.until(lambda d: d.find_elements(By.NAME, "username"))[0].send_keys(user)
        field = driver.find_element(By.NAME, "password")
        field.send_keys(password)
        field.submit()
        wait.until(lambda d: "/auth/login" not in d.current_url and d.get_cookie("_token"))

    return fill_in


@pytest.fixture
def browser(anonymous, stack, log_in):
    """A browser that is logged in to Airflow as its administrator."""
    anonymous.get(stack.urls["airflow"] + "/auth/login")
    log_in(anonymous)
    return anonymous
