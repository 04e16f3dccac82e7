"""Requests of several threads that run as one batch: everybody gets their own answers, and a fault stays with its owner."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pan_core.runtimes.batching import BatchingSession
from pan_core.runtimes.onnx_batch import free_batch
from pan_core.runtimes.onnx_session import OnnxSession


def model(*nodes, rows="n", width=3, outputs=("y",)):
    """An ONNX model from x, (rows, width) float32, to its outputs."""
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, width])
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, None]) for name in outputs]
    graph = helper.make_graph(list(nodes), "test", [source], given)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


DOUBLED = helper.make_node("Add", ["x", "x"], ["y"])


class Watched:
    """A real session that notes the sizes of its batches, and can be held up while requests gather."""

    def __init__(self, content=None):
        self.session = OnnxSession(content or model(DOUBLED))
        self.inputs, self.outputs, self.shapes = self.session.inputs, self.session.outputs, self.session.shapes
        self.sizes, self.go = [], threading.Event()
        self.go.set()

    def run(self, feeds, wanted):
        self.go.wait(20)
        self.sizes.append(len(feeds["x"]))
        if (feeds["x"] < 0).any():
            raise RuntimeError("a number below 0")
        return self.session.run(feeds, wanted)


def ask(session, value, width=3):
    return session.run({"x": np.full((1, width), value, np.float32)}, ["y"])[0]


def gather(session, watched, values, width=3):
    """Answers to requests of which all but the first come while the network is busy with that one."""
    watched.go.clear()
    watched.sizes.clear()
    with ThreadPoolExecutor(len(values)) as pool:
        asked = [pool.submit(ask, session, values[0], width)]
        while not session.busy:
            pass
        asked += [pool.submit(ask, session, value, width) for value in values[1:]]
        while session.waiting < len(values) - 1:
            pass
        watched.go.set()
    return asked


@pytest.fixture
def watched():
    return Watched()


def test_requests_that_come_while_the_network_is_busy_are_one_batch(watched):
    session = BatchingSession(watched)
    ask(session, 0)
    asked = gather(session, watched, [1, 2, 3, 4, 5])
    assert watched.sizes == [1, 4]
    assert [each.result().tolist() for each in asked] == [[[2.0 * value] * 3] for value in (1, 2, 3, 4, 5)]


def test_batches_are_powers_of_two_and_not_larger_than_allowed(watched):
    session = BatchingSession(watched, most=4)
    ask(session, 0)
    asked = gather(session, watched, list(range(1, 9)))
    assert sorted(watched.sizes, reverse=True) == [4, 2, 1, 1]
    assert [each.result()[0, 0] for each in asked] == [2.0 * value for value in range(1, 9)]


def test_one_caller_alone_waits_for_nobody(watched):
    session = BatchingSession(watched)
    for value in range(5):
        assert ask(session, value)[0, 0] == 2 * value
    assert watched.sizes == [1, 1, 2, 1, 1, 1, 1]  # the first request, and what shows that pairs have the same answers


def test_a_fault_reaches_only_the_caller_whose_it_is(watched):
    session = BatchingSession(watched)
    ask(session, 0)
    asked = gather(session, watched, [1, 2, -1, 4, 5])
    assert [each.result()[0, 0] for number, each in enumerate(asked) if number != 2] == [2.0, 4.0, 8.0, 10.0]
    with pytest.raises(RuntimeError, match="below 0"):
        asked[2].result()
    assert ask(session, 7)[0, 0] == 14  # and the network goes on


def test_requests_of_other_shapes_do_not_meet(watched):
    content = model(helper.make_node("Add", ["x", "x"], ["y"]), width=None)
    watched.session = OnnxSession(content)
    session = BatchingSession(watched)
    ask(session, 0)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, session, value, width=2 + value % 2) for value in range(40)]
    assert [each.result().tolist() for each in asked] == [[[2.0 * value] * (2 + value % 2)] for value in range(40)]


@pytest.mark.parametrize(
    "nodes",
    [
        # What every row is depends on the others: a mean over the batch.
        [helper.make_node("ReduceMean", ["x"], ["m"], axes=[0]), helper.make_node("Add", ["x", "m"], ["y"])],
        # One row comes out, however many go in.
        [helper.make_node("ReduceMax", ["x"], ["y"], axes=[0])],
    ],
)
def test_a_network_that_mixes_its_pictures_is_run_one_by_one(nodes):
    watched = Watched(model(*nodes))
    session = BatchingSession(watched)
    ask(session, 1)
    asked = gather(session, watched, [1, 2, 3, 4, 5])
    assert watched.sizes == [1] * 5
    alone = OnnxSession(model(*nodes))
    for value, each in zip([1, 2, 3, 4, 5], asked, strict=True):
        np.testing.assert_array_equal(each.result(), ask(alone, value))


def mixes_rows_of(width):
    """Doubles what it is given, but adds the mean over the batch to rows of one width."""
    numbers = {"axis": np.array(1), "width": np.array(width)}
    constants = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value.astype(np.int64)))
        for name, value in numbers.items()
    ]
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "axis"], ["columns"]),
        helper.make_node("Equal", ["columns", "width"], ["mixes"]),
        helper.make_node("Cast", ["mixes"], ["share"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[0]),
        helper.make_node("Mul", ["m", "share"], ["more"]),
        helper.make_node("Add", ["x", "x"], ["doubled"]),
        helper.make_node("Add", ["doubled", "more"], ["y"]),
    ]
    return model(*constants, *nodes, width=None)


@pytest.mark.parametrize("first", [3, 4])
def test_a_network_that_mixes_pictures_of_one_shape_runs_the_others_together(first):
    """Whichever of the two shapes is asked for first."""
    watched = Watched(mixes_rows_of(4))
    session = BatchingSession(watched)
    for width in (first, 7 - first):
        ask(session, 1, width)
    asked = gather(session, watched, [1, 2, 3, 4, 5])
    assert watched.sizes == [1, 4]
    assert [each.result()[0, 0] for each in asked] == [2, 4, 6, 8, 10]
    asked = gather(session, watched, [1, 2, 3, 4, 5], width=4)
    assert watched.sizes == [1] * 5
    assert [each.result()[0, 0] for each in asked] == [3, 6, 9, 12, 15]


def test_a_network_for_one_picture_is_run_one_by_one():
    watched = Watched(model(DOUBLED, rows=1))
    session = BatchingSession(watched)
    ask(session, 1)
    assert [each.result()[0, 0] for each in gather(session, watched, [1, 2, 3])] == [2, 4, 6]
    assert watched.sizes == [1, 1, 1]


def test_a_model_for_one_picture_takes_several_once_its_batch_is_free():
    """Reshape and Resize have the number of pictures in their constants."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [4], [1, 1, 2, 2])
    sizes = helper.make_tensor("sizes", TensorProto.INT64, [4], [1, 1, 4, 4])
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["square"]),
        helper.make_node("Resize", ["square", "", "", "sizes"], ["y"], mode="nearest"),
    ]
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    given = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 4, 4])
    graph = helper.make_graph(nodes, "test", [source], [given], [shape, sizes])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    freed = free_batch(proto.SerializeToString())
    onnx.checker.check_model(onnx.load_from_string(freed), full_check=True)
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    (got,) = OnnxSession(freed).run({"x": rows}, ["y"])
    assert got[:, 0].tolist() == [np.kron(row.reshape(2, 2), np.ones((2, 2))).tolist() for row in rows]


def test_a_model_whose_batch_is_free_stays_as_it_is():
    content = model(DOUBLED)
    assert onnx.load_from_string(free_batch(content)) == onnx.load_from_string(content)
