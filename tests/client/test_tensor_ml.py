"""The client's own neural nets and optimizers, installed and run.

The client makes weights anew wherever it differentiates, so that nothing is learned, and results are random. What can be
said of them is their form, and what does not depend on the weights.
"""

import numpy as np
import pytest
import tinychain as tc
from tinychain.service import Library, library_uri

from sample_services import path
from sample_tensors import check, dense, read, sample

Tensor = tc.tensor.Tensor
BATCH = 6


class Models(Library):
    """Layers, nets and optimizers, each in an op of its own."""

    __uri__ = library_uri(None, "/models", "all", "0.0.0")

    @tc.post
    def linear(self, cxt, inputs: Tensor) -> Tensor:
        cxt.layer = tc.ml.nn.Linear.create(2, 1)
        return cxt.layer.eval(inputs)

    @tc.post
    def sigmoid(self, cxt, inputs: Tensor) -> Tensor:
        cxt.layer = tc.ml.nn.Linear.create(2, 3, tc.ml.sigmoid)
        return cxt.layer.eval(inputs)

    @tc.post
    def gradients(self, cxt, inputs: Tensor, loss: Tensor) -> tc.Tuple:
        cxt.layer = tc.ml.nn.Linear.create(2, 1)
        cxt.grads = cxt.layer.gradient(inputs, loss)
        return cxt.grads["weights"], cxt.grads["bias"]

    @tc.post
    def sequential(self, inputs: Tensor) -> Tensor:
        layers = [tc.ml.nn.Linear.create(2, 3), tc.ml.nn.Linear.create(3, 1)]
        return tc.ml.nn.Sequential(layers).eval(inputs)

    @tc.post
    def convolution(self, inputs: Tensor) -> Tensor:
        return tc.ml.nn.ConvLayer.create([3, 5, 5], [2, 1, 1]).eval(inputs)

    @tc.post
    def descend(self, cxt, inputs: Tensor) -> tc.Tuple:
        def cost(i, o):
            return (o - tc.math.constant(i[:, 0].logical_or(i[:, 1]).expand_dims())) ** 2

        cxt.optimizer = tc.ml.optimizer.GradientDescent(tc.ml.nn.Linear.create(2, 1), cost)
        return cxt.optimizer.train(1, inputs)

    @tc.post
    def adam(self, cxt, inputs: Tensor) -> tc.Tuple:
        def cost(i, o):
            return (o - tc.math.constant(i[:, 0].logical_xor(i[:, 1]).expand_dims())) ** 2

        layers = [tc.ml.nn.Linear.create(2, 3, tc.ml.sigmoid), tc.ml.nn.Linear.create(3, 1, tc.ml.sigmoid)]
        cxt.optimizer = tc.ml.optimizer.Adam(tc.ml.nn.Sequential(layers), cost)
        return cxt.optimizer.train(1, inputs)


def install(host, library):
    """Install a library that the client cannot always write.

    It finds states again by hashes, of which some depend on addresses. Where it does not find one it raises KeyError, before
    anything is sent, and all one can do is to try again.
    """

    for _ in range(4):
        try:
            return host.install(library())
        except KeyError as error:
            assert "has no state named" in str(error)
    return host.install(library())


@pytest.fixture(scope="module")
def models(patient):
    host = patient.client()
    for library in (tc.ml.service.NeuralNets, tc.ml.service.Optimizers, Models):
        install(host, library)
    return lambda name, **params: host.post(path(Models, name), {key: dense(value) for key, value in params.items()})


def test_the_libraries_are_there(models, patient):
    host = patient.client()
    for name in ("nn", "optimizer"):
        assert host.get(f"/lib/ml/{name}") == [{"0.0.0": []}]
    for name in ("nn/0.0.0/Layer", "nn/0.0.0/NeuralNet", "optimizer/0.0.0/Optimizer"):
        assert isinstance(host.get(f"/class/ml/{name}"), dict)
    # what was installed is still known to be the same
    install(host, tc.ml.service.NeuralNets)


def test_linear(models):
    """Whatever the weights are, it is affine, and one call has one set of them."""

    inputs = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [2, -3]], "float32")
    outputs = read(models("linear", inputs=inputs))
    assert outputs.dtype == np.float32 and outputs.shape == (5, 1)
    origin, x, y, both, other = outputs.astype("float64")[:, 0]
    np.testing.assert_allclose(both, x + y - origin, atol=1e-4)
    np.testing.assert_allclose(other, 2 * x - 3 * y + 2 * origin, atol=1e-3)
    # the next call draws others
    assert (read(models("linear", inputs=inputs)) != outputs).any()


def test_an_activation(models):
    outputs = read(models("sigmoid", inputs=sample("float32", (BATCH, 2))))
    assert outputs.shape == (BATCH, 3) and (outputs >= 0).all() and (outputs <= 1).all()


def test_gradients(models):
    """That of the weights is the inputs times the loss; that of the bias is the loss itself."""

    inputs, loss = sample("float32", (BATCH, 2)), sample("float32", (BATCH, 1), seed=1)
    weights, bias = models("gradients", inputs=inputs, loss=loss)
    check(weights, inputs.T @ loss, rounding=1e-4)
    check(bias, loss)


def test_sequential(models):
    outputs = read(models("sequential", inputs=sample("float32", (BATCH, 2))))
    assert outputs.dtype == np.float32 and outputs.shape == (BATCH, 1) and np.isfinite(outputs).all()


def test_convolution(models):
    outputs = read(models("convolution", inputs=np.ones((BATCH, 3, 5, 5), "float32")))
    assert outputs.shape == (BATCH, 2, 3, 3) and np.isfinite(outputs).all()


def test_gradient_descent(models):
    """The weights and the bias are written."""

    assert models("descend", inputs=sample("float32", (BATCH, 2))) == [None, None]


def test_adam(models):
    assert models("adam", inputs=sample("float32", (BATCH, 2))) == [None] * 4
