"""The one boto3 client, and what S3's errors mean here. The only file that imports boto3, when a bucket is opened.

What MLflow reads from the environment is read here as well: ``MLFLOW_S3_ENDPOINT_URL``, ``MLFLOW_S3_IGNORE_TLS``,
``MLFLOW_S3_UPLOAD_EXTRA_ARGS``, ``MLFLOW_S3_EXPECTED_BUCKET_OWNER``, ``MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE``,
``MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION``. Credentials, region, proxies, certificates and retries are boto3's
business, with its own variables and files.

An error names bucket and key and the code that S3 gave, never the text that S3 or boto3 wrote: that can hold anything.
"""

import json
import os
import threading
from contextlib import contextmanager
from typing import Any, Dict, Iterator

from trackd.artifacts.base import NotHere
from trackd.errors import (
    InvalidParameterValue,
    PermissionDenied,
    ResourceDoesNotExist,
    TemporarilyUnavailable,
    TrackdError,
)

#: Seconds of silence until a connection counts as lost.
SILENCE = 60
#: Connections that are kept open at most; more are opened if need be.
CONNECTIONS = 64
#: How often a request is made before S3 counts as busy (503, SlowDown) or gone, with growing pauses: some 10 s in all.
ATTEMPTS = 6

_NOT_FOUND = frozenset(("NoSuchKey", "404", "NotFound"))
_DENIED = frozenset((
    "AccessDenied", "AllAccessDisabled", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken",
    "InvalidToken", "TokenRefreshRequired", "RequestTimeTooSkewed", "Forbidden",
))
_LATER = frozenset((
    "SlowDown", "ServiceUnavailable", "503", "InternalError", "500", "502", "504", "RequestTimeout", "Throttling",
    "ThrottlingException", "RequestLimitExceeded", "OperationAborted",
))

_client: Any = None
_client_lock = threading.Lock()


def client() -> Any:
    """The client of this process; boto3 says that threads may share one."""
    global _client
    with _client_lock:
        if _client is None:
            _client = _new_client()
        return _client


def _new_client() -> Any:
    try:
        import boto3
        from botocore import UNSIGNED
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise NotHere(
            "Artifacts in S3 need boto3, which this Python does not have. Install it where trackd runs: "
            "pip install boto3"
        ) from None
    environment = os.environ
    endpoint = environment.get("MLFLOW_S3_ENDPOINT_URL") or None
    signature = environment.get("MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION") or "s3v4"
    options: Dict[str, Any] = {
        "signature_version": UNSIGNED if signature.lower() == "unsigned" else signature,
        "s3": {"addressing_style": environment.get("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE") or "auto"},
        "max_pool_connections": CONNECTIONS,
        "connect_timeout": 10,
        "read_timeout": SILENCE,
    }
    if not (environment.get("AWS_MAX_ATTEMPTS") or environment.get("AWS_RETRY_MODE")):
        options["retries"] = {"mode": "standard", "total_max_attempts": ATTEMPTS}
    if endpoint and not environment.get("AWS_REQUEST_CHECKSUM_CALCULATION"):
        # Many a server that speaks S3 does not know the checksums that boto3 adds for Amazon's.
        options["request_checksum_calculation"] = "when_required"
        options["response_checksum_validation"] = "when_required"
    # An old botocore does not know all of these.
    config = Config(**{name: value for name, value in options.items() if name in Config.OPTION_DEFAULTS})
    verify = False if environment.get("MLFLOW_S3_IGNORE_TLS", "").lower() in ("1", "true") else None
    try:
        return boto3.session.Session().client("s3", endpoint_url=endpoint, verify=verify, config=config)
    except (BotoCoreError, ValueError) as error:
        # A ValueError is about the endpoint, which may have a password in it.
        raise PermissionDenied(
            f"boto3 cannot make a client for S3 ({type(error).__name__}); look at MLFLOW_S3_ENDPOINT_URL, AWS_PROFILE "
            "and the other settings for AWS."
        ) from None


def extra_arguments() -> Dict[str, Any]:
    """``MLFLOW_S3_UPLOAD_EXTRA_ARGS`` and the expected owner, as boto3's arguments of an upload."""
    text = os.environ.get("MLFLOW_S3_UPLOAD_EXTRA_ARGS", "")
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InvalidParameterValue(
            'MLFLOW_S3_UPLOAD_EXTRA_ARGS is not a JSON object such as {"ServerSideEncryption": "aws:kms"}.'
        )
    owner = os.environ.get("MLFLOW_S3_EXPECTED_BUCKET_OWNER")
    return {"ExpectedBucketOwner": owner, **found} if owner else found


@contextmanager
def explained(what: str, bucket: str, key: str) -> Iterator[None]:
    """Our own errors in place of boto3's. ``what`` is a verb: "read", "list"."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        ParamValidationError,
        PartialCredentialsError,
    )

    sentence = f"Cannot {what} s3://{bucket}/{key}"
    try:
        yield
    except ClientError as error:
        raise meaning(sentence, bucket, str(error.response.get("Error", {}).get("Code", ""))) from None
    except (NoCredentialsError, PartialCredentialsError):
        raise PermissionDenied(
            f"{sentence}: the server has no credentials for S3. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for "
            "it, or use any other way that boto3 knows."
        ) from None
    except ParamValidationError:
        raise InvalidParameterValue(f"{sentence}: boto3 does not take that bucket, key or argument.") from None
    except BotoCoreError as error:
        raise TemporarilyUnavailable(
            f"{sentence}: S3 does not answer ({type(error).__name__}). Is the endpoint right, and up?"
        ) from None


def meaning(sentence: str, bucket: str, code: str) -> TrackdError:
    """The error for the code that S3 answered."""
    if code == "NoSuchBucket":
        return ResourceDoesNotExist(f"{sentence}: there is no bucket {bucket!r}.")
    if code == "NoSuchUpload":
        return ResourceDoesNotExist(f"{sentence}: there is no such upload; it was completed, aborted or swept.")
    if code in _NOT_FOUND:
        return ResourceDoesNotExist(f"{sentence}: there is no such object.")
    if code in _DENIED:
        return PermissionDenied(f"{sentence}: S3 does not let the server do that ({code}).")
    if code in _LATER:
        return TemporarilyUnavailable(f"{sentence}: S3 is busy ({code}); try again.")
    if code in ("PreconditionFailed", "412"):
        return TemporarilyUnavailable(f"{sentence}: it was replaced while it was read; try again.")
    return InvalidParameterValue(f"{sentence}: S3 answers {code or 'an error without a code'}.")


class Lost(Exception):
    """The connection broke off while the body of an object came."""


def read_block(body: Any, size: int) -> bytes:
    """The next bytes of a body, nothing at its end; ``Lost`` if the connection is."""
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    try:
        return bytes(body.read(size))
    except (HTTPClientError, IncompleteReadError, OSError) as error:
        raise Lost(type(error).__name__) from None
