"""The pages as people meet them: inside Airflow, behind its login, safe with hostile names."""

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from evergreen.core.definition import load_definition
from evergreen.core.ledger import Ledger
from evergreen.settings import Settings
from helpers.ledger_life import HOSTILE, owe_drifts

pytestmark = pytest.mark.browser
DATA_DOCS = "/validation/nyc_flights/inputs/2013-03-25/aa-bb.html"


def shown(browser):
    return browser.find_element(By.TAG_NAME, "body").text


def wait_for(browser, words, seconds=60):
    WebDriverWait(browser, seconds).until(lambda b: words in shown(b), f"{words!r} did not appear")


def into_frame(browser, words):
    """Enter the frame in which Airflow shows a page, when it shows `words`."""
    wait = WebDriverWait(browser, 60)

    def entered(driver):
        driver.switch_to.default_content()
        for frame in driver.find_elements(By.TAG_NAME, "iframe"):
            driver.switch_to.frame(frame)
            if words in shown(driver):
                return True
            driver.switch_to.default_content()
        return False

    wait.until(entered, f"no frame shows {words!r}")


def complaints(browser):
    """What the browser's console said of the pages: refused scripts, styles, pictures."""
    return [entry["message"] for entry in browser.get_log("browser") if "/evergreen" in entry["message"]]


def test_a_person_who_is_not_logged_in_is_led_to_the_login_and_back(anonymous, stack, log_in):
    for path in (
        "/",
        DATA_DOCS,
        "/runbooks/drift",
        "/reports/nyc_flights/2013-03-18/drift.html",
        "/models/nyc_flights",
    ):
        anonymous.get(f"{stack.urls['airflow']}/evergreen{path}")
        assert "You are not logged in" in shown(anonymous)
    anonymous.find_element(By.LINK_TEXT, "Log in to Airflow").click()
    log_in(anonymous)
    wait_for(anonymous, "beats version 1 by 8 %")


def test_the_overview_leads_to_the_life_of_a_model(browser, stack):
    browser.get(f"{stack.urls['airflow']}/evergreen/")
    wait_for(browser, "version 2")
    browser.find_element(By.LINK_TEXT, "Late flights out of New York").click()
    wait_for(browser, "beats version 1 by 8 %")
    plot = browser.find_element(By.CSS_SELECTOR, "#loss svg.chart")
    assert plot.size["width"] > 640
    assert len(plot.find_elements(By.CSS_SELECTOR, "g.point")) == 4, "a loss of each of the four partitions"
    assert browser.execute_script("return getComputedStyle(document.querySelector('section')).paddingLeft") == "20px"
    assert complaints(browser) == []


def test_a_mark_says_what_it_is_where_the_pointer_is(browser, stack):
    browser.get(f"{stack.urls['airflow']}/evergreen/models/nyc_flights")
    wait_for(browser, "beats version 1 by 8 %")
    for mark, said in (("#loss g.point .target", "2013-02-25: 0.15"), ("#drift td.heat1, #drift td.heat2", HOSTILE)):
        found = browser.find_element(By.CSS_SELECTOR, mark)
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
        ActionChains(browser).move_to_element(found).perform()
        tip = browser.find_element(By.ID, "tip")
        WebDriverWait(browser, 5).until(lambda b, tip=tip, said=said: tip.is_displayed() and said in tip.text)
    assert complaints(browser) == []


def test_a_long_table_can_be_searched(browser, stack):
    with Ledger.from_settings(Settings.from_env(stack.environment())).transaction() as session:
        owe_drifts(session, load_definition("nyc_flights"), 20)
    browser.get(f"{stack.urls['airflow']}/evergreen/models/nyc_flights")
    wait_for(browser, "show all 20")

    def mails():
        return [row for row in browser.find_elements(By.CSS_SELECTOR, "#mails tbody tr") if row.is_displayed()]

    assert len(mails()) == 12
    browser.find_element(By.CSS_SELECTOR, "#mails input").send_keys("drift 17")
    assert [row.text for row in mails() if "drift 17" not in row.text] == []
    assert len(mails()) == 1
    browser.find_element(By.CSS_SELECTOR, "#mails input").clear()
    browser.find_element(By.CSS_SELECTOR, "#mails button").click()
    assert len(mails()) == 20


def test_hostile_names_are_shown_and_not_run(browser, stack):
    browser.get(f"{stack.urls['airflow']}/evergreen/models/nyc_flights")
    wait_for(browser, f"column {HOSTILE} is missing")
    assert len(browser.find_elements(By.TAG_NAME, "script")) == 1, "the page's own"


def test_the_pages_fit_a_phone(browser, stack):
    try:
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        )
        for path in ("/", "/models/nyc_flights", "/runbooks/harm", DATA_DOCS):
            browser.get(f"{stack.urls['airflow']}/evergreen{path}")
            assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_airflow_shows_the_overview_under_browse(browser, stack):
    browser.get(f"{stack.urls['airflow']}/plugin/evergreen")
    into_frame(browser, "Needs you now")
    browser.find_element(By.LINK_TEXT, "Late flights out of New York").click()
    into_frame(browser, "beats version 1 by 8 %")


def test_a_link_to_a_run_leaves_the_frame(browser, stack):
    browser.get(f"{stack.urls['airflow']}/plugin/evergreen")
    into_frame(browser, "Needs you now")
    browser.find_element(By.LINK_TEXT, "Late flights out of New York").click()
    into_frame(browser, "beats version 1 by 8 %")
    link = browser.find_elements(By.LINK_TEXT, "run")[0]
    browser.execute_script("arguments[0].href = arguments[1]", link, f"{stack.urls['airflow']}/dags/nyc_flights.train")
    link.click()
    browser.switch_to.default_content()
    WebDriverWait(browser, 60).until(lambda b: b.current_url.endswith("/dags/nyc_flights.train"))


def test_each_dag_has_a_tab_with_its_model(browser, stack):
    browser.get(f"{stack.urls['airflow']}/dags/nyc_flights.train/plugin/evergreen-model")
    into_frame(browser, "beats version 1 by 8 %")


def test_a_runbook_is_a_page(browser, stack):
    browser.get(f"{stack.urls['airflow']}/evergreen/runbooks/drift")
    wait_for(browser, "When to escalate")
    browser.find_element(By.LINK_TEXT, "harm").click()
    wait_for(browser, "the champion predicts worse")


def test_a_report_draws_in_an_origin_of_its_own(browser, stack):
    browser.get(f"{stack.urls['airflow']}/evergreen/reports/nyc_flights/2013-03-18/drift.html")
    wait_for(browser, "drawn null")


def test_from_a_verdict_to_what_great_expectations_said_of_it(browser, stack):
    browser.get(f"{stack.urls['airflow']}/evergreen/models/nyc_flights")
    browser.find_element(By.PARTIAL_LINK_TEXT, "All verdicts").click()
    wait_for(browser, f"column {HOSTILE} is missing")
    assert complaints(browser) == []
    browser.find_element(By.LINK_TEXT, "validation")
    # The link opens a page of its own, at the address that this deployment is known by.
    browser.get(f"{stack.urls['airflow']}/evergreen{DATA_DOCS}")
    wait_for(browser, "1 unexpected values found")
    assert shown(browser).count(HOSTILE) >= 3, "the column's name and its value are text"
    assert browser.find_elements(By.TAG_NAME, "script") == []
    assert "values must belong to this set" in shown(browser)
    browser.find_element(By.ID, "failed").click()
    assert "values must belong to this set" not in shown(browser)
    assert "Run Time" not in shown(browser)
    browser.find_element(By.LINK_TEXT, "Show more info...").click()
    wait_for(browser, "Run Time", 5)
    assert complaints(browser) == [], "nothing was asked for that the page may not load"
