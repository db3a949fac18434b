"""Every page of the console: accessible in light and dark, without sideways scrolling, without complaints."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.site import DESK, PAGES, PHONE, ConsoleTrial, looking, path_of

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_and_fits_phone_and_desk(site: ConsoleTrial, browser: Any, name: str) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    with looking(browser, DESK) as shown:
        shown.goto(site.url(path_of(name, site, shown)))
        faults = {theme: serious_faults(shown, theme) for theme in ("light", "dark")}
        too_wide = {}
        for width, height in (PHONE, DESK):
            shown.set_viewport_size({"width": width, "height": height})
            scrolled = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            too_wide[width] = shown.evaluate(scrolled)
        title = shown.title()

    assert faults == {"light": {}, "dark": {}}
    assert too_wide == {360: 0, 1440: 0}
    assert title.endswith("· fhir_coder")


def serious_faults(shown: Any, theme: str) -> dict[str, list[Any]]:
    """What axe finds serious or critical on a page, by rule."""
    from axe_playwright_python.sync_playwright import Axe

    shown.emulate_media(color_scheme=theme)
    found = Axe().run(shown, options={"runOnly": RULES, "resultTypes": ["violations"]}).response["violations"]
    return {v["id"]: [n["target"] for n in v["nodes"]] for v in found if v["impact"] in ("serious", "critical")}


def test_the_viewer_chooses_dark_and_it_stays(site: ConsoleTrial, browser: Any) -> None:
    with looking(browser, color_scheme="light") as shown:
        shown.goto(site.url("/claims"))
        light = shown.evaluate("getComputedStyle(document.body).backgroundColor")
        shown.get_by_role("button", name="Colours: auto").click()
        shown.wait_for_url("**/claims?done=saved")
        assert shown.evaluate("getComputedStyle(document.body).backgroundColor") != light
        shown.goto(site.url("/messages"))
        assert shown.locator("html").get_attribute("data-theme") == "dark"


def test_times_are_those_of_the_viewer(site: ConsoleTrial, browser: Any) -> None:
    with looking(browser) as shown:  # a browser in Chicago
        shown.goto(site.url("/"))
        shown.goto(site.url("/messages"))
        shown_time, meant = shown.locator("main tbody time").first.evaluate("e => [e.textContent, e.dateTime]")
        in_chicago = shown.evaluate(
            "t => new Date(t).toLocaleString('sv', {timeZone: 'America/Chicago'})", meant.replace("+00:00", "Z")
        )

    assert shown_time == in_chicago


def test_pages_work_without_scripts(site: ConsoleTrial, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    shown = context.new_page()
    shown.goto(site.url("/worklist?kind=gap"))
    shown.locator("main tbody a").first.click()
    shown.get_by_label("Code, or not-billable").fill("R21")
    shown.get_by_role("button", name="Preview").click()
    assert "1 of 1." in shown.locator("#preview").inner_text()
    context.close()


def test_today_is_told_of_what_comes(other_site: ConsoleTrial, browser: Any) -> None:
    with looking(browser) as shown:
        shown.goto(other_site.url("/"))
        visits = other_site.send_visits(1)
        shown.locator(f'[data-live-id=waits] a[href$="/worklist/{visits.item}"]').wait_for()


def test_a_list_says_that_newer_rows_have_come(other_site: ConsoleTrial, browser: Any) -> None:
    other_site.send_visits(1)
    with looking(browser) as shown:
        shown.goto(other_site.url("/messages"))
        before = shown.locator("main tbody a").first.get_attribute("href")
        other_site.send_visits(1)
        shown.get_by_text("New messages have come").click()
        shown.wait_for_load_state()
        assert shown.locator("main tbody a").first.get_attribute("href") != before
