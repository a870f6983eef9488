import pytest

from calcreport.service.receiving.limits import Gate
from calcreport.service.service_settings import LimitSettings, PeerSettings, ServiceSettings

HERE, THERE = "127.0.0.1", "10.0.0.7"


class _Time:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return _Time()


@pytest.fixture
def gate(time):
    settings = ServiceSettings(
        limits=LimitSettings(max_associations=4, max_associations_per_peer=2),
        peers=PeerSettings(addresses=("127.0.0.0/8", "10.0.0.0/24", "::1/128")),
    )
    return Gate(lambda: settings, clock=time)


@pytest.mark.parametrize(
    ("address", "is_welcome"),
    [
        ("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("::ffff:10.0.0.1", True), ("10.0.0.255", True),
        ("10.0.1.0", False), ("192.168.0.1", False), ("::2", False), ("fe80::1%eth0", False), ("nonsense", False),
    ],
)  # fmt: skip
def test_only_named_addresses_are_let_in(gate, address, is_welcome):
    assert gate.is_welcome(address) is is_welcome


def _busy(connection):
    connection.images = 1
    return connection


def test_a_peer_has_so_many_associations_and_no_more(gate):
    for _number in range(2):
        assert gate.associate(_busy(gate.admit(HERE, lambda: None)))
    assert not gate.associate(gate.admit(HERE, lambda: None))
    assert gate.associate(gate.admit(THERE, lambda: None))


def test_an_association_that_ended_makes_room(gate):
    first = _busy(gate.admit(HERE, lambda: None))
    second = _busy(gate.admit(HERE, lambda: None))
    assert [gate.associate(connection) for connection in (first, second)] == [True] * 2
    gate.leave(first)
    assert gate.associate(gate.admit(HERE, lambda: None))


def test_a_silent_one_gives_way_to_a_newcomer(gate, time):
    closed = []
    silent = gate.admit(HERE, lambda: closed.append("silent"))
    gate.associate(silent)
    gate.associate(_busy(gate.admit(HERE, lambda: closed.append("busy"))))
    time.now += 2.0
    assert gate.associate(gate.admit(HERE, lambda: None))
    assert closed == ["silent"]


def test_one_in_the_middle_of_a_message_does_not_give_way(gate, time):
    for _number in range(2):
        connection = gate.admit(HERE, lambda: None)
        gate.associate(connection)
        connection.data_bytes = 1000
    time.now += 100.0
    assert not gate.associate(gate.admit(HERE, lambda: None))


def test_one_that_sends_next_to_nothing_gives_way(gate, time):
    closed = []
    for number in range(2):
        connection = gate.admit(HERE, lambda number=number: closed.append(number))
        gate.associate(connection)
        connection.data_bytes = connection.message_bytes = 2 if number else 100_000
        connection.message_begun_s = time.now
    time.now += 6.0
    assert gate.associate(gate.admit(HERE, lambda: None))
    assert closed == [1]


def test_a_silent_one_elsewhere_does_not_give_way_to_a_peer_over_its_own_limit(gate, time):
    closed = []
    gate.associate(gate.admit(THERE, lambda: closed.append("there")))
    for _number in range(2):
        gate.associate(_busy(gate.admit(HERE, lambda: None)))
    time.now += 100.0
    assert not gate.associate(gate.admit(HERE, lambda: None))
    assert closed == []


def test_connections_without_an_association_are_bounded_and_the_oldest_goes(gate, time):
    closed = []
    for number in range(10):
        time.now += 0.1
        gate.admit(HERE, lambda number=number: closed.append(number))
    assert len(gate.connections()) == 4
    assert closed == [0, 1, 2, 3, 4, 5]


def test_busy_connections_are_not_pushed_out_by_new_ones(gate):
    kept = []
    for address in (HERE, HERE, THERE, THERE):
        connection = _busy(gate.admit(address, lambda: pytest.fail("pushed out")))
        gate.associate(connection)
        kept.append(connection)
    for _number in range(20):
        gate.admit(HERE, lambda: None)
    assert set(kept) <= set(gate.connections())


def test_a_peer_that_opens_too_many_pushes_out_its_own_only(gate, time):
    closed = []
    gate.admit(THERE, lambda: closed.append("there"))
    for _number in range(3):
        time.now += 0.1
        gate.admit(HERE, lambda: closed.append("here"))
    assert closed == []
    for _number in range(5):
        time.now += 0.1
        gate.admit(HERE, lambda: closed.append("here"))
    assert set(closed) == {"here"}
