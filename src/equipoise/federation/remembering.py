"""A transport whose answers are kept, for a centre that is stopped and takes up its run again.

What the centre does follows from the answers that it has had. One that takes up a run does
everything again with the answers that are kept, asks for those alone that are missing, and
comes to where it stood. What it asks a second time is byte for byte what it asked the first
time, so that a site whose answer was under way repeats it.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from pathlib import Path

from equipoise.federation import tape, wire
from equipoise.transport import Transport


class Remembering:
    """Keeps each answer as it comes, in a folder of its exchange. See `equipoise.transport`."""

    def __init__(
        self,
        transport: Transport,
        folder: Path,
        lost: Collection[str] = (),
        ready: Callable[[], None] | None = None,
    ) -> None:
        """Keep answers in `folder`, or take up those that are there.

        lost   the sites that the run has gone on without: they are not asked again
        ready  is called once, before the first site is asked
        """
        self._transport, self._folder, self._lost = transport, folder, lost
        self._ready = ready
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._kept = max((int(path.name) for path in folder.iterdir()), default=0)
        self._exchange = 0
        self._told = False
        self._recording: list[Generator[bytes]] = []

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites that can be reached, sorted."""
        return self._transport.sites

    @property
    def asked(self) -> bool:
        """Whether a site has been asked anything, now or before."""
        return bool(self._exchange or self._kept)

    @property
    def retelling(self) -> bool:
        """Whether nothing of what comes now was asked by this process."""
        return self._told

    def exchange(self, requests: Mapping[str, Iterable[bytes]]) -> Mapping[str, Iterator[bytes]]:
        """Send a request to each site that has not answered it, and return all answers."""
        self.stop()
        self._exchange += 1
        place = self._folder / f"{self._exchange:06}"
        tapes = {site: place / f"{site}.tape" for site in requests}
        self._told = self._exchange < self._kept
        if self._told:
            return {site: tape.play(path) for site, path in tapes.items()}
        known = {site for site, path in tapes.items() if self._is_known(site, path)}
        missing = {site: frames for site, frames in requests.items() if site not in known}
        if not missing:
            self._told = True
            return {site: tape.play(path) for site, path in tapes.items()}
        if self._ready:
            self._ready()
            self._ready = None
        place.mkdir(exist_ok=True)
        tape.settle_folder(self._folder)
        streams = self._transport.exchange(missing)
        live = {site: tape.record(tapes[site], frames) for site, frames in streams.items()}
        self._recording = list(live.values())
        return {site: live.get(site) or tape.play(path) for site, path in tapes.items()}

    def close(self) -> None:
        """Let the sites go."""
        self.stop()
        self._transport.close()

    def stop(self) -> None:
        """Hear no more of the answers under way, which may be asked for again."""
        for recording in self._recording:
            recording.close()

    def _is_known(self, site: str, path: Path) -> bool:
        ending = tape.ending(path)
        if ending is tape.End.WHOLE:
            return wire.read(tape.play(path), _nobody).kind != "refusal"
        return ending is tape.End.BROKEN and site in self._lost


def _nobody(name: str, signature: bytes, content: bytes) -> None:
    """Verify nothing: whoever plays the tape does."""
    del name, signature, content
