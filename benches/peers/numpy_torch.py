#!/usr/bin/env python3
"""NumPy and SciPy, and PyTorch where there is one: what the group tensors of the host does, on the same arrays in memory.

PyTorch is large, so nothing installs it. It is taken from this Python, or from the one that TINYCHAIN_TORCH names, and computes
on a GPU too if it finds one.
"""

import os
import resource
import statistics
import subprocess
import sys
import time

from common import ELEMENTS, EXAMPLES, MATRICES, RUNS, SPARSE_SIDE, main, record, say

# The same as in benches/bench/tensors: how long a case is repeated, which elements of a sparse matrix are not zero, the largest
# matrices for products of several, and a network.
SECONDS = 0.2
SPARSE_SHARE = 1000
SPARSE_STEP = 2_654_435_761
EINSUM_SIDE_MAX = 1024
FEATURES, UNITS, BATCH = 64, 128, 32
# Digits in which all systems have to agree: sums of single floats depend on their order.
DIGITS = {"f32": 3, "f64": 6}
DTYPES = {"f32": "float32", "f64": "float64"}
# What this program does when it is run by itself.
MEMORY, TORCH = "--memory", "--torch"
CHAIN = f"range, exp, add, sum of {ELEMENTS} f64"


def measure(name, system, work, digits=None):
    """Repeats some work, which results in a number."""
    result = work()
    times = []
    end = time.perf_counter() + SECONDS
    while len(times) < RUNS or time.perf_counter() < end:
        begin = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - begin)
    check = None if digits is None else [f"{float(result):.{digits - 1}e}"]
    record("tensors", name, system, statistics.median(times) * 1000, "ms", check)


def sparse_entries():
    """The places of the elements of the sparse matrix that are not zero, and these."""
    size = SPARSE_SIDE * SPARSE_SIDE
    numbers = range(size // SPARSE_SHARE)
    places = [number * SPARSE_STEP % size for number in numbers]
    return places, [1.0 + number % 7 for number in numbers]


# --- NumPy ------------------------------------------------------------------------------------------------------


def by_numpy():
    import numpy as np
    import scipy.sparse

    def steps(shape, dtype):
        size = int(np.prod(shape))
        return (np.arange(size) / size).reshape(shape).astype(DTYPES[dtype])

    for side in MATRICES:
        for dtype, digits in DIGITS.items():
            a = steps((side, side), dtype)
            measure(f"matmul {side} {dtype}, sum", "numpy", lambda a=a: (a @ a).sum(), digits)
    side = max(MATRICES)
    for dtype, digits in DIGITS.items():
        a = steps((side, side), dtype)
        measure(f"exp, add, sum of {side} × {side} {dtype}", "numpy", lambda a=a: (np.exp(a) + 1).sum(), digits)
    a = steps((side, side), "f64")
    for name, axis in [("rows", 1), ("columns", 0)]:
        work = lambda axis=axis: a.sum(axis=axis).max()
        measure(f"largest sum of {name}, {side} × {side} f64", "numpy", work, DIGITS["f64"])
    if sides := [side for side in MATRICES if side <= EINSUM_SIDE_MAX]:
        a = steps((max(sides), max(sides)), "f64")
        for form, operands in [("ij,kj->ik", [a, a]), ("ij,jk,kl->il", [a, a, a])]:
            work = lambda form=form, operands=operands: np.einsum(form, *operands, optimize=True).sum()
            measure(f"einsum {form} {max(sides)} f64, sum", "numpy", work, DIGITS["f64"])
    del a
    measure(CHAIN, "numpy", numpy_chain, DIGITS["f64"])
    places, values = sparse_entries()
    rows, columns = np.divmod(places, SPARSE_SIDE)
    matrix = scipy.sparse.csr_array((values, (rows, columns)), shape=(SPARSE_SIDE, SPARSE_SIDE))
    name = f"sparse matmul {SPARSE_SIDE}, 0.1 %, sum"
    measure(name, "scipy", lambda: (matrix @ matrix).sum(), DIGITS["f64"])


def numpy_chain():
    import numpy as np

    return (np.exp(np.arange(ELEMENTS) / ELEMENTS) + 1).sum()


# --- PyTorch ----------------------------------------------------------------------------------------------------


def python_with_torch():
    """A Python that has PyTorch, if there is one."""
    python = os.environ.get("TINYCHAIN_TORCH", sys.executable)
    found = subprocess.run([python, "-c", "import torch"], check=False, capture_output=True)
    return python if found.returncode == 0 else None


def by_torch():
    import torch

    say(f"PyTorch {torch.__version__}")
    on_torch(torch, "cpu", "torch, cpu")
    if torch.cuda.is_available():
        on_torch(torch, "cuda", f"torch, {torch.cuda.get_device_name()}")


def on_torch(torch, device, system):
    def steps(shape, dtype):
        size = shape[0] * shape[1]
        exact = torch.arange(size, dtype=torch.float64, device=device) / size
        return exact.reshape(shape).to(getattr(torch, DTYPES[dtype]))

    def timed(name, work, digits=None):
        # To take the number waits for the device.
        measure(name, system, lambda: work().item(), digits)

    for side in MATRICES:
        for dtype, digits in DIGITS.items():
            a = steps((side, side), dtype)
            timed(f"matmul {side} {dtype}, sum", lambda a=a: (a @ a).sum(), digits)
    side = max(MATRICES)
    for dtype, digits in DIGITS.items():
        a = steps((side, side), dtype)
        timed(f"exp, add, sum of {side} × {side} {dtype}", lambda a=a: (a.exp() + 1).sum(), digits)
    a = steps((side, side), "f64")
    for name, axis in [("rows", 1), ("columns", 0)]:
        timed(f"largest sum of {name}, {side} × {side} f64", lambda axis=axis: a.sum(dim=axis).max(), DIGITS["f64"])
    if sides := [side for side in MATRICES if side <= EINSUM_SIDE_MAX]:
        a = steps((max(sides), max(sides)), "f64")
        for form, operands in [("ij,kj->ik", [a, a]), ("ij,jk,kl->il", [a, a, a])]:
            work = lambda form=form, operands=operands: torch.einsum(form, *operands).sum()
            timed(f"einsum {form} {max(sides)} f64, sum", work, DIGITS["f64"])

    def chain():
        return ((torch.arange(ELEMENTS, dtype=torch.float64, device=device) / ELEMENTS).exp() + 1).sum()

    timed(CHAIN, chain, DIGITS["f64"])
    places, values = sparse_entries()
    places = torch.tensor(places, device=device)
    coordinates = torch.stack([places // SPARSE_SIDE, places % SPARSE_SIDE])
    shape = (SPARSE_SIDE, SPARSE_SIDE)
    matrix = torch.sparse_coo_tensor(coordinates, values, shape, dtype=torch.float64, device=device).coalesce()
    matrix = matrix.to_sparse_csr()
    name = f"sparse matmul {SPARSE_SIDE}, 0.1 %, sum"
    timed(name, lambda: (matrix @ matrix).values().sum(), DIGITS["f64"])
    train(torch, device, timed, steps)


def train(torch, device, timed, steps):
    """An epoch of a network that has learned nothing."""
    inputs, labels = steps((EXAMPLES, FEATURES), "f32"), steps((EXAMPLES, 1), "f32")
    nn = torch.nn

    def epoch():
        layers = [nn.Linear(FEATURES, UNITS), nn.ReLU(), nn.Linear(UNITS, UNITS), nn.ReLU(), nn.Linear(UNITS, 1)]
        network = nn.Sequential(*layers).to(device)
        optimizer, loss_of = torch.optim.Adam(network.parameters(), lr=0.001), nn.MSELoss()
        total = torch.zeros((), device=device)
        for rows in torch.randperm(EXAMPLES, device=device).split(BATCH):
            optimizer.zero_grad()
            loss = loss_of(network(inputs[rows]), labels[rows])
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(rows)
        return total / EXAMPLES

    timed(f"training, an epoch of {EXAMPLES} rows in batches of {BATCH}", epoch)


# --- all --------------------------------------------------------------------------------------------------------


def tensors():
    by_numpy()
    # In a process of its own, as what this one ever had is more.
    subprocess.run([sys.executable, __file__, MEMORY], check=True)
    if python := python_with_torch():
        subprocess.run([python, __file__, TORCH], check=True)
    else:
        say("there is no PyTorch: TINYCHAIN_TORCH=<python> names one that has it")


def memory():
    numpy_chain()
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    record("tensors", f"memory, {CHAIN}", "numpy", kib / 1024, "MiB")


if __name__ == "__main__":
    if sys.argv[1:] == [MEMORY]:
        memory()
    elif sys.argv[1:] == [TORCH]:
        by_torch()
    else:
        main({"tensors": tensors})
