"""Every error that this package raises on purpose.

EquipoiseError               exit code of the command line
├── InputError         2     a file, a table or an argument is not what was expected
├── RefusedError       3     something must not happen, and therefore does not
│   ├── ConsentError         the people did not agree to this use
│   ├── DisclosureError      the result would say too much about too few people
│   └── ProtocolError        a site and the centre do not agree about a message
└── FaultError         4     the machine or the evidence failed
    ├── IntegrityError       a file is not the one that the ledger speaks of
    └── TransportError       a site cannot be reached or gave no answer
        └── LostError        the same, and the round can begin again without it

A message says what was expected, what came, where, and what to do. It never
holds a person's identifier or value.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an input, and what to do about it.

    `line` is 1-based and None where the whole file is meant.
    """

    file: str
    line: int | None
    found: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        """Give `file:line: found; expected ...; remedy`."""
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.found}; expected {self.expected}; {self.remedy}"


class EquipoiseError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 4


class InputError(EquipoiseError):
    """The input does not have the promised form; `problems` lists all that was found."""

    exit_code = 2

    def __init__(self, problems: str | Problem | Iterable[Problem]) -> None:
        """Take one sentence, one problem, or all problems found."""
        if isinstance(problems, str):
            self.problems: tuple[Problem, ...] = ()
            super().__init__(problems)
            return
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class RefusedError(EquipoiseError):
    """What was asked must not happen; the reason is the message."""

    exit_code = 3


class ConsentError(RefusedError):
    """No permission covers this use of these people."""


class DisclosureError(RefusedError):
    """Releasing this would say too much about too few people."""


class ProtocolError(RefusedError):
    """A message does not fit the round, the plan or the sender it claims."""


class FaultError(EquipoiseError):
    """Something broke that no change to the input mends."""

    exit_code = 4


class IntegrityError(FaultError):
    """A file, an entry or a checkpoint is not what the ledger says it is."""


class TransportError(FaultError):
    """A site cannot be reached, or its answer did not arrive whole."""


class RestartedError(TransportError):
    """A site does not know the message under way: it was restarted, and can be asked again."""


class LostError(TransportError):
    """A site was lost before anything that it sent was opened: the round may begin again."""

    def __init__(self, site: str) -> None:
        """Take the site's name."""
        self.site = site
        super().__init__(f"lost {site} in mid-message")
