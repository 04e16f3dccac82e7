"""The page in a real browser, before a real server, a real stream and real files; only people are scripted."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from cameras import free_port, jpeg, mjpeg
from refusals import refused
from scripted_people import ScriptedExtractor, make_video, person, waving_network

from pan_core.cli.live import serve
from pan_core.live.access import is_loopback, require_token
from pan_core.live.camera import Camera
from pan_core.live.picture import SceneStyle
from pan_core.live.server import application, configuration, listen
from pan_core.live.source import Source
from pan_core.live.uploads import Uploads
from pan_core.recognition.event_rules import Rule
from pan_core.recognition.recognizer import Recognizer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
TOKEN = "a-token-of-the-test"


def sync_api() -> Any:
    """Playwright, where it is installed."""
    return pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    playwright_api = sync_api()
    if not CHROMIUM.is_file():
        pytest.skip("no browser: apt-get install chromium")
    with playwright_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: "Browser") -> "Iterator[Page]":
    """A new visitor; an error of the page's script fails the test."""
    context = browser.new_context()
    opened, faults = context.new_page(), list[str]()
    opened.set_default_timeout(30_000)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    yield opened
    context.close()
    assert not faults


@contextmanager
def served(*sources: Source, token: str | None = None, scene: SceneStyle = SceneStyle.FULL) -> Iterator[str]:
    """Address of a server of these sources; somebody waves for 2 s and stands still for 2 s, again and again."""

    def script(k: int) -> list:
        return [(0, person(100 + k % 30))] if k % 60 < 30 else []

    recognizer = Recognizer(waving_network(), ScriptedExtractor(script), "test recognizer")  # type: ignore[arg-type]
    with ExitStack() as stack:
        cameras = [
            stack.enter_context(Camera(source, lambda: recognizer, rules={"Wave": Rule(minimum_s=0.2)}))
            for source in sources
        ]
        uploads = stack.enter_context(Uploads(lambda: recognizer, scene=scene, most_bytes=1_000_000))
        door = listen("127.0.0.1", 0)
        server = uvicorn.Server(
            configuration(application(cameras, lambda: recognizer, uploads, scene=scene, token=token))
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=20)


def status_of(address: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_live_stream_its_events_and_its_return(page: "Page") -> None:
    port = free_port()
    with ExitStack() as stack:
        camera = ExitStack()
        address = camera.enter_context(mjpeg([jpeg(320, 240, 90)], pause=1 / 25, port=port))
        here = stack.enter_context(served(Source(f"hall={address}", first_pause_s=0.2)))
        page.goto(here)
        card = page.locator(".camera")
        card.locator(".state", has_text="live").wait_for()
        card.locator("h3", has_text="hall").wait_for()
        card.locator(".caption", has_text="Wave").wait_for()
        assert card.locator(".top li").count() == 3
        sync_api().expect(page.locator(".view img").first).to_have_js_property("naturalWidth", 320)
        page.locator(".figures", has_text="frame to caption p90").wait_for()
        replay = page.get_by_role("button", name="Replay Wave of person 0").first
        replay.focus()
        page.keyboard.press("Enter")
        page.get_by_role("dialog", name="Wave, person 0").wait_for()
        assert int(page.locator("#seek").get_attribute("max") or 0) > 5
        page.keyboard.press("Escape")
        page.locator("#replay").wait_for(state="hidden")
        camera.close()
        card.locator(".state", has_text="lost").wait_for()
        assert "trying again" in card.locator(".reason").inner_text()
        camera.enter_context(mjpeg([jpeg(320, 240, 90)], pause=1 / 25, port=port))
        card.locator(".state", has_text="live").wait_for()
        camera.close()


def test_an_upload_gives_a_video_that_plays_and_a_bad_one_its_reason(page: "Page", tmp_path: Path) -> None:
    video = make_video(tmp_path / "wave.avi", frames=30, fps=15)
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    (tmp_path / "large.mp4").write_bytes(bytes(1_000_001))
    with served() as here:
        page.goto(here)
        page.locator("#no-camera").wait_for()
        for path in (video, tmp_path / "bad.mp4"):
            page.locator("#file").set_input_files(path)
            page.get_by_role("button", name="Upload").click()
            page.locator("#uploads li", has_text=path.name).wait_for()
        good = page.locator("#uploads li", has_text="wave.avi: done")
        good.get_by_text("person 0: Wave").wait_for()
        sync_api().expect(page.locator("#uploads video").first).to_have_js_property("videoWidth", 320)
        with page.expect_download() as download:
            good.get_by_role("link", name="Timeline").click()
        timeline = json.loads(Path(download.value.path()).read_text())
        assert (timeline["video"], timeline["frames"]) == ("wave.avi", 30)
        bad = page.locator("#uploads li", has_text="bad.mp4: failed, bad.mp4: no video stream")
        bad.get_by_role("button", name="Delete").click()
        bad.wait_for(state="detached")
        page.locator("#file").set_input_files(tmp_path / "large.mp4")
        page.get_by_role("button", name="Upload").click()
        page.locator("#upload-fault", has_text="larger than 1 MB").wait_for()


def test_without_the_token_nobody_gets_in(page: "Page") -> None:
    with served(token=TOKEN) as here:
        assert status_of(f"{here}/api/state") == 401
        assert status_of(f"{here}/app.js") == 401
        assert status_of(f"{here}/api/state", Authorization="Bearer wrong") == 401
        assert status_of(f"{here}/api/state", Authorization=f"Bearer {TOKEN}") == 200
        page.goto(here)
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Enter").click()
        page.get_by_text("That is not the token.").wait_for()
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Enter").click()
        page.locator("#link", has_text="connected").wait_for()
        assert TOKEN not in page.url
        page.context.clear_cookies()
        page.goto(f"{here}/?token={TOKEN}")
        page.locator("#link", has_text="connected").wait_for()
        assert TOKEN not in page.url


@pytest.mark.parametrize("token", ["", "two words", "schlüssel", "x" * 201])
def test_a_token_that_keeps_nobody_out_or_fits_no_cookie_is_refused(token: str) -> None:
    with refused("access.token"):
        require_token(token)


def test_an_empty_token_does_not_count_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with refused("access.token"):
        serve(token="")
    monkeypatch.setenv("PAN_TOKEN", "")
    with refused("access.token"):
        serve()


def test_who_has_no_token_is_told_so_over_the_web_socket_and_a_large_login_is_not_read() -> None:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with served(token=TOKEN) as here:
        with (
            connect(here.replace("http", "ws") + "/live", proxy=None) as channel,
            pytest.raises(ConnectionClosed) as closed,
        ):
            channel.recv(20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
        request = urllib.request.Request(f"{here}/login", data=b"token=" + b"x" * 5000)
        with pytest.raises(urllib.error.HTTPError) as too_large:
            urllib.request.urlopen(request, timeout=20)
        assert too_large.value.code == 413
        assert status_of(f"{here}/api/state", Authorization="Bearer ") == 401
        port = here.rpartition(":")[2]
        assert status_of(f"{here}/api/state", Cookie=f"a=[; pan_token_{port}={TOKEN}") == 200


SERVER = """
import sys
from pathlib import Path
from pan_core.live.picture import SceneStyle
from pan_core.live.server import application, listen, run
from pan_core.live.uploads import Uploads
from pan_core.cli.live import ended_by_sigterm
with ended_by_sigterm(), Uploads(None, scene=SceneStyle.FULL) as uploads:
    door = listen("127.0.0.1", 0)
    print(door.getsockname()[1], flush=True)
    run(application([], None, uploads, scene=SceneStyle.FULL, token=None), door)
"""


def test_sigterm_ends_a_server_properly_and_the_next_one_sweeps_after_a_killed_one(tmp_path: Path) -> None:
    for number, kept in ((signal.SIGKILL, 1), (signal.SIGTERM, 0)):
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            env=os.environ | {"TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert server.stdout
        port = int(server.stdout.readline())
        assert status_of(f"http://127.0.0.1:{port}/api/uploads") == 200
        assert len(list(tmp_path.glob("pan-uploads-*/.uploads*"))) == 1
        server.send_signal(number)
        server.communicate(timeout=60)
        assert server.returncode == (0 if number is signal.SIGTERM else -number)
        assert len(list(tmp_path.glob("pan-uploads-*/.uploads*"))) == kept


def test_requests_that_other_sites_make_are_refused() -> None:
    with served() as here:
        assert status_of(f"{here}/api/state") == 200
        assert status_of(f"{here}/api/state", Host="example.org") == 421
        assert status_of(f"{here}/api/state", Origin="http://example.org") == 403
        assert status_of(f"{here}/%2e%2e/server.py") == 404
        assert status_of(f"{here}/api/uploads/x/video") == 404
        assert status_of(f"{here}/api/events/9/x") == 404


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("camera.local", False)],
)
def test_loopback_is_told_from_the_world(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_dark_light_and_a_phone(page: "Page") -> None:
    with served() as here:
        page.set_viewport_size({"width": 360, "height": 700})
        page.emulate_media(color_scheme="dark")
        page.goto(here)
        colour = "getComputedStyle(document.body).backgroundColor"
        dark = page.evaluate(colour)
        page.get_by_role("button", name="Dark").click()
        assert page.evaluate(colour) != dark
        page.reload()
        time.sleep(0.1)
        assert page.evaluate(colour) != dark, "the choice is kept"
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to events"
