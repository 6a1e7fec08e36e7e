"""Networks that learn on the host: the functions below `/state/ml/sequential`, and services that keep what they learned."""

import base64
import json
import struct
import time

import numpy as np
import pytest
import requests
import tinychain as tc
from sklearn.datasets import load_digits

from sample_services import raw
from support import DEADLINE, HostProcess, O, R, V, error_of, post_raw, program, same

DENSE = "/state/collection/tensor/dense"
ML = "/state/ml/sequential/"
F32 = V + "number/float/32"
FLAGS = ["--address=127.0.0.1", "--request_ttl=25", "--log_level=warn"]

LAYERS = [{"linear": {"units": 32}}, "relu", {"linear": {"units": 10}}]
LINE = [{"linear": {"units": 1}}]


@pytest.fixture(scope="module")
def url(request, tmp_path_factory):
    """A host that gives a training the time that it takes, also where the binary is not optimized."""

    if request.config.getoption("--offline"):
        pytest.skip("no host")

    host = HostProcess(tmp_path_factory.mktemp("ml"), *FLAGS).start()
    try:
        yield host.url
        host.stop()
    finally:
        host.kill()


def dense(elements):
    elements = np.asarray(elements, np.float32)
    return {DENSE: [[F32, list(elements.shape)], elements.ravel().tolist()]}


def array(reply):
    ((path, (schema, elements)),) = reply.items()
    assert (path, schema[0]) == (DENSE, F32)
    return np.array(elements, np.float32).reshape(schema[1])


def arrays(reply):
    return {name: array(tensor) for name, tensor in reply.items()}


def same_arrays(got, want):
    """Require the very same arrays, by their names."""

    assert set(got) == set(want)
    for name, expected in want.items():
        assert np.array_equal(got[name], expected), name


def tensors(parameters):
    return {name: dense(parameter) for name, parameter in parameters.items()}


def call(url, function, **args):
    response = post_raw(url, args, path=ML + function)
    assert response.status_code == 200, response.text
    return response.json()


def init(url, layers, inputs, seed=1):
    return arrays(call(url, "init", layers=layers, inputs=inputs, seed=seed))


def fit(url, layers, parameters, inputs, labels, loss, optimizer, epochs, **options):
    reply = call(
        url, "fit", layers=layers, parameters=tensors(parameters), inputs=dense(inputs), labels=dense(labels), loss=loss,
        optimizer=optimizer, epochs=epochs, **options,
    )
    assert set(reply) == {"parameters", "state", "losses"} and len(reply["losses"]) == epochs
    return arrays(reply["parameters"]), reply["state"], reply["losses"]


def predict(url, layers, parameters, inputs):
    return array(call(url, "predict", layers=layers, parameters=tensors(parameters), inputs=dense(inputs)))


def digits():
    """Images of digits as rows between 0 and 1, and which digits these are: some to learn from, and some others."""

    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    inputs, labels = data.data[order] / 16, data.target[order]
    return (inputs[:1500], labels[:1500]), (inputs[1500:], labels[1500:])


# --- parameters -------------------------------------------------------------------------------------------------


def test_parameters_that_have_learned_nothing(url):
    parameters = init(url, LAYERS, 64)
    assert {name: parameter.shape for name, parameter in parameters.items()} == {
        "0.weight": (32, 64), "0.bias": (32,), "2.weight": (10, 32), "2.bias": (10,),
    }
    for layer, bound in ((0, 64 ** -0.5), (2, 32 ** -0.5)):
        weight = parameters[f"{layer}.weight"]
        assert 0.9 * bound < np.abs(weight).max() <= bound
        assert abs(weight.mean()) < 0.1 * bound
        assert np.abs(parameters[f"{layer}.bias"]).max() <= bound
    again, other = init(url, LAYERS, 64), init(url, LAYERS, 64, seed=2)
    same_arrays(again, parameters)
    assert not np.array_equal(parameters["0.weight"], other["0.weight"])
    first, second = (call(url, "init", layers=LAYERS, inputs=64) for _ in range(2))
    assert first != second


# --- training ---------------------------------------------------------------------------------------------------


def probabilities(parameters, inputs):
    """The hidden units and the logarithms of the probabilities of classes."""

    hidden = np.maximum(inputs @ parameters["0.weight"].T + parameters["0.bias"], 0)
    results = hidden @ parameters["2.weight"].T + parameters["2.bias"]
    results -= results.max(1, keepdims=True)
    return hidden, results - np.log(np.exp(results).sum(1, keepdims=True))


def learn_with_numpy(parameters, inputs, labels, epochs, batch, rate, momentum):
    """Train the network of LAYERS by gradient descent."""

    parameters = {name: parameter.astype(np.float64) for name, parameter in parameters.items()}
    velocity = {name: np.zeros_like(parameter) for name, parameter in parameters.items()}
    losses = []
    for _ in range(epochs):
        total = 0.0
        for start in range(0, len(inputs), batch):
            x, y = inputs[start:start + batch], labels[start:start + batch]
            hidden, logs = probabilities(parameters, x)
            total -= logs[np.arange(len(y)), y].sum()
            of_results = (np.exp(logs) - np.eye(10)[y]) / len(y)
            of_hidden = (of_results @ parameters["2.weight"]) * (hidden > 0)
            gradients = {
                "0.weight": of_hidden.T @ x, "0.bias": of_hidden.sum(0),
                "2.weight": of_results.T @ hidden, "2.bias": of_results.sum(0),
            }
            for name, gradient in gradients.items():
                velocity[name] = momentum * velocity[name] + gradient
                parameters[name] = parameters[name] - rate * velocity[name]
        losses.append(total / len(inputs))
    return parameters, losses


def test_digits_are_learned_as_with_numpy(url):
    (inputs, labels), (others, digits_of_others) = digits()
    start = init(url, LAYERS, 64)
    optimizer = {"sgd": {"lr": 0.1, "momentum": 0.9}}

    found, _, losses = fit(url, LAYERS, start, inputs, labels, "cross_entropy", optimizer, 2, batch_size=50, shuffle=False)
    expected, expected_losses = learn_with_numpy(start, inputs, labels, 2, 50, 0.1, 0.9)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-3)
    for name in start:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4, err_msg=name)

    learned, _, losses = fit(url, LAYERS, start, inputs, labels, "cross_entropy", optimizer, 15, batch_size=50, shuffle=False)
    assert losses[-1] < 0.2 < losses[0]
    guessed = predict(url, LAYERS, learned, others).argmax(1)
    expected, _ = learn_with_numpy(start, inputs, labels, 15, 50, 0.1, 0.9)
    _, logs = probabilities(expected, others)
    accuracy, reference = (guessed == digits_of_others).mean(), (logs.argmax(1) == digits_of_others).mean()
    assert reference > 0.9 and accuracy > reference - 0.02, (accuracy, reference)


def test_classes_may_be_given_as_probabilities(url):
    (inputs, labels), _ = digits()
    inputs, labels, start = inputs[:100], labels[:100], init(url, LAYERS, 64)
    options = ("cross_entropy", "adam", 1)
    by_number = fit(url, LAYERS, start, inputs, labels, *options, shuffle=False)
    by_probability = fit(url, LAYERS, start, inputs, np.eye(10)[labels], *options, shuffle=False)
    assert by_number[2] == by_probability[2]
    same_arrays(by_number[0], by_probability[0])
    # With softmax as the last layer, probabilities are predicted and the same is learned.
    with_softmax = fit(url, LAYERS + ["softmax"], start, inputs, labels, *options, shuffle=False)
    assert with_softmax[2] == by_number[2]
    rows = predict(url, LAYERS + ["softmax"], with_softmax[0], inputs)
    np.testing.assert_allclose(rows.sum(1), 1, rtol=1e-5)


OPTIMIZERS = {
    "sgd": "sgd",
    "momentum": {"sgd": {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}},
    "adam": {"adam": {"lr": 0.01, "weight_decay": 0.01}},
    "adamw": {"adamw": {"lr": 0.01, "betas": [0.8, 0.99], "eps": 1e-6}},
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_training_goes_on_where_it_was(url, optimizer):
    (inputs, labels), _ = digits()
    inputs, labels, start = inputs[:90], labels[:90], init(url, LAYERS, 64)
    options = {"batch_size": 40, "shuffle": False}
    whole, state, losses = fit(url, LAYERS, start, inputs, labels, "cross_entropy", optimizer, 3, **options)
    assert state["step"] == 9
    half, state, first = fit(url, LAYERS, start, inputs, labels, "cross_entropy", optimizer, 1, **options)
    rest, state, last = fit(url, LAYERS, half, inputs, labels, "cross_entropy", optimizer, 2, state=state, **options)
    assert (state["step"], first + last) == (9, losses)
    same_arrays(rest, whole)


def test_the_same_seed_gives_the_same_result(url):
    (inputs, labels), _ = digits()
    inputs, labels = inputs[:100], labels[:100]
    layers = [{"linear": {"units": 16}}, "layer_norm", "gelu", {"dropout": 0.3}, {"linear": {"units": 10}}]
    start = init(url, layers, 64)
    learned = [
        fit(url, layers, start, inputs, labels, "cross_entropy", "adam", 2, batch_size=30, seed=seed) for seed in (5, 5, 6)
    ]
    assert learned[0][2] == learned[1][2] != learned[2][2]
    same_arrays(learned[0][0], learned[1][0])
    # Nothing is dropped from what is predicted.
    rows = [predict(url, layers, learned[0][0], inputs) for _ in range(2)]
    assert np.array_equal(*rows)


def test_values_and_odds_are_learned(url):
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(200, 2)).astype(np.float32)
    line = 2 * inputs[:, 0] - inputs[:, 1] + 0.5
    start, optimizer = init(url, LINE, 2), {"adam": {"lr": 0.05}}
    learned, _, losses = fit(url, LINE, start, inputs, line, "mse", optimizer, 60, seed=1)
    assert losses[-1] < 1e-3
    np.testing.assert_allclose(learned["0.weight"], [[2, -1]], atol=0.02)
    np.testing.assert_allclose(learned["0.bias"], [0.5], atol=0.02)
    odds = LINE + ["sigmoid"]
    learned, _, losses = fit(url, odds, start, inputs, line > 0, "binary_cross_entropy", optimizer, 60, seed=1)
    assert losses[-1] < losses[0] / 2
    found = predict(url, odds, learned, inputs)
    assert ((found[:, 0] > 0.5) == (line > 0)).mean() > 0.95 and (0 <= found).all() and (found <= 1).all()


def test_images_are_learned(url):
    (inputs, labels), _ = digits()
    layers = [
        {"conv2d": {"channels": 4, "kernel": 3, "padding": 1}}, "relu", {"max_pool2d": {"kernel": 2}}, "flatten",
        {"linear": {"units": 10}},
    ]
    start = init(url, layers, [1, 8, 8])
    assert [start[name].shape for name in ("0.weight", "0.bias", "4.weight", "4.bias")] == [(4, 1, 3, 3), (4,), (10, 64), (10,)]
    inputs, labels = inputs[:300].reshape(-1, 1, 8, 8), labels[:300]
    learned, _, losses = fit(url, layers, start, inputs, labels, "cross_entropy", {"adam": {"lr": 0.01}}, 10, seed=1)
    assert losses[-1] < 0.5 < losses[0]
    assert (predict(url, layers, learned, inputs).argmax(1) == labels).mean() > 0.85


def test_steps_are_those_of_pytorch(url):
    torch = pytest.importorskip("torch")
    layers = [{"linear": {"units": 6}}, "layer_norm", "gelu", {"linear": {"units": 3, "bias": False}}]
    rng = np.random.default_rng(1)
    inputs, labels, start = rng.normal(size=(20, 4)), rng.integers(3, size=20), init(url, layers, 4)
    for written, make in (
        ({"sgd": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}},
         lambda p: torch.optim.SGD(p, 0.1, 0.9, nesterov=True, weight_decay=0.1)),
        ({"adam": {"lr": 0.01, "weight_decay": 0.1}}, lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.1)),
        ({"adamw": {"lr": 0.01}}, lambda p: torch.optim.AdamW(p, 0.01)),
    ):
        found, _, losses = fit(url, layers, start, inputs, labels, "cross_entropy", written, 3, batch_size=10, shuffle=False)
        model = torch.nn.Sequential(
            torch.nn.Linear(4, 6), torch.nn.LayerNorm(6), torch.nn.GELU(), torch.nn.Linear(6, 3, bias=False)
        )
        model.load_state_dict({name: torch.tensor(parameter) for name, parameter in start.items()})
        optimizer, expected = make(model.parameters()), []
        x, y = torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)
        for _ in range(3):
            epoch = []
            for batch in (slice(0, 10), slice(10, 20)):
                optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(model(x[batch]), y[batch])
                loss.backward()
                optimizer.step()
                epoch.append(loss.item())
            expected.append(sum(epoch) / 2)
        np.testing.assert_allclose(losses, expected, rtol=1e-4)
        for name, parameter in model.state_dict().items():
            np.testing.assert_allclose(found[name], parameter.numpy(), atol=1e-4, err_msg=name)


# --- files ------------------------------------------------------------------------------------------------------


def safetensors(parameters, metadata=None):
    """A file as PyTorch's users write it by `safetensors.torch.save_file(model.state_dict(), path)`."""

    header, data = ({"__metadata__": metadata} if metadata else {}), b""
    for name, parameter in parameters.items():
        dtype = {"float32": "F32", "float16": "F16", "int64": "I64"}[str(parameter.dtype)]
        offsets = [len(data), len(data) + parameter.nbytes]
        header[name] = {"dtype": dtype, "shape": list(parameter.shape), "data_offsets": offsets}
        data += parameter.tobytes()
    header = json.dumps(header).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


def as_bytes(data):
    return {V + "bytes": base64.b64encode(data).decode()}


def test_a_file_of_pytorch_is_loaded(url):
    rng = np.random.default_rng(2)
    model = {
        "0.weight": rng.normal(size=(3, 2)).astype(np.float32), "0.bias": rng.normal(size=3).astype(np.float32),
        "2.weight": rng.normal(size=(1, 3)).astype(np.float16), "2.bias": np.array([0.5], np.float32),
    }
    layers = [{"linear": {"units": 3}}, "tanh", {"linear": {"units": 1}}]
    file = as_bytes(safetensors(model, {"format": "pt"}))
    loaded = arrays(call(url, "load", safetensors=file))
    same_arrays(loaded, {name: parameter.astype(np.float32) for name, parameter in model.items()})
    same_arrays(arrays(call(url, "load", safetensors=file, layers=layers, inputs=2)), loaded)

    inputs = rng.normal(size=(5, 2)).astype(np.float32)
    hidden = np.tanh(inputs @ loaded["0.weight"].T + loaded["0.bias"])
    expected = hidden @ loaded["2.weight"].T + loaded["2.bias"]
    np.testing.assert_allclose(predict(url, layers, loaded, inputs), expected, rtol=1e-5, atol=1e-6)


def test_what_is_saved_is_a_file_of_pytorch(url):
    parameters = init(url, LINE, 3)
    file = base64.b64decode(call(url, "save", parameters=tensors(parameters)))
    (length,) = struct.unpack("<Q", file[:8])
    header, data = json.loads(file[8:8 + length]), file[8 + length:]
    assert set(header) == set(parameters)
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        assert (entry["dtype"], tuple(entry["shape"])) == ("F32", parameters[name].shape)
        assert data[start:end] == parameters[name].tobytes()
    same_arrays(arrays(call(url, "load", safetensors=as_bytes(file))), parameters)


def test_other_numbers_are_loaded_as_they_are(url):
    file = safetensors({"steps": np.array([3, -4], np.int64)})
    same(call(url, "load", safetensors=as_bytes(file)), {"steps": {DENSE: [[V + "number/int/64", [2]], [3, -4]]}})


# --- services ---------------------------------------------------------------------------------------------------


def chained(*shape):
    return {"/state/chain/block": [{DENSE: [[F32, list(shape)]]}]}


# A network whose inputs are those of a request, and what is kept of the user who makes it.
USERS = 5
OPINION = [{"linear": {"units": 8}}, "tanh", {"linear": {"units": 1}}]
PARAMETERS = {"0.weight": (8, 4), "0.bias": (8,), "2.weight": (1, 8), "2.bias": (1,)}


def attribute(name):
    return name.replace("0.", "first_").replace("2.", "second_")


def kept(parameters):
    """Steps that write parameters to the chains."""

    return [{f"$self/{attribute(name)}": [None, {f"${parameters}/{name}": [None]}]} for name in PARAMETERS]


def service():
    known = {name: {f"$self/{attribute(name)}": [None]} for name in PARAMETERS}
    profile = {"$self/profiles": [[{"$user": []}]]}
    network = {"layers": OPINION, "parameters": known}
    visits = [[[["user", V + "number/uint/64"]], [["count", V + "number/uint/64"]]], []]
    return {
        **{attribute(name): chained(*shape) for name, shape in PARAMETERS.items()},
        # What is known of each user: a row of a tensor, and a row of a table.
        "profiles": chained(USERS, 2),
        "visits": {"/state/chain/block": [{"/state/collection/table": [visits]}]},
        "begin": {O + "post": [
            ["fresh", {ML + "init": {"layers": OPINION, "inputs": 4, "seed": {"$seed": []}}}],
            ["_return", kept("fresh")],
        ]},
        "train": {O + "post": [
            ["learned", {ML + "fit": {
                **network, "inputs": {"$inputs": []}, "labels": {"$labels": []}, "loss": "mse",
                "optimizer": {"adam": {"lr": 0.05}}, "epochs": 20, "shuffle": False,
            }}],
            ["_return", {R + "after": [kept("learned/parameters"), {"$learned/losses": [None]}]}],
        ]},
        "remember": {O + "post": [
            ["_return", [
                {"$self/profiles": [[{"$user": []}], {"$profile": []}]},
                {"$self/visits": [[{"$user": []}], [{"$count": []}]]},
            ]],
        ]},
        "predict": {O + "post": [
            ["profile", profile],
            ["row", {"$profile/reshape": [[1, 2]]}],
            ["whole", {DENSE + "/concatenate": {"tensors": [{"$inputs": []}, {"$row": []}], "axis": 1}}],
            ["_return", {ML + "predict": {**network, "inputs": {"$whole": []}}}],
        ]},
    }


def ask(url, path, **args):
    response = post_raw(url, args, path=path)
    assert response.status_code == 200, response.text
    return response.json()


def opinions(url, version):
    """What the service predicts of one request, for each user."""

    inputs = dense([[0.3, -0.7]])
    return [ask(url, version + "/predict", user=user, inputs=inputs) for user in range(USERS)]


def examples(seed):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(60, 4))
    return {"inputs": dense(inputs), "labels": dense(np.tanh(inputs[:, 0]) - inputs[:, 2] / 2)}


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_a_service_has_learned_lasts(spawn, end):
    process = spawn(*FLAGS)
    version = raw(process.client(), service())
    ask(process.url, version + "/begin", seed=4)
    losses = [ask(process.url, version + "/train", **examples(seed)) for seed in range(3)]
    assert losses[2][-1] < losses[0][0] / 2
    for user in (1, 3):
        ask(process.url, version + "/remember", user=user, profile=dense([user / 2, -1]), count=user)
    before = opinions(process.url, version)
    assert before[0] == before[2] == before[4] and before[1] != before[0] != before[3] != before[1]

    getattr(process, end)()
    process = spawn(*FLAGS, port=process.port)
    same(opinions(process.url, version), before)
    client = process.client()
    same(client.get(version + "/visits", [3]), [3, 3])
    for name in ("first_weight", "second_bias", "profiles"):
        same(client.get(f"{version}/{name}/chain/verify"), True)

    # It goes on learning, and what it knew can still be read.
    was = client.get(f"{version}/second_bias/chain/info")["last"]
    known = client.get(version + "/second_bias")
    ask(process.url, version + "/train", **examples(9))
    after = opinions(process.url, version)
    assert after != before
    assert client.get(version + "/second_bias") != known
    same(client.get(f"{version}/second_bias/chain/at/{was}"), known)
    process.stop()


def test_a_training_that_fails_changes_nothing(url):
    version = raw(tc.host.Host(url), service())
    ask(url, version + "/begin", seed=1)
    before = opinions(url, version)
    args = examples(1)
    args["labels"] = dense(np.zeros(59))
    error = error_of(post_raw(url, args, path=version + "/train"), 400, "bad_request")
    assert error == "labels must have the shape [60, 1], found [59]"
    same(opinions(url, version), before)


def test_a_hypothetical_training_is_forgotten(url):
    version = raw(tc.host.Host(url), service())
    ask(url, version + "/begin", seed=1)
    before = opinions(url, version)
    steps = [
        ["trained", {version + "/train": examples(1)}],
        ["r", {R + "after": [{"$trained": []}, {version + "/predict": {"user": 0, "inputs": dense([[0.3, -0.7]])}}]}],
    ]
    response = program(url, steps)
    assert response.status_code == 200, response.text
    assert response.json() != before[0]
    same(opinions(url, version), before)


# --- limits and errors ------------------------------------------------------------------------------------------


def test_predictions_may_be_larger_than_memory_should_hold(url):
    constant = DENSE + "/constant"
    steps = [
        ["inputs", {constant: [[[300000, 20], 1.0]]}],
        ["weight", {constant: [[[20, 20], 0.5]]}],
        ["made", {ML + "predict": {
            "layers": [{"linear": {"units": 20, "bias": False}}],
            "parameters": {"0.weight": {"$weight": []}}, "inputs": {"$inputs": []},
        }}],
        ["r", [{"$made/sum": [None]}, {"$made/shape": [None]}, {"$made": [[299999, 19]]}]],
    ]
    response = program(url, steps)
    assert response.status_code == 200, response.text
    same(response.json(), [60000000.0, [300000, 20], 10.0])


def test_a_training_ends_with_its_time(spawn):
    process = spawn("--address=127.0.0.1", "--request_ttl=2", "--log_level=warn")
    args = {
        "layers": LINE, "parameters": tensors(init(process.url, LINE, 1)), "inputs": dense([[1], [2]]),
        "labels": dense([1, 2]), "loss": "mse", "optimizer": "sgd", "epochs": 1000000,
    }
    start = time.monotonic()
    error_of(post_raw(process.url, args, path=ML + "fit"), 408, "request_timeout")
    assert time.monotonic() - start < 10
    # What was dropped keeps nobody waiting.
    assert predict(process.url, LINE, init(process.url, LINE, 1), [[1]]).shape == (1, 1)
    process.stop()


def training(**changed):
    args = {
        "layers": LAYERS, "parameters": None, "inputs": dense(np.ones((4, 64))), "labels": dense([0, 1, 2, 3]),
        "loss": "cross_entropy", "optimizer": "sgd", "epochs": 1,
    }
    return {**args, **changed}


ERRORS = {
    "layer": (
        training(layers=[{"linear": {"units": 32}}, "lstm"]),
        'layer 1 is no layer: expected linear, relu, tanh, sigmoid, gelu, softmax, dropout, conv2d, max_pool2d, flatten or '
        'layer_norm, found "lstm"',
    ),
    "units": (
        training(layers=["relu", {"linear": {"units": -1}}]),
        "units of layer 1 (linear) must be a whole number from 1 to 4294967295, not -1",
    ),
    "images": (
        training(layers=[{"conv2d": {"channels": 1, "kernel": 3}}]),
        "layer 0 (conv2d) takes rows of the shape [channels, height, width], found the shape [64]",
    ),
    "inputs": (
        training(inputs=dense(np.ones((4, 63)))), "0.weight does not fit layer 0: expected the shape [32, 63], found [32, 64]",
    ),
    "rows": (
        training(labels=dense([0, 1])),
        "labels must be the numbers of classes, of the shape [4], or their probabilities, of the shape [4, 10]; found the "
        "shape [2]",
    ),
    "class": (
        training(labels=dense([0, 1, 10, 3]), shuffle=False),
        "the label of row 2 is 10, and no number of a class from 0 to 9",
    ),
    "loss": (training(loss="hinge"), 'a loss is mse, cross_entropy or binary_cross_entropy, not "hinge"'),
    "optimizer": (
        training(optimizer={"sgd": {"rate": 1}}), "the optimizer sgd has no rate, only lr, momentum, nesterov, weight_decay",
    ),
    "epochs": (training(epochs=0), "epochs of fit must be a whole number from 1 to 1000000, not 0"),
    "missing": (training(inputs=None), "fit needs inputs"),
    "unknown": (
        training(rate=1),
        "fit has no rate, only layers, parameters, inputs, labels, loss, optimizer, epochs, batch_size, shuffle, seed, state",
    ),
    "state": (
        training(state={"step": 1, "0.weight.exp_avg": 2}), "the state of this optimizer has no 0.weight.exp_avg, only step",
    ),
}


@pytest.mark.parametrize("args, message", ERRORS.values(), ids=ERRORS)
def test_arguments_that_make_no_sense_are_refused(url, args, message):
    args = {**args, "parameters": tensors(init(url, LAYERS, 64))}
    assert error_of(post_raw(url, args, path=ML + "fit"), 400, "bad_request") == message


def test_parameters_that_are_missing_or_too_many(url):
    parameters = tensors(init(url, LAYERS, 64))
    less = {name: tensor for name, tensor in parameters.items() if name != "2.bias"}
    args = {"layers": LAYERS, "inputs": dense(np.ones((1, 64)))}
    refused = post_raw(url, {**args, "parameters": less}, path=ML + "predict")
    assert error_of(refused, 400) == "2.bias of layer 2 is missing: a tensor of shape [10]"
    refused = post_raw(url, {**args, "parameters": {**parameters, "3.bias": dense([1])}}, path=ML + "predict")
    assert error_of(refused, 400) == "this network has no parameter 3.bias"


def test_what_is_too_large_is_refused(url):
    wide = [{"linear": {"units": 100000}}, {"linear": {"units": 100000}}]
    message = error_of(post_raw(url, {"layers": wide, "inputs": 1}, path=ML + "init"), 413, "payload_too_large")
    assert message == "a network has at most 67108864 parameters, not 10000300000"


def test_what_is_no_file_is_refused(url):
    def load(**args):
        return error_of(post_raw(url, args, path=ML + "load"), 400, "bad_request")

    assert load(safetensors=as_bytes(b"no file")).startswith("this is no file of safetensors: ")
    file = as_bytes(safetensors({"0.weight": np.ones((1, 2), np.float32)}))
    assert load(safetensors=file, layers=LINE, inputs=2) == "0.bias of layer 0 is missing: a tensor of shape [1]"
    assert load(safetensors=file, layers=LINE) == "load needs inputs, since there are layers"
    assert load(safetensors="x") == 'safetensors of load must be the bytes of a file, not "x"'


def test_only_posts_are_answered(url):
    for verb in ("get", "put", "delete"):
        response = requests.request(verb, url + ML + "fit", data=b"null" if verb == "put" else None, timeout=DEADLINE)
        error_of(response, 405, "method_not_allowed")
    error_of(post_raw(url, {}, path=ML + "guess"), 404, "not_found")
