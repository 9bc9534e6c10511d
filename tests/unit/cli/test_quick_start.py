"""What a command does not import before it needs it."""

import json
import subprocess
import sys

PROGRAM = """
import json, sys
from evergreen.cli.quick_start import import_seldom_used_when_used
import_seldom_used_when_used()
import_seldom_used_when_used()
import great_expectations.expectations as gxe
loaded = "scipy.stats._stats_py" in sys.modules
from scipy import stats
import scipy.stats
half = float(stats.norm.cdf(0))
print(json.dumps([loaded, half, stats is scipy.stats, "scipy.stats._stats_py" in sys.modules]))
"""


def test_great_expectations_comes_without_the_statistics_until_somebody_uses_them():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [False, 0.5, True, True]
