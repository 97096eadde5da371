"""Dense classifiers whose outputs are probabilities that sum to one.

>>> import sumtoone as s1
>>> s1.Network("784-128-64-10", activation="relu").specification.sizes
(784, 128, 64, 10)

Importing this package loads nothing heavy: each name below is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from sumtoone.version import __version__

# Public name -> the module it lives in. Names are promises; see docs/design.md.
_HOMES = {
    "Calibration": "sumtoone.calibration",
    "Classifier": "sumtoone.estimator",
    "Comparison": "sumtoone.comparing",
    "Dataset": "sumtoone.data",
    "DataError": "sumtoone.errors",
    "DtypeError": "sumtoone.errors",
    "Explanation": "sumtoone.shapes",
    "History": "sumtoone.history",
    "Network": "sumtoone.network",
    "Preprocessing": "sumtoone.data",
    "Report": "sumtoone.evaluation",
    "Run": "sumtoone.runs",
    "RunError": "sumtoone.errors",
    "SeveralErrors": "sumtoone.errors",
    "ShapeError": "sumtoone.errors",
    "Specification": "sumtoone.specification",
    "SpecificationError": "sumtoone.errors",
    "Split": "sumtoone.data",
    "SumtooneError": "sumtoone.errors",
    "TrainingError": "sumtoone.errors",
    "TrainingOptions": "sumtoone.training",
    "UnavailableError": "sumtoone.errors",
    "UsageError": "sumtoone.errors",
    "Verdict": "sumtoone.checking",
    "calibrate": "sumtoone.calibration",
    "check": "sumtoone.checking",
    "compare": "sumtoone.comparing",
    "cross_entropy": "sumtoone.functional",
    "evaluate": "sumtoone.evaluation",
    "explain": "sumtoone.shapes",
    "export": "sumtoone.exporting",
    "fit": "sumtoone.training",
    "load": "sumtoone.data",
    "log_softmax": "sumtoone.functional",
    "open_run": "sumtoone.runs",
    "relu": "sumtoone.functional",
    "resume": "sumtoone.training",
    "sigmoid": "sumtoone.functional",
    "softmax": "sumtoone.functional",
    "tanh": "sumtoone.functional",
}

if TYPE_CHECKING:
    from sumtoone.calibration import Calibration as Calibration
    from sumtoone.calibration import calibrate as calibrate
    from sumtoone.checking import Verdict as Verdict
    from sumtoone.checking import check as check
    from sumtoone.comparing import Comparison as Comparison
    from sumtoone.comparing import compare as compare
    from sumtoone.data import Dataset as Dataset
    from sumtoone.data import Preprocessing as Preprocessing
    from sumtoone.data import Split as Split
    from sumtoone.data import load as load
    from sumtoone.errors import DataError as DataError
    from sumtoone.errors import DtypeError as DtypeError
    from sumtoone.errors import RunError as RunError
    from sumtoone.errors import SeveralErrors as SeveralErrors
    from sumtoone.errors import ShapeError as ShapeError
    from sumtoone.errors import SpecificationError as SpecificationError
    from sumtoone.errors import SumtooneError as SumtooneError
    from sumtoone.errors import TrainingError as TrainingError
    from sumtoone.errors import UnavailableError as UnavailableError
    from sumtoone.errors import UsageError as UsageError
    from sumtoone.estimator import Classifier as Classifier
    from sumtoone.evaluation import Report as Report
    from sumtoone.evaluation import evaluate as evaluate
    from sumtoone.exporting import export as export
    from sumtoone.functional import cross_entropy as cross_entropy
    from sumtoone.functional import log_softmax as log_softmax
    from sumtoone.functional import relu as relu
    from sumtoone.functional import sigmoid as sigmoid
    from sumtoone.functional import softmax as softmax
    from sumtoone.functional import tanh as tanh
    from sumtoone.history import History as History
    from sumtoone.network import Network as Network
    from sumtoone.runs import Run as Run
    from sumtoone.runs import open_run as open_run
    from sumtoone.shapes import Explanation as Explanation
    from sumtoone.shapes import explain as explain
    from sumtoone.specification import Specification as Specification
    from sumtoone.training import TrainingOptions as TrainingOptions
    from sumtoone.training import fit as fit
    from sumtoone.training import resume as resume

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - the keys are strings


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'sumtoone' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def load_ipython_extension(shell: object) -> None:
    """Bring ``%%check`` into a notebook, at ``%load_ext sumtoone``."""
    from sumtoone.notebook import load_ipython_extension as load

    load(shell)


def unload_ipython_extension(shell: object) -> None:
    """Take ``%%check`` out of a notebook."""
    from sumtoone.notebook import unload_ipython_extension as unload

    unload(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
