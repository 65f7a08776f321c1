"""sshfs's file system with one thing mended: moving a file never copies through a shell and never loses the source."""

from __future__ import annotations

import asyncssh
from sshfs import SSHFileSystem
from sshfs.utils import wrap_exceptions


class SftpFileSystem(SSHFileSystem):
    """An SFTP server as fsspec sees it."""

    protocol = ("sftp", "ssh")

    @wrap_exceptions
    async def _mv(self, lpath: str, rpath: str, **kwargs: object) -> None:
        """Rename; on a server without OpenSSH's extension an existing target goes first.

        sshfs copies with a shell there and removes the source even when that failed.
        """
        async with self._pool.get() as channel:
            try:
                await channel.posix_rename(lpath, rpath)
            except asyncssh.SFTPOpUnsupported:
                if await channel.exists(rpath):
                    await channel.remove(rpath)
                await channel.rename(lpath, rpath)
