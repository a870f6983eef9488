"""Find every study under some paths: nested folders, files of any name, zip archives.

The folders are searched themselves; a DICOMDIR is never followed. Only regular files are opened.
"""

from __future__ import annotations

import contextlib
import os
import stat
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from calcreport.dicom.codes import message, problem
from calcreport.dicom.grouping import group_studies, name_by_folder
from calcreport.dicom.header import tags, values
from calcreport.dicom.header.image_header import FilmHeader, ImageHeader, PatientHeader, Plane
from calcreport.dicom.header.parsing import FILM_SELECTION, HEAD_BYTES, planes_of, read_header, walk_again
from calcreport.dicom.series import Discovery, SeriesFiles, SetAside, StudyFiles
from calcreport.dicom.source import ByteSource, FileSource, ZipMemberSource, open_regular, open_unshared
from calcreport.errors import InputError
from calcreport.settings import ReadingSettings

_ZIP_MAGICS: Final = (b"PK\x03\x04", b"PK\x05\x06")  # beginnings of an archive with and without members
_SHORTEST_DICOM: Final = 140  # bytes: preamble, prefix and one element
_DEEPEST_FOLDER: Final = 64  # nesting that is searched
_ZIP_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # compression that is unpacked
# Most bytes the members of one archive may claim, 64 GiB; they are inflated one at a time and never written.
_LARGEST_UNPACKED: Final = 68_719_476_736
_SUSPICIOUS_UNPACKED: Final = 2_147_483_648  # bytes, 2 GiB
_NOT_DAMAGE: Final = frozenset(("file.not_dicom", "file.dicomdir"))  # codes of files that are intact and no image
_SUSPICIOUS_RATIO: Final = 200  # CT compresses three- to tenfold; beyond 200-fold and 2 GiB an archive is a bomb


@dataclass(slots=True)
class _Found:
    settings: ReadingSettings
    on_progress: Callable[[int], None] | None
    planes: list[Plane] = field(default_factory=list)
    films: list[FilmHeader] = field(default_factory=list)
    others: list[ImageHeader] = field(default_factory=list)
    aside: dict[str, SetAside] = field(default_factory=dict)
    seen: set[tuple[int, int]] = field(default_factory=set)
    folder_of: dict[int, str] = field(default_factory=dict)
    damaged: Counter[str] = field(default_factory=Counter)
    files: int = 0

    def count_file(self) -> None:
        self.files += 1
        if self.files > self.settings.max_files:
            raise problem("path.too_many_files", f"limit {self.settings.max_files}")
        if self.on_progress is not None and self.files % 50 == 0:
            self.on_progress(self.files)

    def set_aside(self, name: str, error: InputError) -> None:
        if first := self.aside.get(error.code):
            self.aside[error.code] = replace(first, message=message(error.code), count=first.count + 1)
        else:
            shown = values.clean(name.encode("utf-8", "replace").decode("utf-8"), longest=120)
            self.aside[error.code] = SetAside(name=shown, code=error.code, message=error.message, count=1)


def discover(
    paths: Sequence[Path], *, settings: ReadingSettings, on_progress: Callable[[int], None] | None = None
) -> Discovery:
    """Find and sort everything under the paths; no pixel is decoded.

    A path given may be a link; links found below are not followed. `on_progress` gets the number of files looked at,
    now and then and at the end. Raises `InputError` ``path.too_many_files``: a study that is found in part must not be
    measured. All other failures are rows of `Discovery.set_aside`.
    """
    found = _Found(settings, on_progress)
    with contextlib.ExitStack() as opened:
        for path in paths:
            for root, name in _regular_files(path, found):
                found.count_file()
                _look_at_file(found, opened, name, root)
        if on_progress is not None:
            on_progress(found.files)
        planes = name_by_folder(_without_damaged_names(found), found.folder_of)
        studies = _with_damage_noted(group_studies(planes, found.films, found.others), found)
        return Discovery(studies=studies, set_aside=tuple(found.aside.values()), _open=opened.pop_all())


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContent:
    """Content of one file as far as it sorts files into studies."""

    series: tuple[tuple[str, str], ...] = ()  # Study and Series Instance UID of its images, each once; empty where none
    patients: tuple[tuple[str, PatientHeader], ...] = field(default=(), repr=False)  # Study UID and identity
    aside: tuple[SetAside, ...] = ()  # why the file, or members of the archive, were set aside
    is_doubtful: bool = False  # damaged, or without an identity of its own: bears on what lies beside it


def survey(path: str, *, settings: ReadingSettings) -> FileContent:
    """Look at one file, or at every member of one archive, as `discover` does, and keep nothing of it."""
    found = _Found(settings, None)
    with contextlib.ExitStack() as opened:
        _look_at_file(found, opened, path, os.path.dirname(path))  # noqa: PTH120 - a string
    measurable = [*(plane.image for plane in found.planes), *(film.image for film in found.films)]
    lacking = any(any(_lacks(plane.image)) for plane in found.planes)
    return FileContent(
        series=tuple(dict.fromkeys((image.study_uid, image.series_uid) for image in (*measurable, *found.others))),
        patients=tuple({image.study_uid: image.patient for image in measurable}.items()),
        aside=tuple(found.aside.values()),
        is_doubtful=lacking or bool(found.damaged),
    )


def list_files(path: Path, *, settings: ReadingSettings) -> Generator[str, None, tuple[SetAside, ...]]:
    """Path of every regular file under `path`, folder by folder; hands back what was passed over."""
    found = _Found(settings, None)
    for _root, name in _regular_files(path, found):
        yield name
    return tuple(found.aside.values())


def _without_damaged_names(found: _Found) -> list[Plane]:
    """Slices but for those that lack a UID where others of their folder do not: nobody hides the identity of a few."""
    lacking: dict[str, set[tuple[bool, ...]]] = defaultdict(set)
    for plane in found.planes:
        lacking[found.folder_of[id(plane.image.source)]].add(_lacks(plane.image))
    kept = []
    for plane in found.planes:
        folder = found.folder_of[id(plane.image.source)]
        if len(lacking[folder]) > 1 and any(_lacks(plane.image)):
            found.damaged[folder] += 1
            found.set_aside(os.path.basename(folder), problem("file.no_uid"))  # noqa: PTH119 - a string
        else:
            kept.append(plane)
    return kept


def _lacks(image: ImageHeader) -> tuple[bool, ...]:
    return not image.study_uid, not image.series_uid, image.lacks_identity


def _with_damage_noted(studies: tuple[StudyFiles, ...], found: _Found) -> tuple[StudyFiles, ...]:
    """Studies whose series say so when unreadable DICOM files lie beside them: an end slice may be among those."""
    if not found.damaged:
        return studies

    def noted(series: SeriesFiles) -> SeriesFiles:
        folders = {found.folder_of[id(image.source)] for image in series.instances}
        count = sum(found.damaged[folder] for folder in folders)
        note = f"{count} damaged DICOM files lie beside this series; it may be incomplete."
        return replace(series, notes=(*series.notes, note)) if count else series

    return tuple(replace(study, series=tuple(map(noted, study.series))) for study in studies)


def _regular_files(path: Path, found: _Found) -> Iterator[tuple[str, str]]:
    """Root and path of every regular file under `path`, in a fixed order."""
    root = os.path.realpath(path)
    try:
        mode = os.stat(root).st_mode  # noqa: PTH116 - one system call, and the path stays a string
    except OSError:
        found.set_aside(path.name, problem("path.missing"))
        return
    if stat.S_ISREG(mode):
        yield str(Path(root).parent), root
    elif stat.S_ISDIR(mode):
        yield from _walk(root, root, found, depth=0)
    else:
        found.set_aside(path.name, problem("file.special"))


def _walk(root: str, folder: str, found: _Found, *, depth: int) -> Iterator[tuple[str, str]]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError:
        found.set_aside(os.path.relpath(folder, root), problem("path.unreadable"))
        return
    folders = []
    for entry in entries:
        if entry.is_symlink():
            found.set_aside(os.path.relpath(entry.path, root), problem("file.symlink"))
        elif entry.is_dir(follow_symlinks=False):
            folders.append(entry.path)
        elif entry.is_file(follow_symlinks=False):
            yield root, entry.path
        else:
            found.set_aside(os.path.relpath(entry.path, root), problem("file.special"))
    for inner in folders:
        if depth >= _DEEPEST_FOLDER:
            found.set_aside(os.path.relpath(inner, root), problem("path.unreadable", "nested too deeply"))
        else:
            yield from _walk(root, inner, found, depth=depth + 1)


def _look_at_file(found: _Found, opened: contextlib.ExitStack, path: str, root: str) -> None:
    try:
        descriptor, status = open_regular(path)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            identity = (status.st_dev, status.st_ino)
            if identity in found.seen:
                return
            found.seen.add(identity)
            if status.st_size > found.settings.max_file_bytes:
                raise problem("file.too_large")
            head = file.read(HEAD_BYTES)
        if head[:4] in _ZIP_MAGICS:
            _look_into_zip(found, opened, path, root)
        else:
            _take(found, FileSource(path, status), head, os.path.dirname(path))  # noqa: PTH120 - a string
    except (InputError, OSError) as error:
        known = error if isinstance(error, InputError) else problem("file.unreadable")
        found.set_aside(os.path.relpath(path, root), known)


def _take(found: _Found, source: ByteSource, head: bytes, folder: str) -> None:
    if not head:
        raise problem("file.empty")
    if len(head) < _SHORTEST_DICOM:
        raise problem("file.not_dicom")
    try:
        image, item = read_header(source, head, inflate_limit=found.settings.max_file_bytes, may_lack_uids=True)
        storage_class, has_pixels = image.series.sop_class_uid, image.pixels.place is not None
        planes = planes_of(image, item) if has_pixels and storage_class in tags.CT_CLASSES else ()
        if not planes and not (image.study_uid and image.series_uid and not image.lacks_identity):
            raise problem("file.no_uid")  # only the geometry of CT slices shows that they belong together
        is_film = has_pixels and storage_class in tags.FILM_CLASSES
        films = [FilmHeader(image=image, item=walk_again(image, FILM_SELECTION))] if is_film else []
    except InputError as error:
        if error.code not in _NOT_DAMAGE:
            found.damaged[folder] += 1
        raise
    found.planes += planes
    found.films += films
    if not planes and not films:
        if image.series.is_own_result:
            raise problem("file.own_result")
        found.others.append(image)
    found.folder_of[id(image.source)] = folder


def _look_into_zip(found: _Found, opened: contextlib.ExitStack, path: str, root: str) -> None:
    file = opened.enter_context(open_unshared(path))
    try:
        archive = opened.enter_context(zipfile.ZipFile(file))
        members = [member for member in archive.infolist() if not member.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise problem("zip.damaged") from error
    unpacked, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
    is_suspicious = unpacked > _SUSPICIOUS_UNPACKED and unpacked > _SUSPICIOUS_RATIO * max(packed, 1)
    if unpacked > _LARGEST_UNPACKED or is_suspicious:
        raise problem("zip.bomb")
    for number, member in enumerate(members, start=1):
        found.count_file()
        try:
            _look_at_member(found, archive, member, path)
        except InputError as error:
            found.set_aside(f"{os.path.relpath(path, root)}, member {number}", error)


def _look_at_member(found: _Found, archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: str) -> None:
    if member.flag_bits & 0x1:
        raise problem("zip.encrypted")
    if member.compress_type not in _ZIP_METHODS:
        raise problem("zip.compression")
    if member.file_size > found.settings.max_file_bytes:
        raise problem("file.too_large")
    source = ZipMemberSource(archive, member, folder)
    head = source.head(HEAD_BYTES)
    if head[:4] == _ZIP_MAGICS[0]:
        raise problem("zip.nested")
    _take(found, source, head, os.path.join(folder, os.path.dirname(member.filename)))  # noqa: PTH118, PTH120 - a key
