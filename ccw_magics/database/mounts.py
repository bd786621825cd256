"""Where a file lies: on this machine alone, or where other hosts may have it open too."""

from __future__ import annotations

from pathlib import Path
from typing import Final

MOUNTINFO: Final = Path("/proc/self/mountinfo")

# fmt: off
_NETWORK_TYPES: Final = frozenset({
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.davfs2",
    "fuse.gcsfuse", "fuse.glusterfs", "fuse.goofys", "fuse.grpcfuse", "fuse.juicefs", "fuse.moosefs",
    "fuse.mount-s3", "fuse.osxfs", "fuse.rclone", "fuse.s3fs", "fuse.smbnetfs", "fuse.sshfs", "fuse.vmhgfs-fuse",
    "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs",
    "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "wekafs",
})
# fmt: on
"""File systems as Linux names them whose files another host, or a virtual machine's host, may have open as well."""


def is_on_network(path: Path, mountinfo: Path = MOUNTINFO) -> bool:
    """Whether other hosts may have the file open too, as far as Linux tells; False where nothing is known.

    Args:
        path: A file or directory, there or not.
        mountinfo: The table of mounts, in the format of proc_pid_mountinfo(5).
    """
    try:
        lines = mountinfo.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return False
    place = f"{path.resolve()}/"
    mounts = [_mount(line) for line in lines if " - " in line]
    found = [mount for mount in mounts if place.startswith(mount[0])]
    # Of several mounts on one point, the last is on top.
    return max(reversed(found), key=lambda mount: len(mount[0]), default=("", ""))[1] in _NETWORK_TYPES


def _mount(line: str) -> tuple[str, str]:
    """The mount point, with a slash at its end, and the type: the fifth field, and the first behind the dash."""
    mount, _, file_system = line.partition(" - ")
    return f"{_unescaped(mount.split(' ')[4]).rstrip('/')}/", file_system.split(" ")[0]


def _unescaped(field: str) -> str:
    """White space and backslashes stand there in octal."""
    if "\\" not in field:
        return field
    for code, character in (("040", " "), ("011", "\t"), ("012", "\n"), ("134", "\\")):
        field = field.replace(f"\\{code}", character)
    return field
