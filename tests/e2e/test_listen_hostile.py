"""Hostile peers: refused or contained; the service stays up, its memory bounded, its store clean."""

from __future__ import annotations

import random
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pydicom
import pytest

sys.path.append(str(Path(__file__).parent))

from listening import CT, EXPLICIT, Rough, Service, data_set_of, encoded, send, wait_for

MEBI = 1 << 20
DEFLATED = "1.2.840.10008.1.2.1.99"
LIMITS = "[service.limits]\nmax_message_bytes = 67108864\nidle_seconds = 4\nrequest_seconds = 2\n"


@pytest.fixture(scope="module")
def service(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all of these: whatever one does to it, the next ones notice."""
    service = Service(command, tmp_path_factory.mktemp("service"), LIMITS + "[service.analysis]\nworkers = 0\n").start()
    yield service
    assert service.stop() == 0


@pytest.fixture
def open_rough(service: Service) -> Iterator[Callable[..., Rough]]:
    with ExitStack() as stack:
        yield lambda **how: stack.enter_context(Rough(service.port, **how))


@pytest.fixture(scope="module")
def image(limb: Path) -> Path:
    return sorted(limb.iterdir())[0]


@pytest.fixture(autouse=True)
def _unharmed(service: Service, image: Path) -> Iterator[None]:
    """Afterwards it serves, has not grown, and holds nothing it did not acknowledge."""
    send(service.port, [image])
    before, files = service.memory_bytes, service.images()
    yield
    assert service.is_alive()
    assert send(service.port, [image]) == [0]
    wait_for(lambda: not service.incoming(), hint=service.incoming)
    assert service.memory_bytes - before < 60 * MEBI
    assert set(service.images()) >= set(files)
    assert "Traceback" not in service.log.read_text()


def _pour(rough: Rough, block: bytes, count: int) -> int:
    """Send a block again and again; how often before the connection was ended."""
    for number in range(count):
        try:
            rough.socket.sendall(block)
        except OSError:
            return number
    return count


@pytest.mark.parametrize("length", [0xFFFFFFFF, 1 << 30, 3 * MEBI])
def test_a_unit_that_announces_too_much_is_not_read(open_rough, length) -> None:
    rough = open_rough()
    rough.socket.sendall(struct.pack(">BBI", 4, 0, length))
    assert _pour(rough, bytes(MEBI), 64) < 64


def test_a_request_for_an_association_that_announces_too_much_is_not_read(open_rough) -> None:
    rough = open_rough(is_associated=False)
    rough.socket.sendall(struct.pack(">BBI", 1, 0, 64 * MEBI))
    assert _pour(rough, bytes(MEBI), 64) < 64


def test_a_message_without_an_end_is_cut_and_leaves_nothing(service, open_rough, image) -> None:
    rough = open_rough()
    rough.socket.sendall(rough.command("1.2.3") + rough.unit(data_set_of(image)[:1000], control=0))
    block = rough.unit(bytes(130_000), control=0)
    assert _pour(rough, block, 1000) * len(block) < 80 * MEBI
    wait_for(lambda: not service.incoming())


def test_a_large_message_is_not_held_in_memory(service, open_rough, image) -> None:
    rough = open_rough()
    before = service.memory_bytes
    dataset = pydicom.dcmread(image)
    dataset.SOPInstanceUID = "1.2.3.4.5"
    dataset.Rows, dataset.Columns, dataset.PixelData = 5000, 5000, bytes(50_000_000)
    fragments = list(rough.data(encoded(dataset)))
    rough.socket.sendall(rough.command("1.2.3.4.5") + b"".join(fragments[:-1]))
    wait_for(lambda: any(path.stat().st_size > 49_000_000 for path in service.incoming()))
    assert service.memory_bytes - before < 30 * MEBI
    rough.socket.sendall(fragments[-1])
    assert rough.status() == 0


def test_a_command_without_an_end_is_cut(open_rough) -> None:
    rough = open_rough()
    assert _pour(rough, rough.unit(bytes(60_000), control=1), 200) < 200


def test_data_without_a_command_are_cut(open_rough) -> None:
    rough = open_rough()
    assert _pour(rough, rough.unit(bytes(130_000), control=0), 500) < 500


def test_data_for_another_service_are_cut(open_rough) -> None:
    """C-FIND has a data set too, and pynetdicom would hold it in memory."""
    rough = open_rough()
    command = rough.command("1.2.3").replace(
        struct.pack("<HHIH", 0, 0x100, 2, 1), struct.pack("<HHIH", 0, 0x100, 2, 0x20)
    )
    rough.socket.sendall(command)
    assert _pour(rough, rough.unit(bytes(130_000), control=0), 500) < 500


def test_requests_without_waiting_for_answers_are_cut(service, open_rough) -> None:
    rough = open_rough()
    _pour(rough, rough.command("1.2.3"), 5000)
    assert rough.receive()[0] == 0
    wait_for(lambda: not service.incoming())


def test_a_hundred_silent_connections_lock_nobody_out(service, image) -> None:
    with ExitStack() as stack:
        for number in range(100):
            with suppress(OSError):
                rough = stack.enter_context(Rough(service.port, is_associated=False))
                request = rough.request(calling=f"IDLE{number}")
                rough.socket.sendall((b"", request, b"\1", request[:40])[number % 4])
        begun = time.monotonic()
        assert send(service.port, [image] * 3) == [0] * 3
        assert time.monotonic() - begun < 10


def test_silent_associations_end_by_themselves(open_rough) -> None:
    rough = open_rough()
    rough.socket.settimeout(15)
    begun = time.monotonic()
    assert rough.receive()[0] in {0, 7}
    assert 2 < time.monotonic() - begun < 12


def test_a_unit_that_trickles_is_given_up(open_rough) -> None:
    rough = open_rough()
    rough.socket.sendall(struct.pack(">BBI", 4, 0, 1000))
    begun = time.monotonic()
    with suppress(OSError):
        while time.monotonic() - begun < 15:
            rough.socket.sendall(b"\0")
            time.sleep(0.2)
    assert time.monotonic() - begun < 12


def test_noise_is_no_association(service) -> None:
    noise = random.Random(5)
    with Rough(service.port, is_associated=False) as model:
        request = model.request()
    samples = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\0\1",
        *(noise.randbytes(size) for size in range(1, 300, 15)),
    ]
    for _number in range(40):
        flipped = bytearray(request)
        for _flip in range(3):
            flipped[noise.randrange(6, len(flipped))] ^= 1 << noise.randrange(8)
        samples.append(bytes(flipped))
    for sample in samples:
        with Rough(service.port, is_associated=False) as rough, suppress(OSError):
            rough.socket.settimeout(0.05)
            rough.socket.sendall(sample)
            rough.socket.recv(100)


EVIL = ["../../../canary", "/canary", "..", "a/b", "1.2.3;touch canary", "$(touch canary)", "1.2\n3", "con", "1" * 64]


@pytest.mark.parametrize(
    "keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName"]
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_name_leads_out_of_the_store(service, open_rough, image, keyword) -> None:
    for number, value in enumerate(EVIL):
        dataset = pydicom.dcmread(image)
        dataset.SOPInstanceUID = f"1.2.99.{number}"
        dataset.add_new(keyword, dataset[keyword].VR, value)
        open_rough().store(str(dataset.SOPInstanceUID), encoded(dataset))
    outside = [*service.folder.rglob("*canary*"), *Path("/").glob("canary*")]
    assert not outside
    assert not [path for path in service.store.rglob("*") if not path.resolve().is_relative_to(service.store)]


def test_nesting_without_an_end_is_refused(open_rough, image) -> None:
    opening = b"\x40\x00\x75\xa3SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    dataset = pydicom.dcmread(image)
    del dataset.PixelData
    assert open_rough().store(str(dataset.SOPInstanceUID), encoded(dataset) + opening * 100_000) == 0xC000


def test_a_deflate_bomb_is_refused(open_rough, image) -> None:
    dataset = pydicom.dcmread(image)
    del dataset.PixelData
    head = encoded(dataset) + struct.pack("<HH2sHI", 0x0040, 0xA160, b"UT", 0, 1 << 30)
    machine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = machine.compress(head) + b"".join(machine.compress(bytes(MEBI)) for _number in range(300)) + machine.flush()
    assert len(bomb) < MEBI
    assert open_rough(syntax=DEFLATED).store(str(dataset.SOPInstanceUID), bomb) == 0xC000


def test_many_elements_hold_up_nobody(service, open_rough, image) -> None:
    dataset = pydicom.dcmread(image)
    del dataset.PixelData
    body = encoded(dataset) + b"\x40\x00\x75\xa3UL\0\0" * 3_000_000
    rough = open_rough()
    rough.socket.sendall(rough.command(str(dataset.SOPInstanceUID)) + b"".join(rough.data(body)))
    begun = time.monotonic()
    assert send(service.port, [image]) == [0]
    assert time.monotonic() - begun < 8
    assert rough.status() in {0, 0xC000}


def test_giant_dimensions_are_kept_and_refused_by_the_analysis(command, tmp_path, image) -> None:
    toml = '[service.study]\nquiet_seconds = 0.5\n[service.analysis]\nformats = "json"\nmemory_bytes = 2147483648\n'
    service = Service(command, tmp_path, toml).start()
    dataset = pydicom.dcmread(image)
    dataset.Rows = dataset.Columns = 65535
    with Rough(service.port, sop_class=CT, syntax=EXPLICIT) as rough:
        assert rough.store(str(dataset.SOPInstanceUID), encoded(dataset)) == 0
    (record,) = service.wait_done()
    assert (record["outcome"], record["code"] != "") == ("refused", True)
    assert service.stop() == 0
