import socket
import threading
from contextlib import suppress

import pytest

from calcreport.errors import DeliveryError
from calcreport.service.adapter_settings import MllpSinkSettings
from calcreport.service.sinks.mllp import MllpSink

MESSAGE = b"MSH|^~\\&|calcreport||||20260101||ORU^R01^ORU_R01|abc123|P|2.5.1\rPID|1||77||M\xc3\xbcller\r"


def _ack(code: str, *, control_id: str = "abc123", error: str = "") -> bytes:
    lines = ["MSH|^~\\&|RIS||calcreport||20260101||ACK|1|P|2.5.1", f"MSA|{code}|{control_id}"]
    return "\r".join([*lines, *([f"ERR|||{error}|E"] if error else []), ""]).encode()


class Receiver:
    """An interface engine: takes messages, answers `answer`."""

    def __init__(self) -> None:
        self.answer, self.got = b"", []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with suppress(OSError), client as peer:
                    got = b""
                    while not got.endswith(b"\x1c\r"):
                        block = peer.recv(4096)
                        if not block:
                            break
                        got += block
                    self.got.append(got)
                    for start in range(0, len(self.answer), 7):
                        peer.sendall(self.answer[start : start + 7])
                    if not self.answer.endswith(b"\x1c\r"):
                        peer.recv(1)  # until the sender gives up

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def sink(receiver, delivery):
    (delivery.folder / "oru.hl7").write_bytes(MESSAGE)
    return MllpSink("ris", MllpSinkSettings(kind="mllp", host="127.0.0.1", port=receiver.port, timeout_seconds=1))


def _framed(answer: bytes) -> bytes:
    return b"\x0b" + answer + b"\x1c\r"


@pytest.mark.parametrize("code", ["AA", "CA"])
def test_a_message_goes_as_it_is_and_is_acknowledged(sink, receiver, delivery, code) -> None:
    receiver.answer = _framed(_ack(code))
    sink.deliver(delivery)
    assert receiver.got == [_framed(MESSAGE)]


@pytest.mark.parametrize(
    ("answer", "code", "is_retryable"),
    [
        (_ack("AE"), "mllp.refused", False),
        (_ack("CE", error="101^Required field missing^HL70357"), "mllp.refused", False),
        (_ack("AR"), "mllp.rejected", True),
        (_ack("AR", error="207^Application internal error^HL70357"), "mllp.rejected", True),
        (_ack("AR", error="200^Unsupported message type^HL70357"), "mllp.refused", False),
        (_ack("CR", error="203"), "mllp.refused", False),
        (_ack("AA", control_id="another"), "mllp.unreadable", True),
        (b"nonsense", "mllp.unreadable", True),
        (b"", "mllp.unreadable", True),
        (b"x" * 100_000, "mllp.unreadable", True),
    ],
    ids=range(10),
)
def test_what_is_not_acknowledged_says_whether_to_try_again(
    sink, receiver, delivery, answer, code, is_retryable
) -> None:
    receiver.answer = _framed(answer)
    with pytest.raises(DeliveryError) as caught:
        sink.deliver(delivery)
    assert (caught.value.code, caught.value.is_retryable) == (code, is_retryable)


@pytest.mark.parametrize("answer", [b"", b"\x0bMSH|^~"], ids=["silent", "half"])
def test_a_receiver_without_an_answer_is_asked_again(sink, receiver, delivery, answer) -> None:
    receiver.answer = answer
    with pytest.raises(DeliveryError) as caught:
        sink.deliver(delivery)
    assert (caught.value.code, caught.value.is_retryable) == ("mllp.unreachable", True)


def test_a_refused_study_has_no_message_and_results_without_one_are_a_mistake(
    sink, receiver, delivery, refused
) -> None:
    sink.deliver(refused)
    assert receiver.got == []
    (delivery.folder / "oru.hl7").unlink()
    with pytest.raises(DeliveryError) as caught:
        sink.deliver(delivery)
    assert (caught.value.code, caught.value.is_retryable) == ("mllp.no_message", False)
