"""The folder that NVIDIA's Triton Inference Server loads as a model: what it says of the ONNX file in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sumtoone.data.names import is_name
from sumtoone.exporting.agreement import raw_type
from sumtoone.exporting.onnx_graph import INPUT, LABEL, PROBABILITIES
from sumtoone.language.display import printable

if TYPE_CHECKING:
    from sumtoone.runs import Run

# Rows of one request, and of what Triton makes of several.
MOST_ROWS = 1024
_TYPES = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32", "float64": "TYPE_FP64"}

# Without a name: it is that of the folder, also after somebody renamed it. Triton writes one number a row, as `label`
# is, as a dimension of 1 that is taken away again.
_CONFIG = """\
backend: "onnxruntime"
max_batch_size: {most}

input [
  {{
    name: "{input}"
    data_type: {type}
    dims: [ {features} ]
  }}
]

output [
  {{
    name: "{probabilities}"
    data_type: TYPE_FP32
    dims: [ {classes} ]
    label_filename: "labels.txt"
  }},
  {{
    name: "{label}"
    data_type: TYPE_INT64
    dims: [ 1 ]
    reshape {{ shape: [ ] }}
  }}
]

dynamic_batching {{ }}
"""


def files(run: Run, model: bytes) -> dict[str, bytes]:
    """Return the files of a model's folder by their names: ``config.pbtxt``, ``labels.txt`` and ``1/model.onnx``.

    ``labels.txt`` has a line for each class; what would break a line is written as its escape.
    """
    config = _CONFIG.format(
        most=MOST_ROWS,
        input=INPUT,
        type=_TYPES[raw_type(run.preprocessing)],
        features=run.preprocessing.features,
        probabilities=PROBABILITIES,
        classes=len(run.classes),
        label=LABEL,
    )
    labels = "".join(f"{name if is_name(name) else printable(name)}\n" for name in run.classes)
    return {"config.pbtxt": config.encode(), "labels.txt": labels.encode(), "1/model.onnx": model}
