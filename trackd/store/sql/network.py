"""Network file systems, on which SQLite's shared memory (WAL) does not work."""

import os

#: As /proc/mounts names them.
_NETWORK = frozenset(
    "nfs nfs4 cifs smb3 smbfs ncpfs afs ceph glusterfs lustre beegfs fuse.sshfs fuse.glusterfs 9p".split()
)


def is_on_network(path: str) -> bool:
    """Whether the mount that holds ``path`` is of a network file system; only Linux can say."""
    path = os.path.realpath(path)
    best, kind = "", ""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
            for line in mounts:
                _, point, found, *_ = line.split(" ")
                point = point.replace("\\040", " ")
                if len(point) >= len(best) and (path == point or path.startswith(point.rstrip("/") + "/")):
                    best, kind = point, found
    except FileNotFoundError:
        return False
    return kind in _NETWORK
