"""Exchanges over real connections: each message once and whole, whatever a link does."""

import pytest

pytest.importorskip("nvflare", reason="sites in other processes need the extra `federation`")

from equipoise.errors import TransportError
from transports.net import Cutter, Make, read
from transports.recording import Site

pytestmark = [pytest.mark.timeout(60), pytest.mark.xdist_group("nvflare")]


def test_each_request_is_delivered_once_and_whole(net: Make) -> None:
    own, sites = net("a", "b.1"), {"a": Site(), "b.1": Site()}
    threads = [own.site(name, site.handle) for name, site in sites.items()]
    centre = own.centre()
    assert centre.sites == ("a", "b.1")
    centre.wait(20)
    large = [bytes(range(256)) * 20_000, b"", b"x"]
    for frames in ([], [b""], [b"one", b"two"], large, [b"last"]):
        expected = {"a": frames, "b.1": frames[::-1]}
        assert read(centre.exchange({"a": iter(frames), "b.1": frames[::-1]})) == expected
    assert read(centre.exchange({"a": [b"alone"]})) == {"a": [b"alone"]}
    with pytest.raises(TransportError, match="no sites"):
        centre.exchange({"z": [b"x"]})
    centre.close()
    for thread in threads:
        thread.join(10)
    assert own.ended == {"a": None, "b.1": None}
    assert [len(site.came) for site in sites.values()] == [6, 5]
    assert own.watch.refusals == []
    assert own.watch.states["a"][:2] == ["connected", "asked"]
    assert own.watch.states["a"][-1] == "answered"


def test_a_site_that_connects_late_is_waited_for_and_one_that_never_does_is_named(
    net: Make,
) -> None:
    own = net("a", "b")
    centre = own.centre()
    own.site("a", Site().handle)
    with pytest.raises(TransportError, match="not connected: b"):
        centre.wait(2)
    own.site("b", Site().handle)
    assert read(centre.exchange({"b": [b"x"]})) == {"b": [b"x"]}


@pytest.mark.parametrize("alters", [False, True])
def test_a_link_that_is_cut_or_alters_a_byte_is_made_again_and_nothing_comes_twice(
    alters: bool, net: Make
) -> None:
    own, site = net("a"), Site()
    centre = own.centre()
    cutter = Cutter(own.address, [1_500_000, 2_500_000], alters=alters)
    try:
        own.site("a", site.handle, address=cutter.address)
        frames = [bytes([i]) * 700_000 for i in range(8)]
        assert read(centre.exchange({"a": frames})) == {"a": frames}
        assert read(centre.exchange({"a": [b"next"]})) == {"a": [b"next"]}
    finally:
        cutter.close()
    assert cutter.cuts >= 2
    assert site.came == [frames, [b"next"]]
