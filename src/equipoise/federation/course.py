"""Where a run stands and what follows: computed alike at the centre and at every site.

Nothing here has a choice. The next step, round and schema follow from the plan and
from what was published; what is published follows from the totals. The centre computes
it and publishes; each site computes it too and refuses anything else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from equipoise.analysis import Analysis
from equipoise.errors import DisclosureError, ProtocolError
from equipoise.plan import Plan, Step
from equipoise.record import agree, rounded
from equipoise.step import Done, Next
from equipoise.sums import Integers, Schema, Sums, decode

Build = Callable[[Step, Mapping[str, Any] | None], Analysis[Any, Any]]


class Course:
    """The public side of a run.

    step, round  where it stands; a round is counted when it asks something
    turn         how many rounds of the whole run have been added up
    results      public results of the steps that have ended
    held         what they hold beside them, as `<step>.held`
    """

    def __init__(self, plan: Plan, build: Build, publics: Mapping[str, Any]) -> None:
        """Begin at the first step. `publics` are results that exist before the run."""
        self.plan = plan
        self.results: dict[str, Any] = dict(publics)
        self.held: dict[str, Any] = {}
        self.round = self.turn = 0
        self._build = build
        self._place = -1
        self._published = 0
        self._state: Any = None
        self._form = Schema()
        self._follows: Next[Any] | Done[Any] | None = None
        self._begin_next_step(self.results, self.held)

    @property
    def finished(self) -> bool:
        """Whether every step of the plan has ended."""
        return self._place >= len(self.plan.steps)

    @property
    def step(self) -> Step:
        """The step at which the run stands."""
        if self.finished:
            raise ProtocolError("every step of the plan has ended")
        return self.plan.steps[self._place]

    @property
    def place(self) -> str:
        """A name for where the run stands: what is published next follows it."""
        name = "end" if self.finished else self.step.name
        return f"{name} {self.round} {self._published}"

    @property
    def asks(self) -> bool:
        """Whether the sites' answer to `schema` is what comes next."""
        return not self.finished and self._follows is None

    @property
    def follows(self) -> Next[Any] | Done[Any]:
        """What is to be published next, rounded to its grid."""
        if self._follows is None:
            raise ProtocolError("nothing follows before the totals of this round")
        return self._follows

    @property
    def known(self) -> dict[str, Any]:
        """All that a step may refer to."""
        return {**self.results, **self.held}

    @property
    def schema(self) -> Schema:
        """What the present round asks."""
        return self.analysis.schema(self._state)

    @property
    def state(self) -> Any:
        """The public state of the present step."""
        return self._state

    def total(self, total: Sequence[Integers]) -> None:
        """Take the totals of the present round."""
        if not self.asks:
            raise ProtocolError("totals came where none were asked for")
        pairs = zip(self.schema.blocks, total, strict=True)
        self._follows = self._after(self._state, (decode(block, part) for block, part in pairs))
        self.turn += 1

    def adopt(self, published: Next[Any] | Done[Any]) -> None:
        """Go on from what was published; ProtocolError unless it is what follows."""
        own = self.follows
        if isinstance(own, Done) and isinstance(published, Done):
            agree(own.result, published.result)
            results = {**self.results, self.step.name: published.result}
            self._begin_next_step(results, self._holding(own))
        elif isinstance(own, Next) and isinstance(published, Next):
            agree(own.state, published.state)
            self._go_on(published.state)
        else:
            raise ProtocolError("the centre goes on where the step ends, or ends where it goes on")
        self._published += 1

    def _holding(self, ended: Done[Any]) -> dict[str, Any]:
        """Return what is held once the present step has ended."""
        if ended.held is None:
            return self.held
        return {**self.held, f"{self.step.name}.held": ended.held}

    def _begin_next_step(self, results: dict[str, Any], held: dict[str, Any]) -> None:
        """Go to the next step. What refuses does so before anything has changed."""
        steps, place = self.plan.steps, self._place + 1
        follows = None
        if place < len(steps):
            judged = self._build(steps[place], None)
            form = judged.schema(judged.start())
            analysis = self._build(steps[place], {**results, **held})
            follows = Next(rounded(analysis.start()))
            self.analysis, self._form = analysis, form
        self._place, self.results, self.held, self._follows = place, results, held, follows
        self.round, self._state = 0, None

    def _go_on(self, state: Any) -> None:
        """Count the round that a new state asks for, or pass it where it asks nothing.

        What refuses does so before anything has changed: a round beyond the plan is
        never due.
        """
        schema = self.analysis.schema(state)
        if not schema.blocks:
            self._state, self._follows = state, self._after(state, [])
            return
        if schema != self._form:
            raise DisclosureError("a round asks for another form than the plan was judged by")
        if self.round >= self.step.rounds:
            raise DisclosureError(
                f"the step {self.step.name} asks for more than its {self.step.rounds} rounds"
            )
        self.round += 1
        self._state, self._follows = state, None

    def _after(self, state: Any, totals: Iterable[Sums]) -> Next[Any] | Done[Any]:
        outcome = self.analysis.advance(state, totals)
        if isinstance(outcome, Done):
            return Done(rounded(outcome.result), outcome.held)
        return Next(rounded(outcome.state))
