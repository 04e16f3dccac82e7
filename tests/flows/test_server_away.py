"""What becomes of a run in this process when Prefect's server goes away before it is told how the run ended."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.prefect_server import run_to_its_end


class Healthy(BaseHTTPRequestHandler):
    """Says that all is well."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"true")

    def log_message(self, *args):
        """Nothing on stderr."""


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{server.server_port}/api"}):
            yield server
        server.shutdown()


def status(code):
    return httpx.HTTPStatusError(str(code), request=httpx.Request("POST", "http://h"), response=httpx.Response(code))


def runs(error, before=lambda: None):
    """A run that meets an error the first time, and what it was told each time."""
    told = []

    def run(again):
        told.append(again)
        if not again:
            before()
            raise error
        return "ended"

    return run, told


def test_the_run_is_ended_without_the_server(server, capsys):
    def stop():
        server.shutdown()
        server.server_close()

    run, told = runs(httpx.ConnectError("refused"), stop)
    assert run_to_its_end(run) == "ended"
    assert told == [False, True]
    assert "went away; the run goes on without it" in capsys.readouterr().err


def test_a_server_whose_database_is_away_counts_as_away(server):
    run, told = runs(status(500))
    assert run_to_its_end(run) == "ended"
    assert told == [False, True]


@pytest.mark.parametrize("error", [httpx.ReadError("cut"), status(404)])
def test_an_error_of_a_server_that_is_there_is_told(server, error):
    run, told = runs(error)
    with pytest.raises(type(error)):
        run_to_its_end(run)
    assert told == [False]
