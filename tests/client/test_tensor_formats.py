"""Tensors as files of NumPy and as streams of Arrow, in both directions, over raw HTTP."""

import io
import json
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pytest
import requests

from sample_services import raw
from support import DEADLINE, HYPOTHETICAL, V, error_of

ARROW = "application/vnd.apache.arrow.stream"
NPY = "application/x-npy"
OTHER_NPY = "application/vnd.numpy.npy"
T = "/state/collection/tensor/"

# What NumPy calls each dtype, and the path of its class below that of numbers.
DTYPES = {
    "|b1": "bool",
    "|u1": "uint/8",
    "<u2": "uint/16",
    "<u4": "uint/32",
    "<u8": "uint/64",
    "<i2": "int/16",
    "<i4": "int/32",
    "<i8": "int/64",
    "<f4": "float/32",
    "<f8": "float/64",
    "<c8": "complex/32",
    "<c16": "complex/64",
}
SHAPES = [(5,), (4, 3), (2, 3, 4)]


def class_of(dtype):
    return V + "number/" + DTYPES[np.dtype(dtype).newbyteorder("=").str]


def sample(dtype, shape):
    """An array whose elements differ, with the extremes of the dtype among them."""

    dtype = np.dtype(dtype)
    size = int(np.prod(shape))
    array = np.arange(size) % 2 if dtype.kind == "b" else np.arange(size)
    array = array.astype(dtype)
    if dtype.kind in "iu":
        array[0], array[-1] = np.iinfo(dtype).min, np.iinfo(dtype).max
    elif dtype.kind == "f":
        array[0], array[-1] = -0.5, np.inf
    elif dtype.kind == "c":
        array[0], array[-1] = 0.5 - 2j, 1j
    return array.reshape(shape)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def to_arrow(table):
    file = io.BytesIO()
    with pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    return file.getvalue()


def column(array):
    """An array as a table with one column, the rows of which follow each other along the first axis."""

    parts = array.real.dtype if array.dtype.kind == "c" else array.dtype
    flat = array.view(parts).reshape(*array.shape, 2) if array.dtype.kind == "c" else array
    values = pa.array(flat) if flat.ndim == 1 else pa.FixedShapeTensorArray.from_numpy_ndarray(flat)
    metadata = {"tinychain:class": class_of(array.dtype)} if array.dtype.kind == "c" else None
    return pa.table([values], schema=pa.schema([pa.field("value", values.type, metadata=metadata)]))


def array_of(table, dtype):
    """The array that a stream of one column is."""

    values = table["value"].combine_chunks()
    if not isinstance(values, pa.FixedShapeTensorArray):
        return values.to_numpy(zero_copy_only=False)
    if pa.types.is_boolean(values.type.value_type):
        flat = values.storage.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(values), *values.type.shape)
    array = values.to_numpy_ndarray()
    return array.view(dtype)[..., 0] if np.dtype(dtype).kind == "c" else array


class Grid:
    """A tensor that a service keeps."""

    def __init__(self, host, url, dtype, shape, layout="dense"):
        schema = [[{class_of(dtype): {}}, list(shape)]]
        everything = {"$self/grid": [None]}
        fill = {"/state/scalar/ref/after": [{"$self/grid": [[0], {"$value": []}]}, everything]}
        service = raw(
            host,
            {
                "grid": {"/state/chain/sync": [{T + layout: schema}]},
                "fill": {"/state/scalar/op/post": [["_return", fill]]},
                "tell": {
                    "/state/scalar/op/post": [
                        ["_return", {"/state/scalar/ref/after": [{"$self/grid": [[0], {"$value": []}]}, 1]}]
                    ]
                },
            },
        )
        self.service, self.url, self.dtype = url + service, url + service + "/grid", np.dtype(dtype)

    def get(self, accept=NPY, key=None, **kwargs):
        params = {} if key is None else {"key": json.dumps(key)}
        headers = {} if accept is None else {"accept": accept}
        return requests.get(self.url, params=params, headers=headers, timeout=DEADLINE, **kwargs)

    def put(self, body, content_type=NPY, key=None):
        params = {} if key is None else {"key": json.dumps(key)}
        headers = {"content-type": content_type}
        return requests.put(self.url, params=params, data=body, headers=headers, timeout=DEADLINE)

    def post(self, method, value, accept):
        body = json.dumps({"value": value})
        return requests.post(f"{self.service}/{method}", data=body, headers={"accept": accept}, timeout=DEADLINE)

    def array(self, **kwargs):
        return array_from(self.get(**kwargs))

    def json(self):
        ((_, (_, elements)),) = self.get(accept=None).json().items()
        return elements


@pytest.fixture
def grid(host, url):
    return lambda dtype, shape, layout="dense": Grid(host, url, dtype, shape, layout)


def array_from(response):
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == NPY
    assert int(response.headers["content-length"]) == len(response.content)
    return np.load(io.BytesIO(response.content), allow_pickle=False)


def table_from(response):
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == ARROW
    with pa.ipc.open_stream(io.BytesIO(response.content)) as stream:
        return stream.read_all()


def equal(got, want):
    assert got.dtype == want.dtype and got.shape == want.shape, (got.dtype, got.shape)
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, want)


def written(response):
    assert (response.status_code, response.text) == (200, "null\n")


def program(url, steps, accept):
    body = json.dumps({"op": steps})
    return requests.post(url + HYPOTHETICAL, data=body, headers={"accept": accept}, timeout=DEADLINE)


def loaded(array):
    """The call that makes a dense tensor."""

    return {T + "dense/load": [[[{class_of(array.dtype): {}}, list(array.shape)], array.ravel().tolist()]]}


# --- NumPy ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_file_comes_back(grid, dtype, shape):
    kept, array = grid(dtype, shape), sample(dtype, shape)
    equal(kept.array(), np.zeros(shape, dtype))
    written(kept.put(npy(array)))
    equal(kept.array(), array)


def test_a_file_is_that_of_numpy(grid):
    kept, array = grid("<f8", (2, 3)), sample("<f8", (2, 3))
    written(kept.put(npy(array)))
    assert kept.get().content == npy(array)


def test_the_elements_are_those_in_json(grid):
    kept = grid("<i4", (2, 3))
    written(kept.put(npy(np.array([[1, -2, 3], [4, 5, -6]], "<i4"))))
    assert kept.json() == [1, -2, 3, 4, 5, -6]


@pytest.mark.parametrize("name", [NPY, OTHER_NPY])
def test_both_names_are_known(grid, name):
    kept, array = grid("<u2", (3,)), sample("<u2", (3,))
    written(kept.put(npy(array), content_type=name))
    response = kept.get(accept=name)
    assert response.headers["content-type"] == name
    equal(np.load(io.BytesIO(response.content)), array)


@pytest.mark.parametrize("dtype", DTYPES)
def test_column_major_order_is_transposed(grid, dtype):
    kept, array = grid(dtype, (2, 3, 4)), sample(dtype, (2, 3, 4))
    body = npy(np.asfortranarray(array))
    assert b"'fortran_order': True" in body
    written(kept.put(body))
    equal(kept.array(), array)


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if not dtype.startswith("|")])
def test_other_orders_of_bytes_are_swapped(grid, dtype):
    kept, array = grid(dtype, (4, 3)), sample(dtype, (4, 3))
    body = npy(array.astype(dtype.replace("<", ">")))
    assert b"'descr': '>" in body
    written(kept.put(body))
    equal(kept.array(), array)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)], ids=str)
def test_all_versions_are_read(grid, version):
    kept, array, file = grid("<f4", (2, 2)), sample("<f4", (2, 2)), io.BytesIO()
    np.lib.format.write_array(file, array, version=version)
    written(kept.put(file.getvalue()))
    equal(kept.array(), array)


def test_parts_are_read_and_written(grid):
    kept, array = grid("<i8", (3, 4)), np.zeros((3, 4), "<i8")
    written(kept.put(npy(np.array([5, 6, 7, 8], "<i8")), key=[1]))
    array[1] = [5, 6, 7, 8]
    equal(kept.array(), array)
    written(kept.put(npy(np.array([9, 9, 9], "<i8")), key=[None, 0]))
    array[:, 0] = 9
    equal(kept.array(), array)
    equal(kept.array(key=[1]), array[1])
    equal(kept.array(key=[None, [["in", 1], ["ex", 3]]]), np.ascontiguousarray(array[:, 1:3]))


def test_what_is_written_is_cast_and_broadcast(grid):
    kept = grid("<f4", (2, 3))
    written(kept.put(npy(np.array([1, 2, 3], "<i8"))))
    equal(kept.array(), np.array([[1, 2, 3], [1, 2, 3]], "<f4"))


def test_a_file_without_dimensions_is_a_number(grid):
    kept = grid("<f8", (2, 2))
    written(kept.put(npy(np.float64(2.5)), key=[0, 1]))
    equal(kept.array(), np.array([[0, 2.5], [0, 0]]))


def test_results_of_programs(url):
    left, right = sample("<f8", (50, 40)), sample("<f8", (40, 3))
    left[-1, -1] = right[-1, -1] = 0
    steps = [["l", loaded(left)], ["r", loaded(right)], ["p", {"$l/matmul": {"r": {"$r": []}}}]]
    got = array_from(program(url, steps, NPY))
    assert got.dtype == np.float64 and got.shape == (50, 3)
    np.testing.assert_allclose(got, left @ right, rtol=1e-12)
    steps[-1] = ["s", {"$l/add": {"r": 1}}]
    equal(array_from(program(url, steps, NPY)), left + 1)
    steps[-1] = ["t", {"$l/transpose": [[1, 0]]}]
    equal(array_from(program(url, steps, NPY)), np.ascontiguousarray(left.T))


def test_what_a_post_writes_is_committed(grid):
    kept = grid("<i4", (2, 2))
    expected = np.array([[7, 7], [0, 0]], "<i4")
    equal(array_from(kept.post("fill", 7, NPY)), expected)
    equal(kept.array(), expected)


def test_what_is_refused_is_not_committed(grid):
    kept = grid("<i4", (2, 2))
    message = error_of(kept.post("tell", 7, NPY), 400, "bad_request")
    assert message.startswith("only a tensor is sent as a .npy file, not a")
    equal(kept.array(), np.zeros((2, 2), "<i4"))


# --- Arrow ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_dense_tensor_is_a_column(grid, dtype, shape):
    kept, array = grid(dtype, shape), sample(dtype, shape)
    written(kept.put(to_arrow(column(array)), content_type=ARROW))
    equal(kept.array(), array)
    table = table_from(kept.get(ARROW))
    assert json.loads(table.schema.metadata[b"tinychain:shape"]) == list(shape)
    assert table.schema.field("value").metadata[b"tinychain:class"].decode() == class_of(dtype)
    assert not table.schema.field("value").nullable
    equal(array_of(table, dtype), array)
    written(kept.put(npy(np.zeros(shape, dtype))))
    written(kept.put(to_arrow(table), content_type=ARROW))
    equal(kept.array(), array)


def test_a_column_is_read_without_a_copy(grid):
    kept, array = grid("<f8", (4, 2, 3)), sample("<f8", (4, 2, 3))
    written(kept.put(npy(array)))
    table = table_from(kept.get(ARROW))
    assert table.schema.field("value").type == pa.fixed_shape_tensor(pa.float64(), [2, 3])
    values = table["value"].chunk(0)
    got = values.to_numpy_ndarray()
    assert got.ctypes.data == values.storage.flatten().buffers()[1].address
    equal(got, array)


def test_lists_of_lists_are_a_tensor(grid):
    kept = grid("<i2", (2, 2, 3))
    rows = np.arange(12).reshape(2, 2, 3).tolist()
    values = pa.array(rows, pa.list_(pa.list_(pa.int16(), 3), 2))
    written(kept.put(to_arrow(pa.table({"x": values})), content_type=ARROW))
    equal(kept.array(), np.arange(12, dtype="<i2").reshape(2, 2, 3))


def test_a_permutation_is_transposed(grid):
    kept, array = grid("<f8", (2, 4, 3)), sample("<f8", (2, 3, 4)).transpose(0, 2, 1)
    values = pa.FixedShapeTensorArray.from_numpy_ndarray(array)
    assert values.type.permutation == [1, 0]
    written(kept.put(to_arrow(pa.table({"x": values})), content_type=ARROW))
    equal(kept.array(), np.ascontiguousarray(array))


def test_a_stream_has_as_many_batches_as_it_likes(grid):
    kept, array = grid("<u4", (6, 2)), sample("<u4", (6, 2))
    table = pa.concat_tables([column(array[:1]), column(array[1:4]), column(array[4:])])
    assert table["value"].num_chunks == 3
    written(kept.put(to_arrow(table), content_type=ARROW))
    equal(kept.array(), array)


def entries(shape, coords, values, dtype):
    """A sparse tensor as a table."""

    array = np.array(values, dtype)
    axes = [pa.array(np.array(axis, "<u8")) for axis in zip(*coords)]
    if array.dtype.kind == "c":
        values = pa.FixedSizeListArray.from_arrays(pa.array(array.view(array.real.dtype)), 2)
    else:
        values = pa.array(array)
    fields = [pa.field(f"axis_{n}", pa.uint64()) for n in range(len(axes))]
    fields.append(pa.field("value", values.type, metadata={"tinychain:class": class_of(dtype)}))
    schema = pa.schema(fields, metadata={"tinychain:shape": json.dumps(shape)})
    return pa.table([*axes, values], schema=schema)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sparse_tensor_is_a_table(grid, dtype):
    shape, coords = [1_000_000, 3, 2], [(999_999, 2, 1), (0, 0, 1), (5, 1, 0)]
    values = [True] * 3 if dtype == "|b1" else [3, 1, 2]
    kept = grid(dtype, shape, "sparse")
    written(kept.put(to_arrow(entries(shape, coords, values, dtype)), content_type=ARROW))
    table = table_from(kept.get(ARROW))
    assert table.column_names == ["axis_0", "axis_1", "axis_2", "value"]
    assert table.schema.types[:3] == [pa.uint64()] * 3
    assert json.loads(table.schema.metadata[b"tinychain:shape"]) == shape
    assert table.schema.field("value").metadata[b"tinychain:class"].decode() == class_of(dtype)
    got = list(zip(*(table[f"axis_{n}"].to_pylist() for n in range(3))))
    order = sorted(range(3), key=lambda at: coords[at])
    assert got == [coords[at] for at in order]
    expected = np.array(values, dtype)[order]
    flat = table["value"].combine_chunks()
    flat = flat.flatten() if expected.dtype.kind == "c" else flat
    np.testing.assert_array_equal(flat.to_numpy(zero_copy_only=False).view(dtype), expected)


def test_an_empty_sparse_tensor_has_no_rows(grid):
    table = table_from(grid("<f8", (4, 5), "sparse").get(ARROW))
    assert (table.num_rows, table.column_names) == (0, ["axis_0", "axis_1", "value"])


def test_a_sparse_tensor_becomes_dense_first(grid, url):
    kept = grid("<i4", (2, 3), "sparse")
    written(kept.put(to_arrow(entries([2, 3], [(1, 2)], [4], "<i4")), content_type=ARROW))
    assert "ask for its method dense first" in error_of(kept.get(NPY), 400, "bad_request")
    response = requests.get(kept.url + "/dense", headers={"accept": NPY}, timeout=DEADLINE)
    equal(array_from(response), np.array([[0, 0, 0], [0, 0, 4]], "<i4"))


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array",
    [np.zeros(2, "<f2"), np.zeros(2, "i1"), np.zeros(2, np.longdouble), np.zeros(2, "S3"), np.zeros(2, "<M8[s]")],
    ids=lambda array: array.dtype.str,
)
def test_dtypes_that_tensors_lack(grid, array):
    message = error_of(grid("<f4", (2,)).put(npy(array)), 400, "bad_request")
    assert message.startswith(f"{array.dtype.str} is no dtype of a tensor: expected one of |b1, |u1, <u2")


def test_bodies_that_are_no_file(grid):
    kept, whole = grid("<f4", (2,)), npy(np.zeros(2, "<f4"))
    for body, message in [
        (b"", "the body is no .npy file"),
        (b"[1, 2]", "the body is no .npy file"),
        (whole[:50], "the .npy file ends in its header"),
        (whole[:-1], "expected 8 bytes after the header of the .npy file, found 7"),
        (whole + b"\0", "expected 8 bytes after the header of the .npy file, found 9"),
        (npy(np.zeros(2, [("a", "<f4")])), "a tensor has no fields"),
        (npy(np.zeros((0, 2), "<f4")), "0 is no dimension of a tensor"),
    ]:
        assert message in error_of(kept.put(body), 400, "bad_request")
    equal(kept.array(), np.zeros(2, "<f4"))


def test_arrays_that_do_not_fit(grid):
    kept = grid("<f4", (2, 3))
    message = error_of(kept.put(npy(np.zeros((3, 2), "<f4"))), 400, "bad_request")
    assert message == "cannot write a tensor of shape [3, 2] to a part of shape [2, 3]"
    sparse = grid("<f4", (2, 3), "sparse")
    assert "dense" in error_of(sparse.put(npy(np.zeros((2, 3), "<f4"))), 400, "bad_request")


def test_bodies_that_are_no_tensor_of_arrow(grid):
    kept, whole = grid("<f4", (2,)), to_arrow(pa.table({"x": pa.array([1.0, 2.0])}))
    compressed = io.BytesIO()
    table = pa.table({"x": pa.array(np.zeros(1000))})
    with pa.ipc.new_stream(compressed, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
        stream.write_table(table)
    for body, message in [
        (b"", "the body is no Arrow stream"),
        (b"[1, 2]", "the body is no Arrow stream"),
        (whole[:-20], "the body is no Arrow stream"),
        (compressed.getvalue(), "the Arrow stream is compressed"),
        (to_arrow(pa.table({"x": pa.array(["a", "b"])})), "a tensor has no elements of type Utf8"),
        (to_arrow(pa.table({"x": pa.array([1, 2], pa.int8())})), "a tensor has no elements of type Int8"),
        (to_arrow(pa.table({"x": pa.array([1.0, None])})), "a tensor has no nulls"),
        (to_arrow(pa.table({"x": [1], "y": [2.0]})), "whose shape is the metadata tinychain:shape"),
    ]:
        assert message in error_of(kept.put(body, content_type=ARROW), 400, "bad_request")
    sparse = grid("<f4", (2, 3), "sparse")
    for table, message in [
        (entries([2, 3], [(2, 0)], [1], "<f4"), "a tensor of shape [2, 3] has no element at 2 of axis 0"),
        (entries([2, 3], [(1, 0), (1, 0)], [1, 2], "<f4"), "the sparse tensor has two elements at [1, 0]"),
        (entries([2], [(1, 0)], [1], "<f4"), "the entries of a tensor of shape [2] have 2 columns, not 3"),
    ]:
        assert message in error_of(sparse.put(to_arrow(table), content_type=ARROW), 400, "bad_request")


def test_other_results_have_no_such_form(url):
    for steps, message in [
        ([["x", 1]], "only a tensor is sent as a .npy file"),
        ([["x", [1, 2]]], "only a tensor is sent as a .npy file"),
        ([["x", {"/state/collection/btree": [[["n", {V + "number/uint/64": {}}]]]}]], "only a tensor is sent as a .npy file"),
    ]:
        assert message in error_of(program(url, steps, NPY), 400, "bad_request")
    large = {T + "dense/constant": [[[2, 20_000_000], 1.0]]}
    message = error_of(program(url, [["x", large]], ARROW), 413, "payload_too_large")
    assert "reshape it, or ask for application/x-npy" in message


def test_a_document_is_sent_to_who_likes_that_better(grid):
    kept = grid("<i4", (2,))
    response = kept.get(accept=f"{NPY};q=0.5, application/json")
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("content_type", [NPY, ARROW])
def test_such_a_body_is_the_value_of_a_put(url, content_type):
    body = npy(np.zeros(2)) if content_type == NPY else to_arrow(column(np.zeros(2)))
    headers = {"content-type": content_type}
    for path in (HYPOTHETICAL, T + "dense/load"):
        response = requests.post(url + path, data=body, headers=headers, timeout=DEADLINE)
        assert error_of(response, 400, "bad_request") == f"a body of type {content_type} is the value of a PUT"


# --- limits -----------------------------------------------------------------------------------------------------


def test_a_body_has_the_limit_of_all_bodies(spawn):
    process = spawn("--max_body_size=4K")
    kept = Grid(process.client(), process.url, "<f8", (1000,))
    message = error_of(kept.put(npy(np.ones(1000))), 413, "payload_too_large")
    assert message == "the body is larger than 4000 bytes"
    written(kept.put(npy(np.ones(400)), key=[[["in", 0], ["ex", 400]]]))
    equal(kept.array(), np.repeat([1.0, 0.0], [400, 600]))


def test_a_large_body(grid):
    kept = grid("<f8", (1000, 1500))
    array = np.random.default_rng(7).standard_normal((1000, 1500))
    written(kept.put(npy(array)))
    equal(kept.array(), array)
    equal(array_of(table_from(kept.get(ARROW)), "<f8"), array)


def peak(process):
    """The most memory that a host has taken, in bytes."""

    status = pathlib.Path(f"/proc/{process.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("accept", [NPY, ARROW])
def test_a_tensor_is_sent_in_little_memory(spawn, accept):
    process = spawn()
    url, columns = process.url + T + "dense/constant", 500_000

    def received(rows):
        params = {"key": json.dumps([[rows, columns], 1.5])}
        with requests.get(url, params=params, headers={"accept": accept}, stream=True, timeout=DEADLINE) as response:
            assert response.status_code == 200, response.text
            return sum(len(chunk) for chunk in response.iter_content(1 << 20))

    def size(rows):
        return rows * columns * 8

    assert size(1) < received(1) < size(1) + 4096
    before = peak(process)
    assert size(100) < received(100) < size(100) + 100 * 4096
    assert peak(process) - before < size(100) // 4
