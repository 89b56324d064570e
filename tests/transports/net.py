"""A centre and sites in one process, over real connections with mutual TLS on loopback.

They share a process and a loopback address, and nothing else: each connection is a TCP
connection with TLS.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from equipoise.transports.nvflare import NvflareTransport, serve
from equipoise.transports.nvflare_certificates import (
    authority,
    make_key,
    request,
    sign,
    to_pem,
)
from equipoise.transports.nvflare_ends import Handle
from equipoise.transports.nvflare_tls import CENTRE, Credentials

NOW = datetime.now(UTC)


class Authority:
    """One that signs certificates for a study, at a time of the test's choice."""

    def __init__(self, folder: Path, study: str = "made-up") -> None:
        folder.mkdir()
        self.folder, self._key = folder, make_key(folder / "authority.key")
        self._own = authority(self._key, study, NOW)
        (folder / "authority.pem").write_bytes(to_pem(self._own))

    def party(self, name: str, now: datetime = NOW, days: int = 90) -> Credentials:
        place = self.folder / f"{name}-{now:%s}-{days}"
        place.mkdir()
        asked = request(make_key(place / "tls.key"), name)
        certificate = sign(self._own, self._key, asked, name, now=now, days=days)
        (place / "certificate.pem").write_bytes(to_pem(certificate))
        return Credentials(
            self.folder / "authority.pem", place / "certificate.pem", place / "tls.key"
        )


class Watch:
    """Keeps what the centre is told."""

    def __init__(self) -> None:
        self.states: dict[str, list[str]] = {}
        self.refusals: list[str] = []

    def site(self, name: str, state: str) -> None:
        self.states.setdefault(name, []).append(state)

    def refused(self, reason: str) -> None:
        self.refusals.append(reason)


class Net:
    """A centre, and sites that are threads here."""

    def __init__(self, signer: Authority, *sites: str, shows: Credentials | None = None) -> None:
        self.signer, self.watch, self.address = signer, Watch(), f"127.0.0.1:{free_port()}"
        self.ended: dict[str, BaseException | None] = {}
        self._stop, self._threads = threading.Event(), list[threading.Thread]()
        self._opened, self._sites, self._shows = list[Any](), sites, shows

    def centre(self, patience: float = 30.0) -> NvflareTransport:
        shows = self._shows or self.signer.party(CENTRE)
        self._opened.append(
            NvflareTransport(self.address, shows, self._sites, watch=self.watch, patience=patience)
        )
        return self._opened[-1]

    def site(
        self,
        name: str,
        handle: Handle,
        credentials: Credentials | None = None,
        address: str | None = None,
    ) -> threading.Thread:
        own = credentials or self.signer.party(name)

        def run() -> None:
            try:
                serve(
                    handle,
                    site=name,
                    address=address or self.address,
                    credentials=own,
                    stop=self._stop,
                )
                self.ended[name] = None
            except BaseException as error:
                self.ended[name] = error

        thread = threading.Thread(target=run, name=f"serve-{name}")
        self._threads.append(thread)
        thread.start()
        return thread

    def stop(self) -> None:
        self._stop.set()

    def close(self) -> None:
        for transport in self._opened:
            transport.close()
        self.stop()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


Make = Callable[..., Net]


def soon(holds: Callable[[], object], seconds: float = 15.0) -> bool:
    began = time.monotonic()
    while not holds() and time.monotonic() - began < seconds:
        time.sleep(0.02)
    return bool(holds())


def read(answers: Mapping[str, Iterator[bytes]]) -> dict[str, list[bytes]]:
    return {name: list(answer) for name, answer in answers.items()}


class Cutter:
    """A relay that cuts each connection after so many bytes, or alters the next one."""

    def __init__(self, address: str, after: list[int], *, alters: bool) -> None:
        self._to, self._after, self.cuts = address.split(":"), after, 0
        self._alters, self._open = alters, list[tuple[socket.socket, socket.socket]]()
        self._kept: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection((self._to[0], int(self._to[1])))
            self._open.append((near, far))
            left = [self._after.pop(0) if self._after else 1 << 40]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other, left), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, left: list[int]) -> None:
        try:
            while (data := one.recv(65536)) and left[0] > 0:
                left[0] -= len(data)
                if left[0] <= 0:
                    self.cuts += 1
                    if not self._alters:
                        break
                    data = data[:-1] + bytes([data[-1] ^ 1])
                other.sendall(data)
        except OSError:  # the other thread has cut it
            pass
        for end in (one, other):
            if end not in self._kept:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def forget(self) -> None:
        """End all connections to this relay, and none from it, as a rebooted router does."""
        for near, far in self._open:
            self._kept.append(far)
            near.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        for far in self._kept:
            far.close()


def plain_context(own: Credentials | None, signer: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(signer.folder / "authority.pem")
    if own:
        context.load_cert_chain(own.certificate, own.key)
    return context


def dial(own: Net) -> socket.socket:
    host, port = own.address.split(":")
    return socket.create_connection((host, int(port)), 10)
