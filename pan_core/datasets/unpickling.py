"""Read a pickle that nobody vouches for: NumPy arrays, numbers, text and plain containers, and nothing else.

A pickle is a program for a small machine whose instructions may call anything importable. Here every name that it
asks for is looked up in a short table; behind those names stand look-alikes of NumPy's functions which check what
they are given, so that NumPy's own never see a shape, a data type or a flag that the file made up. Before the program
runs, its instructions are read once without running them, and a claim to more bytes than the file has is refused:
Python's machine would set that memory aside first.

Sources: the `pickle` and `pickletools` modules of the standard library; `numpy.lib.format` and
`numpy.ndarray.__reduce_ex__` for what NumPy writes.
"""

import io
import math
import pickle
import pickletools
import re
import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np

from pan_core.datasets.faults import CodedError
from pan_core.errors import DataError

PLAIN = (str, bytes, bytearray, int, float, bool, type(None))
_NUMBERS_AND_TEXT = re.compile(r"[<>|=]?[?biufcSU]\d{0,9}")
_BUILTINS = ("builtins", "__builtin__")
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
_BROKEN = (
    pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError,
    MemoryError, RecursionError, ImportError, struct.error,
)  # fmt: skip


# Known to type checkers without its stack.
_PythonUnpickler: Any = pickle._Unpickler


class UnpicklingRefused(CodedError, pickle.UnpicklingError):
    """What a pickle tried that plain data has no need of."""


def load(path: Path) -> object:
    """Content of a pickle made of dicts, lists, tuples, sets, text, numbers and NumPy arrays.

    Arrays are read-only views of the bytes that were read, so nothing is held twice.

    Args:
        path: Pickle of any protocol, written with NumPy 1 or 2.

    Raises:
        DataError: Where the file is missing, truncated or no pickle, where it claims more memory than it can fill, or
            where it asks for anything else, which is named.
    """
    try:
        with path.open("rb") as file:
            _check_instructions(file, path.stat().st_size)
            file.seek(0)
            return _Restorer().restore(_PlainUnpickler(file, path.stat().st_size).load())
    except UnpicklingRefused as error:
        raise DataError(
            f"{path}: refused, because {error}. Expected NumPy arrays, numbers, text and plain containers only; such "
            "a pickle can run code: do not open it by other means, and fetch the file again from its publisher",
            code=error.code,
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}); fetch it again", code="pickle.unreadable") from error
    except _BROKEN as error:
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{path}: not a whole pickle ({reason[:200]}); delete it and fetch it again", code="pickle.damaged"
        ) from error


class _PlainUnpickler(_PythonUnpickler):
    """The unpickler of the standard library in its Python form, whose instructions can be watched.

    Of the keys that a dict or set takes, tuples and frozen sets are refused: a tuple's hash is computed anew through
    all that it holds, and sixty tuples, each of which holds the one before it twice, would take centuries.
    """

    dispatch: ClassVar[dict[int, Callable]] = dict(_PythonUnpickler.dispatch)

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        super().__init__(file)
        self._left = size
        self._names = {
            **dict.fromkeys([(module, "_reconstruct") for module in _MULTIARRAY], _Callable(_reconstruct)),
            **dict.fromkeys([(module, "scalar") for module in _MULTIARRAY], _Callable(_scalar)),
            **dict.fromkeys([(module, "_frombuffer") for module in _NUMERIC], _Callable(_frombuffer)),
            **dict.fromkeys([(module, "set") for module in _BUILTINS], _Callable(self._admit_container(set))),
            **dict.fromkeys(
                [(module, "frozenset") for module in _BUILTINS], _Callable(self._admit_container(frozenset))
            ),
            **dict.fromkeys([(module, "bytes") for module in _BUILTINS], _Callable(self._admit_container(bytes))),
            ("collections", "OrderedDict"): _Callable(self._admit_container(OrderedDict)),
            ("numpy", "ndarray"): _Array,
            ("numpy", "dtype"): _DataType,
            ("_codecs", "encode"): _Callable(self._encode),
        }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._names:
            raise UnpicklingRefused(f"it tried to use {module}.{name}"[:200], code="pickle.unknown-name")
        return self._names[module, name]

    def _set_item(self) -> None:
        _check_keys(self.stack[-2:-1])
        _PythonUnpickler.dispatch[pickle.SETITEM[0]](self)

    def _set_items(self) -> None:
        _check_keys(self.stack[::2])
        _PythonUnpickler.dispatch[pickle.SETITEMS[0]](self)

    def _make_dict(self) -> None:
        _check_keys(self.stack[::2])
        _PythonUnpickler.dispatch[pickle.DICT[0]](self)

    def _add_items(self) -> None:
        _check_keys(self.stack)
        _PythonUnpickler.dispatch[pickle.ADDITEMS[0]](self)

    def _make_frozenset(self) -> None:
        _check_keys(self.stack)
        _PythonUnpickler.dispatch[pickle.FROZENSET[0]](self)

    dispatch |= {
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
        pickle.DICT[0]: _make_dict,
        pickle.ADDITEMS[0]: _add_items,
        pickle.FROZENSET[0]: _make_frozenset,
    }

    def persistent_load(self, pid: object) -> NoReturn:
        raise UnpicklingRefused("it refers to objects outside itself (a persistent id)", code="pickle.persistent-id")

    def _encode(self, text: str, encoding: str = "latin1") -> bytes:
        if encoding != "latin1":
            raise UnpicklingRefused(f"it tried to use _codecs.encode to {encoding!r}"[:200], code="pickle.encoding")
        self._spend(len(text))
        return text.encode("latin1")

    def _admit_container(self, kind: Callable) -> Callable:
        """A container type that takes nothing or a list; a number given to `bytes` would be a size to set aside."""

        def make(*items: list) -> object:
            if not all(type(item) is list for item in items):
                raise UnpicklingRefused(
                    f"it tried to make a {kind.__name__} of something else than a list", code="pickle.container"
                )
            self._spend(sum(len(item) for item in items))
            for item in items:
                _check_keys([pair[0] for pair in item] if kind is OrderedDict else item)
            return kind(*items)

        return make

    def _spend(self, count: int) -> None:
        """Count what is made by calls: naming the same text over and over would make more of it than the file has."""
        self._left -= count
        if self._left < 0:
            raise UnpicklingRefused("it claims more memory than it has bytes", code="pickle.memory")


LARGEST_KEY = 1_000_000
"""An index is a key; of larger numbers, many can be found that all collide."""


def _check_keys(keys: Sequence[object]) -> None:
    if any(isinstance(key, tuple | frozenset) for key in keys):
        raise UnpicklingRefused(
            "it has a tuple or a set for a key or in a set, whose hash may take for ever", code="pickle.nested-key"
        )
    if not all(
        isinstance(key, str | bytes | None) or (isinstance(key, int) and abs(key) <= LARGEST_KEY) for key in keys
    ):
        raise UnpicklingRefused(
            "it has a key, or a member of a set, that is neither text nor an index and may collide with others",
            code="pickle.colliding-key",
        )


class _Callable:
    """A function that a pickle may call but not change: attributes set on it would outlive the file."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable) -> None:
        self._function = function

    def __call__(self, *args: object) -> object:
        return self._function(*args)

    def __setstate__(self, state: object) -> NoReturn:
        raise UnpicklingRefused("it tried to change a function", code="pickle.changed-function")


class _DataType:
    """Stands for `numpy.dtype`: a number, truth value or text of fixed length."""

    __slots__ = ("dtype",)

    def __init__(self, code: object, align: object = False, copy: object = False) -> None:
        if not isinstance(code, str) or not _NUMBERS_AND_TEXT.fullmatch(code):
            shown = code[:20] if isinstance(code, str) else type(code).__name__
            raise UnpicklingRefused(
                f"it has an array of {shown!r}, which may hold any object; numbers and text are admitted",
                code="pickle.data-type",
            )
        self.dtype = np.dtype(code)
        if self.dtype.itemsize == 0:
            raise ValueError(f"data type {code!r} of no bytes")

    def __setstate__(self, state: tuple) -> None:
        order = state[1]
        if order not in ("<", ">", "|", "="):
            raise ValueError("a data type with an unknown byte order")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stands for `numpy.ndarray` until the whole pickle is read."""

    __slots__ = ("array",)

    def __init__(self, *args: object) -> None:
        self.array: np.ndarray | None = None
        if args:
            raise UnpicklingRefused("it tried to use numpy.ndarray with a size of its own", code="pickle.array-size")

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, raw = state
        self.array = _make_array(raw, dtype, shape, "F" if fortran else "C")


def _reconstruct(subtype: object, shape: object, code: object) -> _Array:
    if subtype is not _Array:
        raise UnpicklingRefused("it tried to make an array of a type of its own", code="pickle.array-type")
    if shape != (0,):
        raise UnpicklingRefused("it claims an array before it gives its content", code="pickle.empty-array")
    return _Array()


def _frombuffer(raw: object, dtype: object, shape: object, order: object) -> _Array:
    made = _Array()
    made.array = _make_array(raw, dtype, shape, "F" if order == "F" else "C")
    return made


def _scalar(dtype: object, raw: object) -> np.generic:
    return _make_array(raw, dtype, (1,), "C")[0]


def _make_array(raw: object, data_type: object, shape: object, order: Any) -> np.ndarray:
    """Array over the bytes of the file, read only.

    Raises:
        Refused: Where the content is not bytes, such as the list that stands behind an array of objects.
        ValueError: Where the bytes do not fill the shape exactly.
    """
    if not isinstance(data_type, _DataType) or not isinstance(raw, bytes | bytearray):
        raise UnpicklingRefused("it has an array whose content is not numbers or text", code="pickle.array-content")
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if not all(type(size) is int and size >= 0 for size in sizes):
        raise ValueError("an array with a shape that is not a tuple of sizes")
    claimed = math.prod(sizes) * data_type.dtype.itemsize
    if claimed != len(raw):
        raise ValueError(f"an array that claims {claimed} bytes and has {len(raw)}")
    array = np.frombuffer(raw, dtype=data_type.dtype).reshape(sizes, order=order)
    array.flags.writeable = False
    return array


class _Restorer:
    """Puts arrays in the place of their stand-ins, and refuses stand-ins that are left over.

    Every object is visited once, however often it is referred to.
    """

    def __init__(self) -> None:
        self._done: dict[int, object] = {}
        self._kept: list[object] = []

    def restore(self, value: Any) -> Any:
        if type(value) in PLAIN or isinstance(value, np.generic):
            return value
        if id(value) not in self._done:
            self._kept.append(value)  # an id is only unique among living objects
            self._done[id(value)] = value if isinstance(value, dict | list) else self._rebuild(value)
            if isinstance(value, dict | list):
                self._fill(value)
        return self._done[id(value)]

    def _rebuild(self, value: Any) -> Any:
        if isinstance(value, tuple | set | frozenset):
            return type(value)(self.restore(item) for item in value)
        if isinstance(value, _Array) and value.array is not None:
            return value.array
        raise UnpicklingRefused(
            "it holds a function, a type or an unfinished array where data belongs", code="pickle.no-data"
        )

    def _fill(self, value: dict | list) -> None:
        if isinstance(value, list):
            value[:] = [self.restore(item) for item in value]
            return
        for key, item in value.items():
            value[self.restore(key)] = self.restore(item)


class _Bounded:
    """A file that refuses to read past its end, so that a false length is met before memory is set aside."""

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        self._file, self._size = file, size
        self.readline, self.tell = file.readline, file.tell

    def read(self, count: int) -> bytes:
        self.require(count)
        return self._file.read(count)

    def require(self, count: int) -> None:
        left = self._size - self._file.tell()
        if count > left:
            raise ValueError(f"it claims {count} bytes where {left} are left")


def _check_instructions(file: io.BufferedReader, size: int) -> None:
    """Read the instructions without running them.

    Raises:
        ValueError: Where the bytes are no instructions, or claim more than there is.
    """
    bounded = _Bounded(file, size)
    for opcode, argument, _ in pickletools.genops(bounded):  # type: ignore[arg-type]
        claimed = argument if isinstance(argument, int) else 0
        if opcode.name == "FRAME":
            bounded.require(claimed)
        elif opcode.name in ("PUT", "LONG_BINPUT") and claimed > size:
            raise ValueError(f"it claims to remember {claimed} objects")
