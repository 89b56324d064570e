# pyright: basic, reportMissingImports=false
# NVFLARE comes without types and is not always installed: `nvflare_cell` imports this late.
"""A cell of NVFLARE's F3 layer that takes parcels and nothing else, over our driver alone."""

import logging
from collections.abc import Callable
from typing import Any, Final

from nvflare.fuel.f3 import communicator
from nvflare.fuel.f3.cellnet.core_cell import CoreCell
from nvflare.fuel.f3.cellnet.defs import Encoding, MessageHeaderKey, MessageType
from nvflare.fuel.f3.message import Message
from nvflare.fuel.f3.stats_pool import StatsPoolManager

from equipoise.transports.nvflare_driver import Driver

CHANNEL: Final = "equipoise"
TOPIC: Final = "parcel"

logger = logging.getLogger("equipoise.transports.nvflare_cell")

# Only this driver: NVFLARE's others would be imported from its folder otherwise.
communicator.driver_mgr.register(Driver)
communicator.driver_loaded = True


class Cell(CoreCell):
    """A cell that takes bytes on one channel, from those it may hear, and nothing else."""

    def __init__(self, *given: Any, **named: Any) -> None:
        """Take what NVFLARE's cell takes."""
        # Cells of one process would find one another in here, and go round the wire.
        self.ALL_CELLS: dict[str, Any] = {}
        # Statistics nobody reads; their names may not come twice in a process.
        StatsPoolManager.pools.clear()
        super().__init__(*given, **named)
        self.logger = logging.getLogger("nvflare.cell")  # with all that NVFLARE says

    def lost(self, peer: str) -> None:
        """Let go of those who wait for an answer that may no longer come."""
        for waiter in list(self.waiters.values()):
            if peer in waiter.targets:
                waiter.set()

    def process_message(self, endpoint: Any, connection: Any, app_id: int, message: Any) -> None:
        """Take a message, or drop it before anything decodes it."""
        if self._takes(endpoint, message):
            super().process_message(endpoint, connection, app_id, message)
        else:
            logger.warning("a message that is no parcel was dropped")

    def stop(self) -> None:
        """End all connections."""
        self.agents.clear()  # else each is sent a goodbye, which it does not take
        super().stop()

    def answers(self, answer: Callable[[bytes | bytearray], bytes]) -> None:
        """Have questions answered by a function of bytes."""

        def reply(message: Any) -> Any:
            return Message(payload=answer(message.payload or b""))

        self.register_request_cb(CHANNEL, TOPIC, reply)

    def ask(self, peer: str, data: bytes, patience: float) -> Any:
        """Return what came as an answer, None where none came in time."""
        message = Message(payload=data)
        try:
            return self.send_request(CHANNEL, TOPIC, peer, message, patience, optional=True).payload
        except RuntimeError:  # the cell has been closed meanwhile
            return None

    def _takes(self, endpoint: Any, message: Any) -> bool:
        said, own = message.headers or {}, self.get_fqcn()
        asked = own == "server"
        peer = endpoint.name if asked else "server"
        wanted = {
            MessageHeaderKey.MSG_TYPE: MessageType.REPLY if asked else MessageType.REQ,
            MessageHeaderKey.CHANNEL: CHANNEL,
            MessageHeaderKey.TOPIC: TOPIC,
            MessageHeaderKey.ORIGIN: peer,
            MessageHeaderKey.FROM_CELL: peer,
            MessageHeaderKey.DESTINATION: own,
        }
        same = all(said.get(key) == value for key, value in wanted.items())
        plain = said.get(MessageHeaderKey.PAYLOAD_ENCODING) in (Encoding.BYTES, Encoding.NONE)
        hidden = said.get(MessageHeaderKey.SECURE) or said.get(MessageHeaderKey.ENCRYPTED)
        return same and plain and not hidden and endpoint.name == peer
