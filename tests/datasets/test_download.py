"""Downloads from a real server on loopback that misbehaves."""

import hashlib
import random
import subprocess
import time
from email.utils import formatdate
from types import SimpleNamespace

import pytest
from faulty_server import chunked, no_length, redirect, status, whole
from refusals import refused

from pan_core.datasets import transfer
from pan_core.datasets.base import RemoteFile
from pan_core.datasets.download import obtain
from pan_core.datasets.faults import FaultsError
from pan_core.errors import PanError

DATA = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
SHA256 = "sha256:" + hashlib.sha256(DATA).hexdigest()
NAME = "set.bin"


@pytest.fixture(autouse=True)
def little_patience(monkeypatch):
    quick = transfer.Patience(attempts=3, wait_s=0.01, longest_wait_s=2.0, connect_timeout_s=2.0, read_timeout_s=0.3)
    monkeypatch.setattr(transfer, "PATIENCE", quick)


def got(context, *urls, **about):
    return obtain("toys", RemoteFile(about.pop("name", NAME), urls, **about), context)


def downloads(context):
    return context.cache / "downloads" / "toys"


def left(context):
    folder = downloads(context)
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock") if folder.exists() else []


def fails(context, *urls, codes=(), words=(), **about):
    """It is refused for these reasons, one an address, and nothing has the final name; the names of what is left."""
    name = about.get("name", NAME)
    with refused("file.not-downloaded", FaultsError) as caught:
        got(context, *urls, **about)
    assert not codes or caught.value.codes == tuple(codes)
    for word in (*urls, *words, str(downloads(context) / name), str(context.mirror / "toys" / name)):
        assert word in str(caught.value)
    assert not (downloads(context) / name).exists()
    return left(context)


def test_a_file_comes_whole_and_once(site, context):
    url = site.offer("/a", whole(DATA))
    path = got(context, url)
    assert path == downloads(context) / NAME and path.read_bytes() == DATA
    assert left(context) == [NAME, f"{NAME}.sha256", f"{NAME}.verified.json"]
    assert got(context, url) == path and len(site.requests) == 1


def test_the_recorded_checksum_is_the_form_of_sha256sum(site, context):
    got(context, site.offer("/a", whole(DATA)))
    done = subprocess.run(
        ["sha256sum", "--check", f"{NAME}.sha256"], cwd=downloads(context), capture_output=True, check=False
    )
    assert done.returncode == 0


def test_a_cut_is_taken_up_where_it_was(site, context):
    url = site.offer("/a", whole(DATA, cut=100_000), whole(DATA, cut=50_000), whole(DATA))
    assert got(context, url, checksum=SHA256).read_bytes() == DATA
    assert [request.headers.get("Range") for request in site.requests] == [None, "bytes=100000-", "bytes=150000-"]
    assert site.sent == [100_000, 50_000, 150_000]


def test_an_interrupted_run_is_taken_up_by_the_next(site, context):
    url = site.offer("/a", whole(DATA, cut=100_000), status(500))
    assert fails(context, url, codes=["transfer.status"], words=["500"]) == [f"{NAME}.part", f"{NAME}.part.json"]
    site.offer("/a", whole(DATA))
    assert got(context, url).read_bytes() == DATA
    assert site.sent[-1] == 200_000
    assert left(context) == [NAME, f"{NAME}.sha256", f"{NAME}.verified.json"]


def test_a_run_that_ended_between_last_byte_and_renaming_asks_for_nothing(site, context):
    url = site.offer("/a", whole(DATA, cut=100_000), status(500))
    fails(context, url)
    with (downloads(context) / f"{NAME}.part").open("ab") as file:
        file.write(DATA[100_000:])
    count = len(site.requests)
    assert got(context, url, checksum=SHA256).read_bytes() == DATA
    assert len(site.requests) == count


def test_a_last_modified_date_serves_where_there_is_no_strong_tag(site, context):
    date = formatdate(1.7e9, usegmt=True)
    url = site.offer("/a", whole(DATA, tag='W/"weak"', Last_Modified=date, cut=100_000),
                     whole(DATA, tag=date, ETag='W/"weak"', Last_Modified=date))  # fmt: skip
    assert got(context, url).read_bytes() == DATA
    assert site.requests[1].headers["If-Range"] == date and site.sent == [100_000, 200_000]


def test_a_server_without_ranges_starts_again(site, context):
    url = site.offer("/a", whole(DATA, cut=100_000), whole(DATA, ranges=False))
    assert got(context, url).read_bytes() == DATA
    assert site.sent == [100_000, 300_000]


def test_without_a_version_to_ask_for_it_starts_again(site, context):
    url = site.offer("/a", whole(DATA, tag="", cut=100_000), whole(DATA, tag=""))
    assert got(context, url).read_bytes() == DATA
    assert site.requests[1].headers.get("Range") is None


def test_a_file_that_changed_between_two_parts_is_not_glued_together(site, context):
    url = site.offer("/a", whole(DATA, cut=100_000), whole(OTHER, tag='"two"'))
    assert got(context, url).read_bytes() == OTHER
    assert site.requests[1].headers["If-Range"] == '"one"' and site.sent == [100_000, 300_000]


def test_a_server_that_ignores_if_range_is_found_out_by_its_tag(site, context):
    changed = whole(OTHER, tag='"one"', ETag='"two"')
    url = site.offer("/a", whole(DATA, cut=100_000), changed, whole(OTHER, tag='"two"'))
    assert got(context, url).read_bytes() == OTHER
    assert site.requests[2].headers.get("Range") is None


def test_another_part_than_asked_for_is_thrown_away(site, context):
    wrong = whole(DATA, Content_Range="bytes 0-299999/300000")
    url = site.offer("/a", whole(DATA, cut=100_000), wrong, whole(DATA))
    assert got(context, url).read_bytes() == DATA


def test_a_file_that_became_shorter_starts_again(site, context):
    url = site.offer("/a", whole(DATA, cut=100_000), status(416), whole(DATA[:5000]))
    assert got(context, url).read_bytes() == DATA[:5000]


def test_a_server_that_gives_less_than_asked_for_is_asked_for_the_rest(site, context):
    limited = whole(DATA, Content_Range="bytes 100000-199999/300000", Content_Length=100_000, cut=100_000)
    url = site.offer("/a", whole(DATA, cut=100_000), limited, whole(DATA))
    assert got(context, url).read_bytes() == DATA
    assert site.sent == [100_000] * 3


def test_a_stall_is_given_up_long_before_the_server_ends_it(site, context):
    url = site.offer("/a", whole(DATA, cut=100_000, stall=60.0), whole(DATA))
    started = time.monotonic()
    assert got(context, url).read_bytes() == DATA
    assert site.sent == [100_000, 200_000] and time.monotonic() - started < 30


def test_a_server_that_always_cuts_at_the_same_byte_is_given_up(site, context):
    url = site.offer("/a", whole(DATA, ranges=False, cut=100_000))
    fails(context, url, codes=["transfer.interrupted"])
    assert len(site.requests) == 4  # the first brought new bytes


def test_a_body_shorter_than_announced_is_never_whole(site, context):
    url = site.offer("/a", whole(DATA, Content_Length=400_000, cut=300_000, ranges=False))
    fails(context, url, codes=["transfer.interrupted"])
    assert site.sent == [300_000] * 4


@pytest.mark.parametrize("known", [{"size": 300_000}, {"checksum": SHA256}])
def test_a_body_longer_than_announced_is_refused(known, site, context):
    url = site.offer("/a", whole(DATA, Content_Length=200_000))
    code = "transfer.other-size" if "size" in known else "transfer.wrong-checksum"
    assert fails(context, url, codes=[code], **known) == []


def test_an_announced_length_other_than_the_published_one_is_refused_before_the_body(site, context):
    url = site.offer("/a", whole(DATA))
    assert fails(context, url, codes=["transfer.other-size"], size=299_999) == []
    assert len(site.requests) == 1


def test_chunks_without_a_length_need_a_size_or_a_checksum(site, context):
    assert fails(context, site.offer("/z", chunked(DATA)), name="z.bin", codes=["transfer.no-length"]) == []
    assert got(context, site.offer("/a", chunked(DATA)), checksum=SHA256).read_bytes() == DATA
    fails(context, site.offer("/b", chunked(DATA, end=False)), name="b.bin", checksum=SHA256)
    fails(context, site.offer("/c", chunked(DATA)), name="c.bin", size=299_999, codes=["transfer.too-long"])
    fails(context, site.offer("/d", chunked(DATA)), name="d.bin", size=300_001, codes=["transfer.too-short"])


@pytest.mark.parametrize("answer", [whole(b""), status(200), chunked(b"")])
def test_an_empty_body_is_no_file(answer, site, context):
    assert fails(context, site.offer("/a", answer), codes=["transfer.empty"], checksum=SHA256) == []


def part(data, *, end=None, total=None, tag='"one"'):
    """The part of `data` that was asked for, up to `end`; `total` is what it says about the whole."""

    def script(answer):
        start = int(answer.headers["Range"].removeprefix("bytes=").rstrip("-"))
        piece = data[start:end] if end is None else data[start : start + end]
        stated = len(data) if total is None else total
        about = {"ETag": tag} if tag else {}
        answer.begin(206, Content_Length=len(piece), Content_Range=f"bytes {start}-{start + len(piece) - 1}/{stated}",
                     **about)  # fmt: skip
        answer.body(piece)

    return script


@pytest.mark.parametrize("total", ["*", 300_000])
def test_a_part_smaller_than_asked_for_is_not_the_end(total, site, context):
    url = site.offer("/a", whole(DATA, cut=100_000), part(DATA, end=50_000, total=total))
    assert got(context, url).read_bytes() == DATA
    assert site.sent == [100_000] + 4 * [50_000]


@pytest.mark.parametrize(
    "other",
    [part(OTHER, tag=""), part(OTHER[:200_000]), part(OTHER[:200_000], tag=""), part(OTHER, tag="", total="*")],
)
def test_a_part_that_does_not_prove_its_version_is_not_glued_on(other, site, context):
    url = site.offer("/a", whole(DATA, cut=100_000), other, whole(DATA))
    assert got(context, url).read_bytes() == DATA
    assert [request.headers.get("Range") for request in site.requests] == [None, "bytes=100000-", None]


def test_a_part_that_nobody_asked_for_is_refused(site, context):
    def script(answer):
        answer.begin(206, Content_Length=1000, Content_Range="bytes 0-999/300000")
        answer.body(DATA[:1000])

    assert fails(context, site.offer("/a", script), codes=["transfer.other-part"]) == []


def test_a_server_that_drips_is_left_for_the_next_address(site, context, monkeypatch):
    hasty = transfer.Patience(attempts=2, wait_s=0.01, read_timeout_s=0.5, slowest=1000.0, slow_s=0.3)
    monkeypatch.setattr(transfer, "PATIENCE", hasty)

    def drip(answer):
        answer.begin(200, Content_Length=len(DATA), ETag='"one"')
        for byte in DATA[:100]:
            answer.body(bytes([byte]))
            time.sleep(0.02)

    slow = site.offer("/a", drip)
    fails(context, slow, codes=["transfer.slow"])
    assert got(context, slow, site.offer("/b", whole(DATA))).read_bytes() == DATA


def test_a_body_that_ends_with_the_connection_needs_a_size_or_a_checksum(site, context):
    url = site.offer("/a", no_length(DATA))
    assert fails(context, url, codes=["transfer.no-length"]) == []
    assert got(context, url, checksum=SHA256).read_bytes() == DATA
    assert got(context, url, name="sized.bin", size=300_000).read_bytes() == DATA
    fails(context, url, name="longer.bin", size=300_001, codes=["transfer.too-short"])


def test_a_page_that_is_missing_goes_to_the_next_address_at_once(site, context):
    missing, good = site.offer("/a", status(404)), site.offer("/b", whole(DATA))
    assert got(context, missing, good).read_bytes() == DATA
    assert [request.path for request in site.requests] == ["/a", "/b"]


def test_a_server_in_trouble_is_asked_again(site, context):
    url = site.offer("/a", status(500), status(502), whole(DATA))
    assert got(context, url).read_bytes() == DATA
    assert [request.status for request in site.requests] == [500, 502, 200]


def test_a_server_that_stays_in_trouble_is_left_for_the_next_address(site, context):
    bad, good = site.offer("/a", status(503)), site.offer("/b", whole(DATA))
    assert got(context, bad, good).read_bytes() == DATA
    assert [request.path for request in site.requests] == ["/a"] * 3 + ["/b"]


@pytest.mark.parametrize("code", [429, 503])
def test_a_server_that_says_when_is_asked_then(code, site, context):
    url = site.offer("/a", status(code, Retry_After=1), whole(DATA))
    started = time.monotonic()
    assert got(context, url).read_bytes() == DATA
    assert time.monotonic() - started >= 1.0


@pytest.mark.parametrize(
    "script",
    [
        status(302, Location="http://[::bad"),
        whole(DATA, Content_Length="9" * 5000),
        status(503, Retry_After="9" * 4400),
        whole(DATA, Content_Encoding="gzip"),
    ],
    ids=["redirect", "length", "retry", "coding"],
)
def test_headers_without_sense_are_left_for_the_next_address(site, context, script):
    bad, good = site.offer("/a", script), site.offer("/b", whole(DATA))
    assert got(context, bad, good).read_bytes() == DATA


def test_a_server_that_wants_an_hour_is_not_waited_for(site, context):
    fails(context, site.offer("/a", status(429, Retry_After=3600)), codes=["transfer.long-wait"], words=["3600"])
    assert len(site.requests) == 1


def test_a_retry_after_that_says_nothing_is_passed_over(site, context):
    url = site.offer("/a", status(503, Retry_After="soon"), whole(DATA))
    assert got(context, url).read_bytes() == DATA


def test_a_redirect_is_followed_and_a_circle_is_not(site, context):
    site.offer("/b", whole(DATA))
    assert got(context, site.offer("/a", redirect("/b"))).read_bytes() == DATA
    fails(context, site.offer("/c", redirect("/c")), name="c.bin")


def test_a_wrong_file_is_refused_and_the_next_run_starts_afresh(site, context):
    url = site.offer("/a", whole(OTHER), whole(DATA))
    found = "sha256:" + hashlib.sha256(OTHER).hexdigest()
    assert fails(context, url, codes=["transfer.wrong-checksum"], words=[SHA256, found], checksum=SHA256) == []
    assert got(context, url, checksum=SHA256).read_bytes() == DATA
    assert site.requests[1].headers.get("Range") is None


def test_md5_is_compared_as_well(site, context):
    right = "md5:" + hashlib.md5(DATA).hexdigest()
    url = site.offer("/a", whole(DATA))
    fails(context, url, checksum="md5:" + "0" * 32, words=[right])
    assert got(context, url, checksum=right).read_bytes() == DATA


def test_a_wrong_file_at_one_address_goes_to_the_next(site, context):
    wrong, good = site.offer("/a", whole(OTHER)), site.offer("/b", whole(DATA))
    assert got(context, wrong, good, checksum=SHA256).read_bytes() == DATA


def test_bytes_of_one_address_are_not_mixed_with_those_of_the_next(site, context):
    first = site.offer("/a", whole(OTHER, cut=100_000), status(404))
    assert got(context, first, site.offer("/b", whole(DATA))).read_bytes() == DATA


PAGE = b"\n<!DOCTYPE html><html>Please log in</html>"


@pytest.mark.parametrize("name", ["set.zip", "set.rar", "set.tar.gz", "set.pkl"])
@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_is_no_archive(name, kind, site, context):
    url = site.offer("/a", whole(PAGE, Content_Type=kind))
    assert fails(context, url, name=name, codes=["transfer.web-page"]) == []


@pytest.mark.parametrize("name", ["set.zip", "set.rar", "set.tar.gz"])
def test_an_archive_must_begin_like_one(name, site, context):
    assert fails(context, site.offer("/a", whole(b"quota exceeded")), name=name, codes=["transfer.no-archive"]) == []


@pytest.mark.parametrize("tag", ['"two"', ""])
def test_a_file_of_later_must_be_the_file_of_first(tag, site, context):
    path = got(context, site.offer("/a", whole(DATA)))
    path.unlink()
    url = site.offer("/a", whole(OTHER, tag=tag))
    found = "sha256:" + hashlib.sha256(OTHER).hexdigest()
    asked = len(site.requests) + 1
    for _ in range(2):
        assert f"{NAME}.part" in fails(
            context, url, codes=["transfer.other-file"], words=[SHA256, found, f"{NAME}.sha256", f"{NAME}.part"]
        )
    (downloads(context) / f"{NAME}.sha256").unlink()
    assert got(context, url).read_bytes() == OTHER
    assert len(site.requests) == asked  # what was downloaded is not downloaded again


def test_a_kept_download_that_changed_is_noticed(site, context):
    path = got(context, site.offer("/a", whole(DATA)))
    path.write_bytes(DATA[:-1] + b"?")
    with refused("file.wrong-checksum"):
        got(context)
    with refused("file.wrong-size"):
        got(context, size=299_999)


def test_a_server_that_is_not_there_is_said(context):
    fails(context, "http://127.0.0.1:9/a", codes=["transfer.interrupted"], words=["after 3 tries"])


def test_the_disk_is_looked_at_first(site, context, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=200_000))
    with pytest.raises(PanError) as caught:
        got(context, site.offer("/a", whole(DATA)))
    assert type(caught.value) is PanError
    assert left(context) == []
