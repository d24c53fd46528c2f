"""The page and GraphiQL in a real browser, against a live hub."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.end_to_end.chromium import Browser, open_browser
from tests.end_to_end.live import HubProcess, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),  # a hub that starts, dies and starts again, on a machine that does more
    pytest.mark.skipif(
        (sys.platform, platform.machine()) != ("linux", "x86_64"),
        reason="the packaged Chromium is for Linux on x86-64",
    ),
]

LIVE = "document.querySelector('#feed-state').dataset.state === 'live'"
ROWS = "document.querySelectorAll('#feed-rows tr').length"
LAST = "Number(document.querySelector('#feed-last').textContent.replaceAll(/[^0-9]/g, ''))"
MISSED = "document.querySelector('#feed-missed').textContent"
ANSWER = "document.querySelector('.graphiql-response .CodeMirror')?.CodeMirror.getValue()"
QUERY = "document.querySelector('.graphiql-query-editor .CodeMirror')?.CodeMirror.getValue()"
RUN = ".graphiql-execute-button"


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Run a browser."""
    with TemporaryDirectory() as folder:
        async with open_browser(Path(folder)) as opened:
            yield opened


@pytest.fixture(scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HubProcess]:
    """Run a hub in demo mode."""
    async with running("demo", tmp_path_factory.mktemp("demo")) as hub:
        yield hub


@pytest.fixture(scope="module")
async def plain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HubProcess]:
    """Run a hub as in production, but for its database."""
    async with running("serve", tmp_path_factory.mktemp("plain")) as hub:
        yield hub


class TestPage:
    async def test_shows_the_feed_as_it_grows(self, demo: HubProcess, browser: Browser) -> None:
        await browser.visit(demo.address)
        await browser.until(LIVE)
        first = await browser.until(f"{ROWS} > 0 && {LAST}", seconds=60)
        await browser.until(f"{LAST} > {first}", seconds=60)
        assert await browser.until(MISSED) == "0 missed"
        assert await browser.problems() == []

    async def test_shows_figures_of_programmes(self, demo: HubProcess, browser: Browser) -> None:
        await browser.visit(demo.address)
        programmes = await browser.until("document.querySelectorAll('#statistics-programmes tr').length", 90)
        figures = await browser.until(
            "[...document.querySelectorAll('#statistics-total td')].map((cell) => cell.textContent)"
        )
        assert programmes > 0
        assert len(figures) == 6
        assert all(figures)
        assert await browser.problems() == []

    async def test_goes_on_without_a_miss_after_the_hub_was_killed(
        self, demo: HubProcess, browser: Browser
    ) -> None:
        await browser.visit(demo.address)
        before = await browser.until(f"{LIVE} && {LAST}", seconds=60)
        await demo.kill()
        await browser.until("document.querySelector('#feed-state').dataset.state === 'reconnecting'")
        await demo.start()
        await browser.until(f"{LIVE} && {LAST} > {before}", seconds=60)
        assert await browser.until(MISSED) == "0 missed"
        assert not [problem for problem in await browser.problems() if "Content Security Policy" in problem]

    async def test_loads_nothing_of_graphiql_and_nothing_from_elsewhere(
        self, demo: HubProcess, browser: Browser
    ) -> None:
        await browser.visit(demo.address)
        await browser.until(LIVE)
        requests = await browser.requests()
        assert all(request.startswith(f"{demo.address}/") for request in requests)
        assert not [request for request in requests if "graphiql" in request or "codemirror" in request]

    async def test_asks_for_a_token_outside_demo_mode(self, plain: HubProcess, browser: Browser) -> None:
        await browser.visit(plain.address)
        await browser.until("!document.querySelector('#token-form').hidden")
        [complaint] = await browser.problems()
        assert "404" in complaint  # the browser's own remark that there is no /demo/session
        await browser.fill("#token", "not a token")
        await browser.click("#token-form button")
        assert await browser.until("document.querySelector('#token-notice').textContent")
        assert await browser.until("!document.querySelector('#token-form').hidden")


class TestGraphiQL:
    async def test_asks_as_each_party(self, demo: HubProcess, browser: Browser) -> None:
        await browser.visit(f"{demo.address}/graphiql")
        await browser.until(f"{QUERY}?.includes('viewer')")
        await browser.click(RUN)
        await browser.until(f"{ANSWER}?.includes('\"OS\"')")
        await browser.choose("#asker", "institution")
        await browser.click(RUN)
        await browser.until(f"{ANSWER}?.includes('\"INSTITUTION\"')")
        assert await browser.problems() == []
        requests = await browser.requests()
        assert all(request.startswith((f"{demo.address}/", "data:")) for request in requests)

    async def test_subscribes(self, demo: HubProcess, browser: Browser) -> None:
        await browser.visit(f"{demo.address}/graphiql")
        await browser.until(f"{QUERY}?.includes('viewer')")
        await browser.click(".graphiql-tab:nth-of-type(2) .graphiql-tab-button")
        await browser.until(f"{QUERY}?.includes('subscription')")
        # GraphiQL finds the name of the operation a moment after the text has changed.
        await browser.until("new Promise((resolve) => setTimeout(resolve, 500, true))")
        await browser.click(RUN)
        await browser.until(f"{ANSWER}?.includes('\"statusChanged\"')", seconds=60)
        assert await browser.problems() == []

    async def test_is_absent_outside_demo_mode(self, plain: HubProcess) -> None:
        async with httpx.AsyncClient(base_url=plain.address) as http:
            for path in ("/graphiql", "/demo/session"):
                assert (await http.get(path)).status_code == httpx.codes.NOT_FOUND


class TestFiles:
    async def test_are_kept_by_browsers_and_pages_are_not(self, demo: HubProcess) -> None:
        async with httpx.AsyncClient(base_url=demo.address) as http:
            for path in ("/", "/graphiql"):
                page = await http.get(path)
                assert page.headers["cache-control"] == "no-cache"
                script = page.text.partition('src="')[2].partition('"')[0]
                asset = await http.get(script)
                assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"

    async def test_let_no_script_from_elsewhere_or_inline_run(self, demo: HubProcess) -> None:
        async with httpx.AsyncClient(base_url=demo.address) as http:
            for path in ("/", "/graphiql"):
                policy = (await http.get(path)).headers["content-security-policy"]
                assert policy.startswith("default-src 'self'; ")
                assert "unsafe-eval" not in policy
                assert "unsafe-inline" not in policy.replace("style-src 'self' 'unsafe-inline'", "")
