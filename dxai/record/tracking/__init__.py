"""What MLflow is told of a run: at once where it answers, and later from a journal where it does not."""

import os

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the journal is told again, and nobody waits for it
}
"""Read by MLflow when it is imported; what a person has set stays."""

for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)
