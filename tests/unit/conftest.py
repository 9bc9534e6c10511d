"""One thread a process: the workers share the cores already, and threads that wait for each other's cores only spin."""

import os

for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"  # read when numpy and scikit-learn are first imported

from helpers.small_shop import orders, shop  # noqa: E402, F401
