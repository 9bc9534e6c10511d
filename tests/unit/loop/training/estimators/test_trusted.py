"""Which names a saved model may never hold."""

import pytest

from evergreen.loop.training.estimators.trusted import runs_code, trusted_types
from helpers.synthetic_examples import definition


@pytest.mark.parametrize(
    "name",
    ["functools.partial", "operator.methodcaller", "os.system", "posix.system", "builtins.eval", "builtins.exec",
     "builtins.getattr", "subprocess.Popen", "importlib.import_module", "pickle.loads", "types.FunctionType",
     "joblib.load", "joblib.numpy_pickle.load", "dill.loads", "cloudpickle.loads", "numpy.load", "pandas.read_pickle",
     "pandas.io.pickle.read_pickle", "pandas.eval", "runpy.run_path", "shutil.rmtree", "socket.socket", "ctypes.CDLL",
     "mlflow.pyfunc.load_model"],
)  # fmt: skip
def test_what_runs_code_is_never_trusted(name):
    assert runs_code(name)


@pytest.mark.parametrize(
    "name",
    ["numpy.dtype", "collections.OrderedDict", "lightgbm.basic.Booster", "ourteam.features.Clip", "evergreening.Model",
     "sklearn.tree._tree.Tree", "datetime.timedelta", "builtins.bytearray"],
)  # fmt: skip
def test_data_and_estimators_may_be_trusted(name):
    assert not runs_code(name)


def test_a_team_can_still_take_out_what_today_s_kinds_hold():
    held = trusted_types(definition(trusted_types=()))
    assert "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor" not in held
    assert "lightgbm.basic.Booster" in held
