"""What tests of the examples share with those of the client."""

from tests.client_module import mlflow

__all__ = ["mlflow"]
