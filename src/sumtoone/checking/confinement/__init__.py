"""Confinement: what a learner's code can do is answer; whatever else it tries is refused, and the refusal is proved.

A :class:`Nursery` is a freshly executed process that forks one confined child for each submission.
"""

from sumtoone.checking.confinement.limits import LEVELS, PROPERTIES, Limits
from sumtoone.checking.confinement.nursery import Nursery
from sumtoone.checking.confinement.subject import Confined

__all__ = ["LEVELS", "PROPERTIES", "Confined", "Limits", "Nursery"]
