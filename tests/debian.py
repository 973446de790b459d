"""Programs of the system that tests use as real parts (nginx, apache2): found, or installed from Debian's packages."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def program(name: str, package: str = "") -> str:
    """The path of a program; installed with apt-get if it is missing and we may, else the test is skipped."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    found = shutil.which(name, path=path)
    if found is None and shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        for words in (["update"], ["install", "-y", "--no-install-recommends", package or name]):
            subprocess.run(["apt-get", "-q", *words], env=env, capture_output=True, timeout=600)
        found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"needs {name} (Debian package {package or name}), which is not installed")
    return found


class Authority:
    """A certificate authority of our own in ``folder``: ``ca.pem``, and certificates that it signs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._openssl = program("openssl")
        self.certificate = folder / "ca.pem"
        self._key = folder / "ca.key"
        self._run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                  "-subj", "/CN=trackd test authority", "-keyout", str(self._key), "-out", str(self.certificate))

    def _run(self, *words: str) -> None:
        subprocess.run([self._openssl, *words], check=True, capture_output=True, timeout=60)

    def sign(self, name: str, alternatives: str = "") -> Path:
        """A certificate for ``name`` with its key in one PEM file. ``alternatives`` as in ``DNS:a,IP:1.2.3.4``."""
        key, request, signed = (self.folder / f"{name}.{end}" for end in ("key", "csr", "crt"))
        self._run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                  "-keyout", str(key), "-out", str(request))
        words = ["x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAkey", str(self._key),
                 "-CAcreateserial", "-days", "2", "-out", str(signed)]
        if alternatives:
            extension = self.folder / f"{name}.ext"
            extension.write_text(f"subjectAltName={alternatives}\n", encoding="ascii")
            words += ["-extfile", str(extension)]
        self._run(*words)
        both = self.folder / f"{name}.pem"
        both.write_text(signed.read_text() + key.read_text(), encoding="ascii")
        return both
