"""Which connections are open, and which one is closed for another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overtone.server.middleware.places import Places, TrustedProxies, client_name, network_of


def test_where_there_is_no_room_the_one_idle_longest_makes_it() -> None:
    places: Places[str] = Places(3, 3)
    assert [places.enter(name, "a") for name in "123"] == [None, None, None]
    places.work("1")
    assert places.enter("4", "a") == "2"
    places.work("3")
    places.wait("1")  # idle since just now
    assert places.enter("5", "a") == "4"
    places.work("5")
    assert places.enter("6", "a") == "1"
    places.work("6")
    assert places.enter("7", "a") == "7"  # all work
    assert len(places) == 3


def test_a_client_with_many_idle_connections_makes_room_before_others() -> None:
    places: Places[str] = Places(4, 4)
    for name, address in (("1", "one"), ("2", "many"), ("3", "many"), ("4", "many")):
        places.enter(name, address)
    assert places.enter("5", "new") == "2"
    assert places.enter("6", "many") == "3"


def test_a_client_has_so_many_and_proxies_have_more() -> None:
    places: Places[str] = Places(9, 2, lambda address: address == "proxy")
    assert [places.enter(f"a{at}", "a") for at in range(3)] == [None, None, "a0"]
    assert [places.enter(f"p{at}", "proxy") for at in range(5)] == [None] * 5
    for name in ("a1", "a2"):
        places.work(name)
    assert places.enter("a3", "a") == "a3"
    places.leave("a1")
    assert places.enter("a4", "a") is None


@given(st.lists(st.tuples(st.sampled_from("ewil"), st.integers(0, 9), st.sampled_from("abc")), max_size=80))
def test_it_counts_what_is_open_whatever_happens(steps: list[tuple[str, int, str]]) -> None:
    places: Places[int] = Places(5, 3)
    open: dict[int, str] = {}
    for step, name, address in steps:
        if step == "e" and name not in open:
            closed = places.enter(name, address)
            open[name] = address
            if closed is not None:
                del open[closed]
        elif step == "w":
            places.work(name)
        elif step == "i":
            places.wait(name)
        elif step == "l":
            places.leave(name)
            open.pop(name, None)
        assert len(places) == len(open) <= 5
        assert all(list(open.values()).count(client) <= 3 for client in "abc")


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a name", "a name"),
    ],
)
def test_clients_are_told_apart_by_what_a_provider_gives_out(address: str, client: str) -> None:
    assert network_of(address) == client


@pytest.mark.parametrize(
    "address", [None, "", "unknown", "_hidden", "/run/proxy.sock", "a" * 9999, "192.0.2.7, 1.1.1.1"]
)
def test_text_that_is_no_address_is_no_name_of_a_client(address: str | None) -> None:
    assert client_name(address) is None
    assert client_name("2001:db8::7%eth0") == network_of("2001:db8::8")


def test_proxies_are_those_that_are_named_and_this_machine() -> None:
    proxies = TrustedProxies("10.0.0.0/8, 192.0.2.7,somebody")
    for address, many in (("10.1.2.3", True), ("192.0.2.7", True), ("192.0.2.8", False), ("127.0.0.1", True)):
        assert (address in proxies) is many
    assert "::1" in proxies
    assert "2001:db8::1" not in proxies
    assert "" in proxies  # a socket without addresses
    assert "192.0.2.8" in TrustedProxies(["*"])
