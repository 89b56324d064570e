"""Encrypted scores over HTTPS: who may ask, what is refused and how that is said, what is logged."""

import http.client
import json
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import InputError, RefusedError, TransportError
from equipoise.genotypes import plink
from equipoise.packed.decode import encode
from equipoise.tools.encrypted_scoring import server as server_module
from equipoise.tools.encrypted_scoring import wire
from equipoise.tools.encrypted_scoring.certificates import make
from equipoise.tools.encrypted_scoring.client import BusyOwnerError, Client
from equipoise.tools.encrypted_scoring.scorer import Scorer, open_scorer
from equipoise.tools.encrypted_scoring.server import Certificates, Server
from study.small import cli
from tools.scoring import listed, table, weights

pytest.importorskip("tenseal")

N = 300
PEOPLE = 6
VARIANTS = listed([(str(1 + i % 22), 100 + i, "A", "G") for i in range(N)])


@dataclass
class Served:
    folder: Path
    port: int
    genotypes: Path
    scorer: Scorer

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def certificates(self, name: str = "clinic", authority: str = "trial") -> Certificates:
        held = self.folder / "trial"
        return Certificates(
            held / f"{name}.pem", held / f"{name}.key", self.folder / authority / "authority.pem"
        )

    def score(self, out: Path, name: str = "clinic"):
        shown = self.certificates(name)
        options = ("--certificate", shown.certificate, "--key", shown.key)
        options += ("--authority", shown.authority, "--genotypes", self.genotypes, "--out", out)
        return cli("score", "--encrypted", self.address, *options, "--json")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    draw = np.random.default_rng(1)
    rows = [("", v[0], v[1], "AG"[i % 2], "GA"[i % 2], f"{draw.normal():.5f}")
            for i, v in enumerate(zip(VARIANTS.chromosome, VARIANTS.position, strict=True))]  # fmt: skip
    weights(folder / "model.txt", rows)
    calls = draw.integers(0, 3, (N, PEOPLE)).astype(float)
    calls[draw.random(calls.shape) < 0.05] = np.nan
    ids = tuple(f"SECRET{i}" for i in range(PEOPLE))
    plink.write(folder / "a", encode(calls), VARIANTS, ids, np.ones(PEOPLE, np.int8))
    now = datetime.now(UTC)
    make(folder / "trial", "127.0.0.1", ["clinic", "other", "third"], now, 3)
    make(folder / "foreign", "127.0.0.1", ["clinic"], now, 3)
    scorer = open_scorer(folder / "model.txt", folder / "counts", per_day=8, in_all=100)
    held = folder / "trial"
    own = Certificates(held / "owner.pem", held / "owner.key", held / "authority.pem")
    with Server(("127.0.0.1", 0), scorer, own) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Served(folder, server.server_port, folder / "a.bed", scorer)
        server.shutdown()
        thread.join()


def connection(served: Served, name: str = "third") -> http.client.HTTPSConnection:
    context = served.certificates(name).context(listens=False)
    return http.client.HTTPSConnection("127.0.0.1", served.port, timeout=30, context=context)


def describe(held: http.client.HTTPSConnection) -> bytes:
    held.request("GET", "/v1/model")
    return held.getresponse().read()


def reply(served: Served, method: str, path: str, body: bytes | None = None, **headers: str):
    with_underscores = {name.replace("_", "-"): value for name, value in headers.items()}
    held = connection(served)
    held.request(method, path, body, with_underscores)
    found = held.getresponse()
    told = found.read()
    held.close()
    return found.status, json.loads(told)["message"] if found.status != 200 else told


def test_the_command_scores_as_the_plain_one_and_the_flood_ends(
    served: Served, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "equipoise")
    told = served.score(tmp_path / "enc.tsv")
    assert (told.code, told.err) == (0, "")
    options = ("--weights", served.folder / "model.txt", "--genotypes", served.genotypes)
    cli("score", *options, "--out", tmp_path / "plain.tsv")
    pairs = list(zip(table(tmp_path / "enc.tsv"), table(tmp_path / "plain.tsv"), strict=True))
    assert len(pairs) == PEOPLE
    for own, plain in pairs:
        for name in ("IID", "site", "score", "ALLELE_CT", "DENOM", "NAMED_ALLELE_DOSAGE_SUM"):
            assert own[name] == plain[name]
        assert float(own["SCORE_SUM"]) == pytest.approx(float(plain["SCORE_SUM"]), abs=1e-5)
        assert own["SCORE_SUM"] != plain["SCORE_SUM"]  # or it was never encrypted
    matches = [table(tmp_path / f"{name}.match.tsv") for name in ("enc", "plain")]
    assert [row["reason"] for row in matches[0]] == [row["reason"] for row in matches[1]]
    assert told.json["encrypted"]["requests"] == 1
    assert told.json["scores"][0]["weight_share"] is None
    # 6 of 8 are used up; the next 6 are too many.
    again = served.score(tmp_path / "again.tsv")
    assert again.code == RefusedError.exit_code
    assert "gives 2 more scores today; nothing was sent" in again.err
    assert not (tmp_path / "again.tsv").exists()
    said = caplog.text
    assert f"clinic: {PEOPLE} scores" in said
    assert "SECRET" not in said


def test_a_client_that_does_not_look_is_refused_in_words(served: Served) -> None:
    with Client(served.address, served.certificates("other")) as client:
        said = client.description()
        assert said.left == 8
        head = wire.Head(9, said.digest, bytes(32))
        frame = wire.write_element(np.zeros((5, 8192), np.uint32))
        with pytest.raises(RefusedError, match=r"refuses \(429\): 9 scores are asked .* tomorrow"):
            client.scores(head, [frame] * 2, N)
        # What was refused was not counted, and the connection is made anew.
        assert client.description().left == 8
        found = client.scores(wire.Head(8, said.digest, bytes(32)), [frame] * 2, N)
        assert [len(one.sums) for one in found] == [8]
        assert client.description().left == 0


def test_a_client_that_sends_megabytes_still_reads_why_it_is_refused(served: Served) -> None:
    with Client(served.address, served.certificates("other")) as client:
        said = client.description()
        people = 60 * (8192 // N)
        frame = wire.write_element(np.zeros((5, 8192), np.uint32))
        head = wire.Head(people, said.digest, bytes(32))
        with pytest.raises(RefusedError, match=rf"{people} scores are asked for"):
            client.scores(head, [frame] * 61, N)


def test_a_second_request_of_a_client_is_put_off(served: Served) -> None:
    with Client(served.address, served.certificates("third")) as client:
        said = client.description()
        frame = wire.write_element(np.zeros((5, 8192), np.uint32))
        head = wire.Head(1, said.digest, bytes(32))
        with served.scorer.places.of("third"), pytest.raises(BusyOwnerError, match="in a minute"):
            client.scores(head, [frame] * 2, N)
        assert len(client.scores(head, [frame] * 2, N)) == 1


def test_only_clients_of_the_authority_are_heard(served: Served) -> None:
    plain = ssl.create_default_context(cafile=str(served.folder / "trial" / "authority.pem"))
    foreign = served.folder / "foreign"
    stranger = Certificates(
        foreign / "clinic.pem", foreign / "clinic.key", served.folder / "trial" / "authority.pem"
    )
    owner = served.certificates("owner")  # a server's certificate is no client's
    for context in (plain, stranger.context(listens=False), owner.context(listens=False)):
        held = http.client.HTTPSConnection("127.0.0.1", served.port, timeout=30, context=context)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            describe(held)
        held.close()
    with (
        Client(served.address, stranger) as client,
        pytest.raises(TransportError, match="see --certificate and --key"),
    ):
        client.description()


def test_older_tls_is_refused(served: Served) -> None:
    context = ssl.create_default_context(cafile=str(served.folder / "trial" / "authority.pem"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", served.port)) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_a_server_of_another_authority_or_host_is_not_spoken_to(
    served: Served, tmp_path: Path
) -> None:
    with (
        Client(served.address, served.certificates(authority="foreign")) as client,
        pytest.raises(TransportError, match=r"certificate does not hold.*see --authority"),
    ):
        client.description()
    with (
        Client(f"https://localhost:{served.port}", served.certificates()) as client,
        pytest.raises(TransportError, match=r"certificate does not hold|Connection refused"),
    ):
        client.description()


def test_what_is_no_request_is_refused_with_what_to_do(served: Served) -> None:
    assert reply(served, "GET", "/")[0] == 404
    assert reply(served, "POST", "/v1/model", b"x")[0] == 404
    status, said = reply(served, "POST", "/v1/scores", b"x" * 100)
    assert (status, said.split(";")[1]) == (
        400,
        " install the same version of equipoise on both sides",
    )
    status, said = reply(served, "POST", "/v1/scores", b"x")
    assert (status, said) == (400, "a request of 1 bytes; expected 76 and more")
    held = connection(served)
    held.putrequest("POST", "/v1/scores")
    held.putheader("Transfer-Encoding", "chunked")
    held.endheaders()
    assert held.getresponse().status == 411
    held.close()
    assert reply(served, "GET", "/v1/model")[0] == 200


def test_a_length_beyond_reason_is_refused_unread(served: Served) -> None:
    digest = bytes.fromhex(json.loads(reply(served, "GET", "/v1/model")[1])["list_sha256"])
    head = wire.Head(3, digest, bytes(32)).packed()
    held = connection(served)
    held.putrequest("POST", "/v1/scores")
    held.putheader("Content-Length", "99999999999")
    held.endheaders()
    held.send(head)
    found = held.getresponse()
    assert found.status == 400
    assert "a request of 99999999999 bytes for 3 people" in json.loads(found.read())["message"]
    held.close()


def test_a_connection_that_says_nothing_keeps_nobody_waiting(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port)):
        assert reply(served, "GET", "/v1/model")[0] == 200


def test_more_connections_than_may_be_are_closed(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "CONNECTIONS", 1)
    scorer = open_scorer(served.folder / "model.txt", tmp_path / "counts", per_day=8)
    with Server(("127.0.0.1", 0), scorer, served.certificates("owner")) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        here = ("127.0.0.1", server.server_port)
        with socket.create_connection(here), socket.create_connection(here) as second:
            second.settimeout(20)
            assert second.recv(1) == b""
        server.shutdown()
        thread.join()


def test_files_and_addresses_that_are_none_are_refused(served: Served, tmp_path: Path) -> None:
    held = served.certificates()
    for address in ("http://a:1", "a:1", "https://", "https://a:b", "https://a/x", "https://u@a"):
        with pytest.raises(InputError, match="expected https://HOST:PORT"):
            Client(address, held)
    other = served.certificates("other")
    for wrong in (
        Certificates(held.certificate, other.key, held.authority),
        Certificates(tmp_path / "no.pem", held.key, held.authority),
        Certificates(held.certificate, held.key, served.genotypes),
    ):
        with pytest.raises(InputError, match="expected a pair that belongs together"):
            wrong.context(listens=False)
    scorer = open_scorer(served.folder / "model.txt", tmp_path / "counts", per_day=8)
    with pytest.raises(InputError, match=r"nothing can listen at 127\.0\.0\.1"):
        Server(("127.0.0.1", served.port), scorer, held)
    for host, names in (
        ("127.0.0.1", ["../x"]),
        ("127.0.0.1", ["owner"]),
        ("127.0.0.1", ["a", "a"]),
    ):
        with pytest.raises(InputError, match="--client"):
            make(tmp_path / "made", host, names, datetime.now(UTC), 3)
    with pytest.raises(InputError, match="exists already"):
        make(served.folder / "trial", "127.0.0.1", ["a"], datetime.now(UTC), 3)


def test_options_that_do_not_go_together_are_refused(served: Served, tmp_path: Path) -> None:
    base = ("score", "--genotypes", served.genotypes, "--out", tmp_path / "o.tsv")
    model = served.folder / "model.txt"
    for more, said in (
        ((), "either --weights"),
        (("--weights", model, "--encrypted", served.address), "either --weights"),
        (("--encrypted", served.address), "--encrypted also needs --certificate"),
        (("--weights", model, "--key", model), "go with --encrypted"),
    ):
        told = cli(*base, *more)
        assert told.code == 2
        assert said in told.err
    told = cli(
        "owner", "serve", model, "--listen", "8443", "--certificate", model, "--key", model,
        "--clients", model, "--counts", tmp_path / "c",
    )  # fmt: skip
    assert (told.code, "expected HOST:PORT" in told.err) == (2, True)


def test_certificates_are_made_by_command(tmp_path: Path) -> None:
    told = cli(
        "owner",
        "certificates",
        tmp_path / "t",
        "--host",
        "scores.example",
        "--client",
        "a",
        "--json",
    )
    assert told.json["clients"] == ["a"]
    names = sorted(path.name for path in (tmp_path / "t").iterdir())
    assert names == ["a.key", "a.pem", "authority.pem", "owner.key", "owner.pem"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "t").iterdir())
