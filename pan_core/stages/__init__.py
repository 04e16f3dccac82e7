"""The stages of dvc.yaml, one module each under the stage's name.

A stage module has `run(params, tracked) -> dict`: it reads parameters and files, calls the library and returns its
figures. The runner adds what all of them share: the MLflow run, the JSON result, the time.
"""

STAGES = (
    "fetch",
    "split",
    "pose_model",
    "pose",
    "relabel",
    "validate",
    "drift",
    "tune",
    "train",
    "evaluate",
    "export",
    "latency",
    "promote",
)
