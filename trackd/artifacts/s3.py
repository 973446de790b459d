"""Artifacts in S3, or in something that speaks its language (MinIO, Ceph, R2 ...), through boto3.

Nothing is kept on disk and little in memory: an upload holds one part (``PART``) at a time, a download one block. Up to
one part, an upload is one request; a larger one is a multipart upload, which S3 shows when it is complete. So an upload
that breaks off at any point leaves the old object, or none.
"""

import io
import logging
import mimetypes
from typing import Any, Dict, FrozenSet, Iterator, List, Optional, Sequence, Tuple

from trackd.artifacts.base import ArtifactStore, Entry, Opened, Part, Presigned, Stream, Target, Upload
from trackd.artifacts.paths import ArtifactPath
from trackd.artifacts.s3_client import Lost, client, explained, extra_arguments, meaning, read_block
from trackd.errors import InvalidParameterValue, ResourceDoesNotExist, TemporarilyUnavailable, TrackdError

#: Bytes of an upload that are held in memory, and the size of its parts; S3 takes no smaller ones than 5 MiB.
PART = 8 << 20
#: S3 takes so many parts and no more; for a longer upload they grow.
MOST_PARTS = 10_000
#: Bytes that are read at a time.
BLOCK = 256 << 10
#: Entries of a listing in one answer, and objects that are deleted by one request; S3 takes no more.
PAGE = 1000
#: How often a download goes on after its connection was lost, with nothing received in between.
RESUMES = 4
#: The longest key, in bytes of UTF-8.
LONGEST_KEY = 1024
#: Seconds for which a client may PUT parts of an upload. The credentials of the server can end sooner.
PART_SECONDS = 24 * 3600
#: Uploads under way of which it is remembered how many parts they will have.
MOST_TOTALS = 10_000
#: Seconds after which an upload that was not completed counts as given up.
STALE = 7 * 24 * 3600

#: Of the extra arguments of an upload, those that its parts, what reads an object, and other requests take as well.
_FOR_READING = frozenset((
    "SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5", "RequestPayer", "ExpectedBucketOwner",
))
_FOR_PARTS = _FOR_READING | {"ChecksumAlgorithm"}
_FOR_THE_REST = frozenset(("RequestPayer", "ExpectedBucketOwner"))
#: What boto3 calls the arguments of an upload -> the header in which a client sends them with a presigned URL.
_HEADERS = {
    "ACL": "x-amz-acl",
    "CacheControl": "Cache-Control",
    "ContentDisposition": "Content-Disposition",
    "ContentEncoding": "Content-Encoding",
    "ContentLanguage": "Content-Language",
    "ContentType": "Content-Type",
    "ExpectedBucketOwner": "x-amz-expected-bucket-owner",
    "GrantFullControl": "x-amz-grant-full-control",
    "GrantRead": "x-amz-grant-read",
    "GrantReadACP": "x-amz-grant-read-acp",
    "GrantWriteACP": "x-amz-grant-write-acp",
    "RequestPayer": "x-amz-request-payer",
    "SSECustomerAlgorithm": "x-amz-server-side-encryption-customer-algorithm",
    "SSECustomerKey": "x-amz-server-side-encryption-customer-key",
    "SSECustomerKeyMD5": "x-amz-server-side-encryption-customer-key-MD5",
    "SSEKMSEncryptionContext": "x-amz-server-side-encryption-context",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "StorageClass": "x-amz-storage-class",
    "Tagging": "x-amz-tagging",
    "WebsiteRedirectLocation": "x-amz-website-redirect-location",
}

_log = logging.getLogger("trackd.artifacts")


class S3Artifacts(ArtifactStore):
    """The objects below ``s3://bucket/prefix``."""

    multipart = True
    presigned = True

    def __init__(self, uri: str) -> None:
        bucket, _, prefix = uri.partition("://")[2].partition("/")
        if not bucket or "@" in bucket:
            raise InvalidParameterValue(f"{uri.rpartition('@')[2]!r} names no bucket; expected s3://bucket/prefix.")
        self.uri = uri
        self._bucket = bucket
        self._prefix = prefix.strip("/")
        self._extra = extra_arguments()
        self._s3 = client()
        #: How many parts the uploads will have that were begun here.
        self._totals: Dict[str, int] = {}

    # -- names --------------------------------------------------------------------------------------------------------

    def _key(self, path: str) -> str:
        key = "/".join(part for part in (self._prefix, path) if part)
        if len(key.encode("utf-8", "surrogatepass")) > LONGEST_KEY:
            raise InvalidParameterValue(f"{path[:200]!a} is too long for S3: a key has at most {LONGEST_KEY} bytes.")
        return key

    def _folder(self, path: str) -> str:
        """What the keys of everything in a folder begin with."""
        key = self._key(path)
        return key + "/" if key else ""

    def _path(self, key: str) -> ArtifactPath:
        return ArtifactPath(key[len(self._prefix) + 1 :] if self._prefix else key)

    def _some(self, names: FrozenSet[str]) -> Dict[str, Any]:
        """Bucket, and those of the extra arguments that a request takes."""
        return {"Bucket": self._bucket, **{name: value for name, value in self._extra.items() if name in names}}

    # -- looking ------------------------------------------------------------------------------------------------------

    def list(self, path: ArtifactPath) -> List[Entry]:
        """See ``base``."""
        prefix = self._folder(path)
        found: Dict[str, Entry] = {}
        for page in self._pages("list_objects_v2", prefix, Prefix=prefix, Delimiter="/"):
            for each in page.get("CommonPrefixes", ()):
                name = each["Prefix"][len(prefix) : -1]
                found[name] = Entry(name, True, 0)
            for each in page.get("Contents", ()):
                # Where a file and a folder have one name, which S3 allows, the folder is shown.
                name = each["Key"][len(prefix) :]
                found.setdefault(name, Entry(name, False, each["Size"]))
        # An empty object that is named like the folder is how some programs make folders.
        return [found[name] for name in sorted(found) if name]

    def _pages(self, operation: str, shown: str, **more: Any) -> Iterator[Dict[str, Any]]:
        """The answers to a listing, as many as it takes."""
        paginator = self._s3.get_paginator(operation)
        pages = iter(paginator.paginate(PaginationConfig={"PageSize": PAGE}, **self._some(_FOR_THE_REST), **more))
        while True:
            with explained("list", self._bucket, shown):
                page = next(pages, None)
            if page is None:
                return
            yield page

    def walk(self, path: ArtifactPath) -> Iterator[Tuple[ArtifactPath, int]]:
        """See ``base``."""
        key, folder = self._key(path), self._folder(path)
        for page in self._pages("list_objects_v2", folder, Prefix=key):
            for each in page.get("Contents", ()):
                # A prefix is no path: "run-1" is one of "run-12".
                if each["Key"] == key or each["Key"].startswith(folder):
                    yield self._path(each["Key"]), each["Size"]

    def open(self, path: ArtifactPath) -> Opened:
        """See ``base``."""
        key = self._key(path)
        try:
            with explained("read", self._bucket, key):
                found = self._s3.head_object(Key=key, **self._some(_FOR_READING))
        except ResourceDoesNotExist:
            if self._is_folder(path):
                what = f"{path!a} is a folder, not a file; list it, or name a file in it."
                raise InvalidParameterValue(what) from None
            raise
        return _Object(self, key, found["ContentLength"], found["LastModified"].timestamp(), found["ETag"])

    def _is_folder(self, path: ArtifactPath) -> bool:
        prefix = self._folder(path)
        with explained("list", self._bucket, prefix):
            found = self._s3.list_objects_v2(Prefix=prefix, MaxKeys=1, **self._some(_FOR_THE_REST))
        return bool(found.get("KeyCount"))

    # -- reading ------------------------------------------------------------------------------------------------------

    def blocks(self, key: str, start: int, stop: int, etag: str) -> Iterator[bytes]:
        """The bytes of an object from ``start`` to before ``stop``.

        A connection that is lost on the way is replaced, for the same content or not at all.
        """
        failures = 0
        while start < stop:
            with explained("read", self._bucket, key):
                found = self._s3.get_object(
                    Key=key, Range=f"bytes={start}-{stop - 1}", IfMatch=etag, **self._some(_FOR_READING)
                )
            body = found["Body"]
            try:
                while start < stop:
                    block = read_block(body, min(BLOCK, stop - start))
                    if not block:
                        raise Lost("it ended too early")
                    start += len(block)
                    failures = 0
                    yield block
            except Lost as error:
                failures += 1
                if failures > RESUMES:
                    raise TemporarilyUnavailable(
                        f"Cannot read s3://{self._bucket}/{key}: the connection is lost again and again ({error})."
                    ) from None
            finally:
                body.close()

    # -- writing ------------------------------------------------------------------------------------------------------

    def write(self, path: ArtifactPath, stream: Stream, size: Optional[int] = None) -> None:
        """See ``base``."""
        key = self._key(path)
        if not path:
            raise InvalidParameterValue("The path of the artifact is empty; name a file.")
        length = PART if size is None else max(PART, -(-size // MOST_PARTS))
        first, count = _fill(stream, length)
        if count < length:
            _check_size(count, size)
            with explained("write", self._bucket, key):
                self._s3.put_object(Bucket=self._bucket, Key=key, Body=first, **self._typed(path))
            return
        upload_id = self.create_upload(path, 0)
        try:
            self._put_parts(key, upload_id, first, stream, length, size)
        except BaseException:
            self._abandon(path, upload_id)
            raise

    def _put_parts(
        self, key: str, upload_id: str, part: io.BytesIO, stream: Stream, length: int, size: Optional[int]
    ) -> None:
        parts: List[Tuple[int, str]] = []
        count = total = length
        while count:
            number = len(parts) + 1
            with explained("write", self._bucket, key):
                done = self._s3.upload_part(
                    Key=key, UploadId=upload_id, PartNumber=number, Body=part, **self._some(_FOR_PARTS)
                )
            parts.append((number, done["ETag"]))
            if number % 1000 == 0 and size is None:
                length *= 2  # of unknown length: 10,000 parts must be enough for any
            part.close()  # its memory is needed for the next
            part, count = _fill(stream, length)
            total += count
        _check_size(total, size)
        self._complete(key, upload_id, parts)

    def _abandon(self, path: ArtifactPath, upload_id: str) -> None:
        """Let S3 forget the parts; if it cannot be reached now, a later sweep finds them."""
        try:
            self.abort_upload(path, upload_id)
        except TrackdError as error:
            _log.warning("the parts of an upload that broke off are left: %s", error.message)

    def _typed(self, path: ArtifactPath) -> Dict[str, Any]:
        """The extra arguments, with the content type by extension unless they name one."""
        kind, encoding = mimetypes.guess_type(path)
        found = {"ContentType": kind, "ContentEncoding": encoding}
        return {**{name: value for name, value in found.items() if value is not None}, **self._extra}

    def delete(self, path: ArtifactPath) -> None:
        """See ``base``."""
        batch: List[Dict[str, str]] = []
        for found, _ in self.walk(path):
            batch.append({"Key": self._key(found)})
            if len(batch) == PAGE:
                self._delete(batch)
                batch = []
        if batch:
            self._delete(batch)

    def _delete(self, keys: List[Dict[str, str]]) -> None:
        with explained("delete", self._bucket, keys[0]["Key"]):
            done = self._s3.delete_objects(Delete={"Objects": keys, "Quiet": True}, **self._some(_FOR_THE_REST))
        for error in done.get("Errors", ()):
            sentence = f"Cannot delete s3://{self._bucket}/{error.get('Key', '')}"
            raise meaning(sentence, self._bucket, error.get("Code", ""))

    # -- uploads in parts ---------------------------------------------------------------------------------------------

    def create_upload(self, path: ArtifactPath, total: int) -> str:
        """See ``base``."""
        key = self._key(path)
        with explained("write", self._bucket, key):
            begun = self._s3.create_multipart_upload(Bucket=self._bucket, Key=key, **self._typed(path))
        upload_id = str(begun["UploadId"])
        if total and len(self._totals) < MOST_TOTALS:
            self._totals[upload_id] = total
        return upload_id

    def targets(self, path: ArtifactPath, upload_id: str, numbers: Sequence[int], here: str) -> List[Target]:
        """See ``base``. The parts go to S3 itself."""
        key = self._key(path)
        return [
            Target(
                number,
                self._signed("upload_part", key, PART_SECONDS, _FOR_THE_REST, UploadId=upload_id, PartNumber=number),
                self._headers(_FOR_THE_REST),
            )
            for number in numbers
        ]

    def complete_upload(self, path: ArtifactPath, upload_id: str, parts: Sequence[Tuple[int, str]]) -> None:
        """See ``base``. S3 checks numbers, order and ETags."""
        self._complete(self._key(path), upload_id, parts)

    def _complete(self, key: str, upload_id: str, parts: Sequence[Tuple[int, str]]) -> None:
        listed = {"Parts": [{"PartNumber": number, "ETag": etag} for number, etag in parts]}
        with explained("write", self._bucket, key):
            self._s3.complete_multipart_upload(
                Key=key, UploadId=upload_id, MultipartUpload=listed, **self._some(_FOR_READING)
            )
        self._totals.pop(upload_id, None)

    def abort_upload(self, path: ArtifactPath, upload_id: str) -> None:
        """See ``base``."""
        key = self._key(path)
        self._totals.pop(upload_id, None)
        try:
            with explained("write", self._bucket, key):
                self._s3.abort_multipart_upload(Key=key, UploadId=upload_id, **self._some(_FOR_THE_REST))
        except ResourceDoesNotExist:
            return

    def list_uploads(self, path: ArtifactPath) -> List[Upload]:
        """See ``base``. S3 does not know how many parts there will be; after a restart of the server ``total`` is 0."""
        key = self._key(path)
        found = []
        for page in self._pages("list_multipart_uploads", key, Prefix=key):
            for each in page.get("Uploads", ()):
                if each["Key"] == key:
                    begun = int(each["Initiated"].timestamp() * 1000)
                    upload_id = each["UploadId"]
                    try:
                        parts = self._parts(key, upload_id)
                    except ResourceDoesNotExist:
                        continue  # ended since it was listed
                    found.append(Upload(upload_id, begun, self._totals.get(upload_id, 0), parts))
        return sorted(found, key=lambda upload: -upload.creation_time)

    def _parts(self, key: str, upload_id: str) -> List[Part]:
        return [
            Part(each["PartNumber"], each["ETag"], each["Size"])
            for page in self._pages("list_parts", key, Key=key, UploadId=upload_id)
            for each in page.get("Parts", ())
        ]

    def sweep(self, now: float) -> int:
        """See ``base``. Only what was begun long ago: clients that write to S3 by themselves have theirs here, too.

        Whose credentials do not allow to look has nothing swept; a bucket can have a rule that does it.
        """
        count = 0
        try:
            for page in self._pages("list_multipart_uploads", self._folder(""), Prefix=self._folder("")):
                for each in page.get("Uploads", ()):
                    if now - each["Initiated"].timestamp() >= STALE:
                        self.abort_upload(self._path(each["Key"]), each["UploadId"])
                        count += 1
        except TrackdError as error:
            _log.warning("uploads that were given up are not looked for: %s", error.message)
        return count

    # -- clients that go to S3 itself ---------------------------------------------------------------------------------

    def presign_download(self, path: ArtifactPath, seconds: int) -> Presigned:
        """See ``base``. A browser saves it under its own name and shows nothing of it."""
        opened = self.open(path)
        disposition = _attachment(path.rpartition("/")[2])
        url = self._signed("get_object", self._key(path), seconds, _FOR_READING, ResponseContentDisposition=disposition)
        return Presigned(url, self._headers(_FOR_READING), opened.size)

    def presign_upload(self, path: ArtifactPath, seconds: int) -> Presigned:
        """See ``base``."""
        content_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
        every = frozenset(self._extra)
        more = {} if "ContentType" in every else {"ContentType": content_type}
        url = self._signed("put_object", self._key(path), seconds, every, **more)
        return Presigned(url, {"Content-Type": content_type, **self._headers(every)})

    def _signed(self, operation: str, key: str, seconds: int, names: FrozenSet[str], **more: Any) -> str:
        with explained("sign a URL for", self._bucket, key):
            parameters = {"Key": key, **self._some(names), **more}
            return str(self._s3.generate_presigned_url(operation, Params=parameters, ExpiresIn=seconds))

    def _headers(self, names: FrozenSet[str]) -> Dict[str, str]:
        """What a client must send with a URL that was signed with these arguments."""
        return {
            _HEADERS[name]: str(value) for name, value in self._extra.items() if name in names and name in _HEADERS
        }


class _Object(Opened):
    """An object as it was when it was looked at."""

    def __init__(self, store: S3Artifacts, key: str, size: int, mtime: float, etag: str) -> None:
        super().__init__(size, mtime, etag)
        self._store = store
        self._key = key

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """See ``base``."""
        return self._store.blocks(self._key, start, stop, self.etag)


def _fill(stream: Stream, size: int) -> Tuple[io.BytesIO, int]:
    """``size`` bytes, or fewer if there are no more, to be read again from the start; and how many."""
    part = io.BytesIO()
    missing = size
    while missing:
        block = stream.read(min(missing, BLOCK))
        if not block:
            break
        part.write(block)
        missing -= len(block)
    part.seek(0)
    return part, size - missing


def _check_size(found: int, size: Optional[int]) -> None:
    if size is not None and found != size:
        raise InvalidParameterValue(f"The body has {found} bytes, {size} were announced; nothing was kept.")


def _attachment(name: str) -> str:
    """A Content-Disposition that makes browsers save the file under this name (RFC 6266, RFC 8187)."""
    if name.isascii() and name.isprintable() and '"' not in name and "\\" not in name:
        return f'attachment; filename="{name}"'
    from urllib.parse import quote

    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"
