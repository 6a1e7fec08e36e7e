"""The client's own library of linear algebra, installed and called, against numpy within 1e-4."""

import numpy as np
import pytest
import tinychain as tc
from tinychain import URI
from tinychain.json import to_json
from tinychain.math.linalg import LinearAlgebra, norm

from sample_services import path
from sample_tensors import check, dense, number, of, read, sample
from support import client_error

CLOSE = 1e-4
FLOATS = pytest.mark.parametrize("dtype", ["float32", "float64"])


class Library:
    """Calls of the installed library."""

    def __init__(self, host):
        self.host = host
        # The client writes this library in one of several ways each time, all with the same meaning.
        self.definition = to_json(LinearAlgebra())
        self.version = URI(LinearAlgebra)[-1]
        host.create_namespace(URI(LinearAlgebra)[:-1])
        self.install()

    def install(self):
        self.host.put(URI(LinearAlgebra)[:-1], self.version, self.definition)

    def call(self, name, **params):
        sent = {key: dense(value) if isinstance(value, np.ndarray) else value for key, value in params.items()}
        return self.host.post(path(LinearAlgebra, name), sent)


@pytest.fixture(scope="module")
def linalg(patient):
    return Library(patient.client())


def matrix(rows, columns, seed=0):
    """A matrix that is far from singular, and in which no pivot is close to zero."""

    array = np.random.default_rng([11, rows, columns, seed]).uniform(-1, 1, (rows, columns))
    return array + 2 * np.eye(rows, columns)


def near(got, want):
    np.testing.assert_allclose(got, want, rtol=CLOSE, atol=CLOSE)


def test_the_library_can_be_installed_again(linalg):
    linalg.install()
    assert linalg.host.get("/lib/math/linalg") == [{"0.0.0": []}]


# --- norms and diagonals, which need no library -----------------------------------------------------------------


@FLOATS
@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 2)], ids=str)
def test_norm(host, shape, dtype):
    array = sample(dtype, shape)
    check(of(host, norm, array), float(np.sqrt((array.astype("float64") ** 2).sum())), rounding=CLOSE)


# --- factors ----------------------------------------------------------------------------------------------------


@FLOATS
@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (4, 4), (3, 2), (2, 3), (3, 5)], ids=str)
def test_qr(linalg, shape, dtype):
    a = matrix(*shape).astype(dtype)
    q, r = (read(part) for part in linalg.call("qr", a=a))
    rows, columns = shape
    assert q.dtype == r.dtype == np.float64
    assert q.shape == (rows, rows) and r.shape == shape
    near(q @ r, a)
    # of a tall matrix, only as many columns are there as it has
    rank = min(shape)
    near(q[:, :rank].T @ q[:, :rank], np.eye(rank))
    near(np.tril(r, -1), np.zeros(shape))
    near(np.diag(r), np.abs(np.diag(np.linalg.qr(a.astype("float64"))[1])))


@FLOATS
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_plu(linalg, size, dtype):
    x = matrix(size, size).astype(dtype)
    reply = linalg.call("plu", x=x)
    assert set(reply) == {"p", "l", "u", "num_permutations", "i"}
    p, l, u = (read(reply[name]) for name in "plu")
    near(p @ x, l @ u)
    near(p, np.eye(size))
    near(np.diag(l), np.ones(size))
    near(np.triu(l, 1), np.zeros((size, size)))
    near(np.tril(u, -1), np.zeros((size, size)))
    assert (reply["num_permutations"], reply["i"]) == (0, size - 1)
    # the tensor that was sent is not what is written to
    near(u[0], x[0])


def test_plu_with_a_pivot_of_zero(linalg):
    x = np.array([[0.0, 2.0, 1.0], [1.0, 1.0, 3.0], [2.0, 5.0, 1.0]])
    reply = linalg.call("plu", x=x)
    p, l, u = (read(reply[name]) for name in "plu")
    near(p @ x, l @ u)
    near(p, np.eye(3)[[1, 0, 2]])
    assert reply["num_permutations"] == 1


@FLOATS
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_det(linalg, size, dtype):
    x = matrix(size, size).astype(dtype)
    near(number(linalg.call("det", x=x)), np.linalg.det(x.astype("float64")))


def test_det_with_a_pivot_of_zero(linalg):
    x = np.array([[0.0, 2.0], [3.0, 1.0]])
    near(number(linalg.call("det", x=x)), -6.0)


@pytest.mark.parametrize("name,param", [("det", "x"), ("plu", "x")])
@pytest.mark.parametrize("shape", [(2, 3), (2, 2, 2)], ids=str)
def test_what_is_no_square_matrix(linalg, name, param, shape):
    with pytest.raises(tc.error.BadRequest) as raised:
        linalg.call(name, **{param: sample("float64", shape)})
    assert "square matrix" in client_error(raised.value, "bad_request")


@FLOATS
@pytest.mark.parametrize("batch", [(1,), (3,), (2, 2)], ids=str)
def test_slogdet(linalg, batch, dtype):
    matrices = [matrix(3, 3, seed) * (-1 if seed % 2 else 1) for seed in range(int(np.prod(batch)))]
    x = np.array(matrices).reshape(*batch, 3, 3).astype(dtype)
    signs, logs = (read(part) for part in linalg.call("slogdet", x=x))
    assert signs.dtype == logs.dtype == np.float32
    want_signs, want_logs = np.linalg.slogdet(x.astype("float64"))
    near(signs, want_signs)
    near(logs, want_logs)


@FLOATS
@pytest.mark.parametrize("values", [[3, 4, 0], [-1, 2, 2], [0.5, -0.25, 1, 3], [0, 1]], ids=str)
def test_householder(linalg, values, dtype):
    """The reflection that turns a vector into a multiple of the first axis."""

    x = np.array(values, dtype)
    v, tau = linalg.call("householder", x=x)
    v, tau = read(v).astype("float64"), number(tau)
    if x[0] > 0:
        # The client sends the inverse of the quotient that it means: (alpha + t) * (-s)**-1.
        rest = float((x[1:].astype("float64") ** 2).sum())
        first = (float(x[0]) + float(np.linalg.norm(x))) / -rest
        near(v, np.concatenate([[1.0], x[1:] / first]))
        near(tau, 2 * first**2 / (rest + first**2))
        return
    reflection = np.eye(len(x)) - tau * np.outer(v, v)
    near(reflection @ x, np.linalg.norm(x) * np.eye(len(x))[0])


# --- singular values --------------------------------------------------------------------------------------------


def of_values(rows, columns, values, seed=0):
    """A matrix with these singular values."""

    rng = np.random.default_rng([12, rows, columns, seed])
    left = np.linalg.qr(rng.standard_normal((rows, rows)))[0][:, : len(values)]
    right = np.linalg.qr(rng.standard_normal((columns, columns)))[0][: len(values)]
    return left @ np.diag(values) @ right


def svd(linalg, a, rank):
    return [read(part) for part in linalg.call("svd", A=a, l=rank, epsilon=1e-7, max_iter=30)]


@FLOATS
@pytest.mark.parametrize("shape,values", [((3, 2), [4, 1]), ((5, 3), [9, 3, 1]), ((4, 1), [2])], ids=str)
def test_svd_of_a_tall_matrix(linalg, shape, values, dtype):
    a = of_values(*shape, values).astype(dtype)
    left, singular, right = svd(linalg, a, len(values))
    assert left.shape == shape and singular.shape == (shape[1],) and right.shape == (shape[1], shape[1])
    near(singular, np.linalg.svd(a.astype("float64"))[1])
    near(left @ np.diag(singular) @ right, a)
    near(right @ right.T, np.eye(shape[1]))


def test_svd_of_a_wide_matrix(linalg):
    """The library gives the singular values; what it calls the vectors is of another matrix."""

    a = of_values(2, 4, [5, 1])
    near(svd(linalg, a, 2)[1], [5, 1])


def test_svd_of_a_symmetric_matrix(linalg):
    """Of a square matrix, the library takes the eigenvalues."""

    vectors = np.linalg.qr(np.random.default_rng(13).standard_normal((3, 3)))[0]
    a = vectors @ np.diag([6.0, 2.0, 0.5]) @ vectors.T
    near(svd(linalg, a, 3)[1], np.linalg.svd(a)[1])


def test_svd_of_a_batch(linalg):
    a = np.array([of_values(3, 2, [4, 1], seed) for seed in range(3)])
    left, singular, right = svd(linalg, a, 2)
    assert left.shape == (3, 3, 2) and singular.shape == (3, 2) and right.shape == (3, 2, 2)
    near(singular, np.linalg.svd(a)[1])
    for at in range(3):
        near(left[at] @ np.diag(singular[at]) @ right[at], a[at])
