"""Pictures of data, of training and of judgement: each function returns a matplotlib figure, ``save`` writes it.

Every picture speaks the language in force, on every machine: a font with Hangul comes with the package.
"""

from __future__ import annotations

from sumtoone.plots.canvas import save
from sumtoone.plots.comparison import Curve, comparison_curves
from sumtoone.plots.diagrams import activation_functions, activation_shapes
from sumtoone.plots.images import digit_grid, prediction
from sumtoone.plots.judgement import confusion_matrix, reliability_diagram, training_curves

__all__ = [
    "Curve",
    "activation_functions",
    "activation_shapes",
    "comparison_curves",
    "confusion_matrix",
    "digit_grid",
    "prediction",
    "reliability_diagram",
    "save",
    "training_curves",
]
