"""Hostile pickles, damaged pickles and honest ones: only plain data comes out, and nothing is ever called."""

import builtins
import collections
import contextlib
import io
import os
import pickle
import struct
import subprocess
import tracemalloc

import numpy as np
import pytest
from refusals import refused

from pan_core.datasets.unpickling import load
from pan_core.errors import DataError


class Calls:
    """Pickles as a call of a function with arguments, and a state for what it returns where one is given."""

    def __init__(self, function, *args, state=None):
        self.call = (function, args) if state is None else (function, args, state)

    def __reduce__(self):
        return self.call


class Subclass(np.ndarray):
    pass


def read(tmp_path, content):
    path = tmp_path / "x.pkl"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
    return load(path)


def loading_fails(tmp_path, content, *codes, named=""):
    """It is refused for one of these reasons, and file and what is named stand in the message."""
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    assert caught.value.code in codes, str(caught.value)
    assert str(tmp_path / "x.pkl") in str(caught.value)
    assert named in str(caught.value)
    return str(caught.value)


HONEST = [
    {"a": [1, 2.5, None, True], "b": ("x", b"y"), 3: {4, 5}, "c": frozenset({6}), "d": 1 << 90},
    collections.OrderedDict([("first", 1), ("second", [2])]),
    b"",
    set(),
    np.arange(24, dtype=np.float16).reshape(2, 3, 4),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(4, dtype=">i4"),
    np.array(["ab", "c"]),
    np.array([b"ab", b"c"]),
    np.array([True, False]),
    np.array(2.5),
    np.zeros((0, 17, 2), dtype=np.float32),
    np.float32(0.1),
    np.int64(-3),
    np.bool_(True),
    [np.ones(2), (np.zeros(1), {"deep": np.ones(3)})],
]  # fmt: skip


def same(a, b):
    if isinstance(b, np.ndarray | np.generic):
        return type(a) is type(b) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(b, dict):
        return type(a) is type(b) and list(a) == list(b) and all(same(a[key], b[key]) for key in b)
    if isinstance(b, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", HONEST, ids=lambda value: str(value)[:20])
def test_plain_data_of_every_protocol_comes_back(tmp_path, value, protocol):
    """The reference is the standard library's own pickle, which wrote it."""
    assert same(read(tmp_path, pickle.dumps(value, protocol)), value)


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_names_of_numpy_1_and_2_are_known(tmp_path, module):
    content = pickle.dumps(np.arange(3), 2).replace(b"numpy._core.multiarray", module)
    assert module in content
    assert read(tmp_path, content).tolist() == [0, 1, 2]


def test_shared_and_circular_containers_keep_their_form(tmp_path):
    shared = [np.ones(2)]
    circle = {"one": shared, "two": shared}
    circle["self"] = circle
    got = read(tmp_path, circle)
    assert got["one"] is got["two"]
    assert got["self"] is got
    assert got["one"][0].tolist() == [1, 1]


def test_arrays_hold_their_bytes_once_and_cannot_be_written(tmp_path):
    got = read(tmp_path, np.ones(1000))
    assert not got.flags.writeable
    assert not got.flags.owndata


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (f"{os.name}.system", Calls(os.system, "touch owned")),
        ("os.system", b"cos\nsystem\n(Vtouch owned\ntR."),
        ("os.system", b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0btouch owned\x85R."),
        ("builtins.eval", Calls(builtins.eval, "open('owned', 'w')")),
        ("builtins.exec", Calls(builtins.exec, "open('owned', 'w')")),
        ("subprocess.Popen", Calls(subprocess.Popen, ["touch", "owned"])),
        ("numpy.load", Calls(np.load, "evil.npy", None, True)),
        ("numpy.testing._private.utils.runstring", b"cnumpy.testing._private.utils\nrunstring\n(Vx\n}tR."),
        ("builtins.getattr", Calls(builtins.getattr, np.ndarray, "tofile")),
        ("numpy.memmap", b"\x80\x02cnumpy\nmemmap\nVowned\n\x85\x81."),
        ("operator.attrgetter", b"coperator\nattrgetter\n(Vsystem\ntR."),
        ("os.system", b"(S'touch owned'\nios\nsystem\n."),
        ("os.system", b"(cos\nsystem\nVtouch owned\no."),
        ("numpy.ndarray.tofile", b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."),
        ("builtins.object", b"\x80\x02c__builtin__\nobject\n)\x81.".replace(b"__builtin__", b"builtins")),
        ("test_unpickling.Subclass", np.ones(3).view(Subclass)),
    ],
)
def test_a_hostile_pickle_is_refused_by_name_and_never_runs(tmp_path, monkeypatch, name, content):
    monkeypatch.chdir(tmp_path)
    message = loading_fails(tmp_path, content, "pickle.unknown-name", named=name)
    assert "do not open it by other means" in message
    assert not (tmp_path / "owned").exists()


def test_the_hostile_pickles_of_these_tests_do_run_elsewhere(tmp_path, monkeypatch):
    """What the test above guards against: the standard library obeys."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(b"cos\nsystem\n(Vtouch owned\ntR.")
    assert (tmp_path / "owned").exists()


def with_global(name, arguments, tail=b"R."):
    """A call of an admitted name with arguments of one's own."""
    module, attribute = name.rsplit(".", 1)
    return b"\x80\x02c" + module.encode() + b"\n" + attribute.encode() + b"\n" + arguments + tail


def persistent():
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer)
    pickler.persistent_id = lambda value: "id" if value == "outside" else None
    pickler.dump(["outside"])
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("code", "content"),
    [
        ("pickle.persistent-id", persistent()),
        ("pickle.data-type", np.array([1, "a", None], dtype=object)),
        ("pickle.data-type", np.zeros(2, dtype=[("a", "i4"), ("b", "O")])[["a"]]),
        ("pickle.data-type", np.zeros(2, dtype=[("a", "i4"), ("b", "f8")])),
        ("pickle.array-size", with_global("numpy.ndarray", b"J\xff\xff\xff\x7f\x85")),
        ("pickle.container", with_global("builtins.bytes", b"J\xff\xff\xff\x7f\x85")),
        ("pickle.container", with_global("builtins.set", b"Vabc\n\x85")),
        ("pickle.encoding", with_global("_codecs.encode", b"Vabc\nVrot13\n\x86")),
        ("pickle.changed-function", with_global("_codecs.encode", b"}Vx\nK\x01s", b"b.")),
        ("pickle.no-data", with_global("_codecs.encode", b"", b".")),
        ("pickle.no-data", with_global("numpy.ndarray", b"", b".")),
        ("pickle.no-data", with_global("numpy.dtype", b"Vf4\n\x85")),
        ("pickle.no-data", b"\x80\x02cnumpy\nndarray\n)R."),
        (
            "pickle.array-type",
            with_global("numpy._core.multiarray._reconstruct", b"c_codecs\nencode\nK\x00\x85Vb\n\x87"),
        ),
    ],
)
def test_admitted_names_cannot_be_turned_to_other_ends(tmp_path, code, content):
    loading_fails(tmp_path, content, code)


@pytest.mark.parametrize("content", [[1, 2], "ab", (1, 2), 5])
def test_an_array_of_anything_but_bytes_is_refused(tmp_path, content):
    state = (1, (2,), np.dtype("f8"), False, content)
    forged = Calls(np.arange(2).__reduce__()[0], np.ndarray, (0,), b"b", state=state)
    loading_fails(tmp_path, forged, "pickle.array-content")


def test_flags_of_a_data_type_are_not_believed(tmp_path):
    """NumPy would take bytes for addresses of objects where a data type's flags say so; only its order is read."""
    forged = Calls(np.dtype, "f8", False, True, state=(3, "<", None, None, None, -1, -1, 63))
    array = Calls(np.arange(2).__reduce__()[0], np.ndarray, (0,), b"b", state=(1, (1,), forged, False, bytes(8)))
    assert read(tmp_path, array).tolist() == [0.0]


def claims(*instructions):
    return b"\x80\x04" + b"".join(instructions) + b"."


@pytest.mark.parametrize(
    "content",
    [
        claims(b"\x8e", struct.pack("<Q", 10**11), b"abc"),
        claims(b"\x8d", struct.pack("<Q", 10**11), b"abc"),
        claims(b"\x96", struct.pack("<Q", 10**11), b"abc"),
        claims(b"\x95", struct.pack("<Q", 10**11), b"N"),
        claims(b"B", struct.pack("<I", 2**31 - 1), b"abc"),
        claims(b"\x8b", struct.pack("<I", 2**31 - 1), b"abc"),
        claims(b"N", b"r", struct.pack("<I", 2**32 - 1)),
        claims(b"N", b"r", struct.pack("<I", 2**24 - 1)),
        b"Np4294967295\n.",
        pickle.dumps(np.zeros(3), 2).replace(b"K\x03\x85", b"\x8a\x05\x00\xe8\x76\x48\x17\x85"),
        with_global("numpy._core.multiarray._reconstruct", b"cnumpy\nndarray\n\x8a\x05\x00\xe8\x76\x48\x17\x85Vb\n\x87"),
        with_global("numpy._core.multiarray.scalar", b"cnumpy\ndtype\nVU99999999\n\x85RC\x01a\x86"),
        b"\x80\x04\x8c\x07_codecs\x8c\x06encode\x93\x94X\x40\x42\x0f\x00" + b"a" * 1_000_000 + b"\x94"
        + b"h\x00h\x01\x85R" * 2000 + b".",
    ],
    ids=["bytes8", "unicode8", "bytearray8", "frame", "bytes4", "long", "memo", "memo-small", "memo-text", "array", "shape",
         "scalar", "repeated"],
)  # fmt: skip
def test_a_claim_to_more_than_the_file_has_costs_nothing(tmp_path, content):
    """100 GB in 200 bytes: an error, without the memory."""
    tracemalloc.start()
    loading_fails(tmp_path, content, "pickle.memory", "pickle.empty-array", "pickle.damaged")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_a_pickle_that_refers_to_itself_a_billion_times_is_read_once_each(tmp_path):
    """Sixty lists, each of which holds the one before it twice: 2^60 paths."""
    nested: list = [np.ones(1)]
    for _ in range(60):
        nested = [nested, nested]
    got = read(tmp_path, nested)
    for _ in range(60):
        got = got[0]
    assert got[0].tolist() == [1]


def shared_tuples():
    """Sixty tuples, each of which holds the one before it twice: 2^60 to be hashed."""
    return b"0".join([b"K\x00\x85\x94"] + [b"h%c" % n * 2 + b"\x86\x94" for n in range(60)])


@pytest.mark.parametrize(
    "content",
    [
        b"}" + shared_tuples() + b"Ns",
        b"}(" + shared_tuples() + b"Nu",
        b"(" + shared_tuples() + b"Nd",
        b"\x8f(" + shared_tuples() + b"\x90",
        b"(" + shared_tuples() + b"\x91",
        b"cbuiltins\nset\n](" + shared_tuples() + b"e\x85R",
        b"cbuiltins\nfrozenset\n](" + shared_tuples() + b"e\x85R",
        b"ccollections\nOrderedDict\n]](" + shared_tuples() + b"Nea\x85R",
        b"}(K\x00\x91Ns",
    ],
    ids=["item", "items", "dict", "set", "frozenset", "set-call", "frozenset-call", "ordered", "frozen-key"],
)
def test_a_key_whose_hash_takes_for_ever_is_refused(tmp_path, content):
    loading_fails(tmp_path, b"\x80\x04" + content + b".", "pickle.nested-key")


@pytest.mark.parametrize("keys", [[k * (2**61 - 1) for k in range(1, 4)], [-1_000_001], [float("nan")], [0.5]])
def test_numbers_that_can_be_made_to_collide_are_no_keys(tmp_path, keys):
    loading_fails(tmp_path, pickle.dumps(dict.fromkeys(keys)), "pickle.colliding-key")
    loading_fails(tmp_path, pickle.dumps(set(keys)), "pickle.colliding-key")


def test_text_and_indices_are_keys(tmp_path):
    held = {0: "a", -7: "b", 1_000_000: "c", None: "d", True: "e", "name": "f", b"bytes": "g"}
    assert read(tmp_path, pickle.dumps(held)) == held


def test_numpy_numbers_are_no_keys(tmp_path):
    loading_fails(tmp_path, pickle.dumps({np.complex128(1): "a"}), "pickle.colliding-key")


def test_shared_tuples_are_read_where_they_are_no_keys(tmp_path):
    got = read(tmp_path, b"\x80\x04" + shared_tuples() + b".")
    assert got[0] is got[1]


@pytest.mark.parametrize("instructions", [b"]" * 50_000 + b"a" * 49_999, b")" + b"\x85" * 50_000])
def test_endless_nesting_is_an_error_and_no_crash(tmp_path, instructions):
    loading_fails(tmp_path, b"\x80\x02" + instructions + b".", "pickle.damaged")


@pytest.mark.parametrize("keep", [0, 1, 2, 10, 0.3, 0.7, -1])
def test_a_truncated_pickle_is_said(tmp_path, keep):
    whole = pickle.dumps({"a": np.arange(1000), "b": ["text"] * 50})
    loading_fails(tmp_path, whole[: keep if isinstance(keep, int) else int(keep * len(whole))], "pickle.damaged")


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><html>404</html>", b"PK\x03\x04" + bytes(30), bytes(100), b"\n"])
def test_another_kind_of_file_is_said(tmp_path, content):
    loading_fails(tmp_path, content, "pickle.damaged")


def test_a_missing_file_is_said(tmp_path):
    with refused("pickle.unreadable") as caught:
        load(tmp_path / "x.pkl")
    assert "x.pkl" in str(caught.value)


def test_damaged_bytes_never_get_past_as_an_unknown_error(tmp_path):
    """Every byte of a small pickle is replaced in turn: plain data or a DataError, nothing else."""
    rng = np.random.default_rng(0)
    whole = pickle.dumps({"a": np.arange(3, dtype=np.float32), "b": [np.float64(1), "x"]}, 4)
    for place in range(len(whole)):
        for value in rng.integers(0, 256, 3):
            damaged = bytearray(whole)
            damaged[place] = value
            with contextlib.suppress(DataError):
                read(tmp_path, bytes(damaged))


def test_the_real_pickle_is_what_the_standard_library_reads(real_data):
    path = real_data / "jhmdb14" / "jhmdb14_2d.pkl"
    expected = pickle.loads(path.read_bytes())
    assert same(load(path), expected)
