"""Where the bytes of an image come from: a regular file or a member of a zip archive, opened safely.

Symbolic links, FIFOs and devices are never opened; what was seen during discovery is checked again when read.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from typing import TYPE_CHECKING, Final, Protocol

from calcreport.dicom.codes import problem

if TYPE_CHECKING:
    from typing_extensions import Buffer

_FLAGS: Final = os.O_RDONLY | sum(getattr(os, f"O_{name}", 0) for name in ("NOFOLLOW", "NONBLOCK", "CLOEXEC", "BINARY"))
"""A link or a device is not opened, a pipe does not wait."""
# What zipfile raises for damaged or unsupported archives.
_ZIP_ERRORS: Final = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError, ValueError)


class ByteSource(Protocol):
    """Bytes of one DICOM file."""

    __slots__ = ()

    size: int  # bytes in the file
    place: str  # folder or archive the file lies in, absolute; for finding it again, never for display

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes; raises ``file.truncated``, ``file.changed``, ``file.unreadable``, ``zip.damaged``."""
        ...

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` (bytes, writable) from `offset`; errors as for `read`."""
        buffer[:] = self.read(offset, len(buffer))

    def head(self, length: int) -> bytes:
        """Up to `length` first bytes, fewer only at the end; errors as for `read`."""
        return self.read(0, min(self.size, length))


def open_regular(path: str) -> tuple[int, os.stat_result]:
    """Open a regular file, following no link and waiting on no FIFO; ``file.unreadable``, ``file.special``."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        raise problem("file.unreadable") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise problem("file.special")
    return descriptor, status


class FileSource(ByteSource):
    """A regular file, opened anew for every read so that no descriptor stays open.

    A file that differs from the `status` that `open_regular` saw is refused.
    """

    __slots__ = ("_identity", "_path", "place", "size")

    def __init__(self, path: str, status: os.stat_result) -> None:
        self._path, self.size = path, status.st_size
        self.place = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120 - a string, for every file
        self._identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def read(self, offset: int, length: int) -> bytes:
        """Read `length` bytes from `offset`."""
        self.read_into(offset, memoryview(buffer := bytearray(length)))
        return bytes(buffer)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from `offset`."""
        if offset + len(buffer) > self.size:
            raise problem("file.truncated")
        descriptor, status = open_regular(self._path)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            if (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns) != self._identity:
                raise problem("file.changed")
            try:
                file.seek(offset)
                while buffer:
                    count = file.readinto(buffer)
                    if not count:
                        raise problem("file.changed")
                    buffer = buffer[count:]
            except OSError as error:
                raise problem("file.unreadable") from error


def open_unshared(path: str) -> io.BufferedReader:
    """Open a regular file whose position belongs to this process alone; errors as for `open_regular`."""
    return io.BufferedReader(_UnsharedFile(open_regular(path)[0]))


class _UnsharedFile(io.RawIOBase):
    """Worker processes that inherit a plain descriptor share its position, and would read each other's bytes."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor, self._position, self._size = descriptor, 0, os.fstat(descriptor).st_size

    def readable(self) -> bool:
        return True

    seekable = readable

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = max(0, offset + (0, self._position, self._size)[whence])
        return self._position

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        data = os.pread(self._descriptor, len(view), self._position)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


class ZipMemberSource(ByteSource):
    """A member of an open zip archive, inflated on demand and never written to disk; its name is never used as a path.

    `path` is that of the archive.
    """

    __slots__ = ("_archive", "_member", "place", "size")

    def __init__(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str) -> None:
        self._archive, self._member = archive, member
        self.size, self.place = member.file_size, os.path.abspath(path)  # noqa: PTH100 - a string

    def read(self, offset: int, length: int) -> bytes:
        """Read `length` bytes from `offset`."""
        if offset + length > self.size:
            raise problem("file.truncated")
        try:
            with self._archive.open(self._member) as stream:
                stream.seek(offset)
                data = stream.read(length)
        except _ZIP_ERRORS as error:
            raise problem("zip.damaged") from error
        if len(data) != length:
            raise problem("zip.damaged")
        return data


class DeflatedSource(ByteSource):
    """The data set of a deflated file (PS3.5 annex A.5) from `start` on, inflated as far as asked for.

    Deflate can grow a thousandfold: no more than `limit` bytes are inflated.
    """

    __slots__ = ("_inner", "_start", "place", "size")

    def __init__(self, inner: ByteSource, start: int, limit: int) -> None:
        self._inner, self._start, self.place = inner, start, inner.place
        self.size = min(limit, 1100 * (inner.size - start) + 1024)  # deflate grows at most 1032-fold

    def head(self, length: int) -> bytes:
        """Up to `length` first bytes of the inflated data set; fewer only at its end."""
        machine = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            return machine.decompress(self._inner.read(self._start, self._inner.size - self._start), length)
        except zlib.error as error:
            raise problem("file.deflate") from error

    def read(self, offset: int, length: int) -> bytes:
        """Read `length` bytes from `offset` of the inflated data set."""
        if offset + length > self.size:
            raise problem("file.deflate")
        data = self.head(offset + length)[offset:]
        if len(data) != length:
            raise problem("file.truncated")
        return data
