"""A coder's work in the browser: what is decided there goes out to the payer."""

from __future__ import annotations

from typing import Any

from tests.browser.site import ConsoleTrial, looking


def test_a_coder_clears_a_gap_and_the_claim_goes_out(other_site: ConsoleTrial, browser: Any) -> None:
    visits = other_site.send_visits(1)
    assert len(other_site.payer_claims()) == visits.claims_before
    with looking(browser) as shown:
        shown.goto(other_site.url(f"/worklist/{visits.item}"))
        shown.get_by_role("button", name="Take it").click()
        assert shown.locator("mark").inner_text() == visits.code
        shown.get_by_role("button", name="R21 ").click()
        shown.locator("#preview").get_by_text("1 of 1.").wait_for()
        shown.get_by_label("Why (kept in the code's story)").fill("as documented")
        shown.get_by_role("button", name="Decide for this chart").click()
        shown.get_by_text("Decided. The visit is coded again").wait_for()
        other_site.wait_for_claims(visits, 1)
        shown.goto(other_site.url("/claims?status=complete"))
        shown.locator("main tbody a").first.click()
        assert "as documented" in shown.locator("main").inner_text(), "the code's story says who and why"


def test_nothing_is_decided_while_a_code_is_tried(other_site: ConsoleTrial, browser: Any) -> None:
    visits = other_site.send_visits(1)
    with looking(browser) as shown:
        shown.goto(other_site.url(f"/worklist/{visits.item}"))
        shown.get_by_label("Code, or not-billable").fill("R21")
        shown.keyboard.press("Enter")
        shown.locator("#preview").get_by_text("1 of 1.").wait_for()
        shown.get_by_label("Code, or not-billable").fill("NO-CODE")
        shown.locator("#preview .note.bad").wait_for()

    other_site.wait_for_claims(visits, 0)
    assert "open" in other_site.command("work", "show", str(visits.item))


def test_a_proposal_that_another_person_approves_releases_all_charts_that_wait(
    other_site: ConsoleTrial, browser: Any
) -> None:
    visits = other_site.send_visits(12)
    with looking(browser) as shown:
        shown.goto(other_site.url(f"/worklist/{visits.item}"))
        assert "12 charts" in shown.locator(".head").inner_text()
        shown.get_by_label("Code, or not-billable").fill("R21")
        shown.get_by_role("button", name="Propose for all").click()
        shown.get_by_role("link", name="See what it changes").click()
        assert "12 claims of 12 charts" in shown.locator("main").inner_text()
        assert shown.get_by_role("button", name="Approve").count() == 0, "who proposed it does not approve it"

    other_site.command("work", "approve", str(visits.item))
    other_site.wait_for_claims(visits, 12)


def test_what_was_proposed_on_the_command_line_is_approved_in_the_browser(
    other_site: ConsoleTrial, browser: Any
) -> None:
    visits = other_site.send_visits(3)
    other_site.command("work", "decide", str(visits.item), "R21", "--for-all")
    with looking(browser) as shown:
        shown.goto(other_site.url("/worklist?status=review"))
        shown.get_by_role("link", name=str(visits.item), exact=True).click()
        shown.get_by_role("link", name="See what it changes, and approve or reject").click()
        shown.get_by_role("button", name="Approve, and release").click()
        shown.get_by_text("Approved. The waiting visits are coded again").wait_for()

    other_site.wait_for_claims(visits, 3)


def test_the_keyboard_alone_is_enough_to_clear_a_gap(other_site: ConsoleTrial, browser: Any) -> None:
    visits = other_site.send_visits(1)
    with looking(browser) as shown:
        keys = shown.keyboard
        shown.goto(other_site.url("/"))
        keys.press("?")
        assert shown.locator("#shortcuts").is_visible()
        keys.press("Escape")
        keys.press("g")
        keys.press("w")
        shown.wait_for_url("**/worklist")
        for _ in range(shown.locator("main tbody tr").count()):
            keys.press("j")
            if shown.locator(":focus").inner_text() == str(visits.item):
                break
        keys.press("Enter")
        shown.wait_for_url(f"**/worklist/{visits.item}")
        keys.press("d")
        keys.type("R21")
        shown.locator("#preview").get_by_text("1 of 1.").wait_for()
        keys.press("Escape")
        keys.press("D")
        shown.get_by_text("Decided. The visit is coded again").wait_for()

    other_site.wait_for_claims(visits, 1)


def test_the_first_key_press_leads_past_the_menu_and_the_focus_is_seen(site: ConsoleTrial, browser: Any) -> None:
    with looking(browser) as shown:
        shown.goto(site.url("/messages"))
        shown.keyboard.press("Tab")
        assert shown.locator(":focus").inner_text() == "Skip to the page"
        shown.keyboard.press("Enter")
        assert shown.evaluate("document.activeElement.id") == "main"
        shown.keyboard.press("Tab")
        assert shown.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
