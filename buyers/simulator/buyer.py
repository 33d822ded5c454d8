"""One simulated buyer: its script, its memory and its counts. No sockets here."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from buyers.simulator import replies
from buyers.simulator.authentication import compile_check
from buyers.simulator.behaviour import Dice
from buyers.simulator.callers import carries_caller_id, national_digits
from buyers.simulator.counts import Counts
from buyers.simulator.models import BuyerScript
from buyers.simulator.plans import Plan, ping_plans, post_plans
from buyers.simulator.replies import Reply
from buyers.simulator.request import Request
from buyers.simulator.script import changed

REMEMBERED_POSTS = 200_000
"""How many idempotency keys a buyer keeps; the oldest go first."""

Handler = Callable[[Request], Reply]

_UNAUTHORISED = replies.json_response(401, {"error": "not the authentication that was promised"})


@dataclass(slots=True)
class Post:
    """A post as the buyer remembers it. ``taken`` None: it came to no decision."""

    tries: int = 0
    taken: bool | None = None


class SimulatedBuyer:
    """Answers pings and posts as its script says."""

    def __init__(self, script: BuyerScript, seed: int) -> None:
        """Prepare every answer. ``seed`` is the whole script's."""
        self.counts = Counts()
        self.requests: deque[Request] = deque(maxlen=script.record)
        self.posts: dict[str, Post] = {}
        self._ping_dice = Dice(seed, script.name, "ping")
        self._post_dice = Dice(seed, script.name, "post")
        self._pings_seen = 0
        self._posts_seen = 0
        self._play(script)

    @property
    def name(self) -> str:
        """The name in the script."""
        return self.script.name

    def change(self, change: object) -> None:
        """Play on with parts of the script replaced. Raises ScriptError, nothing changed then."""
        self._play(changed(self.script, change))

    def reset(self) -> None:
        """Forget counts, sequence numbers, posts and recorded requests; the script stays."""
        self.counts = Counts()
        self.requests.clear()
        self.posts.clear()
        self._pings_seen = self._posts_seen = 0

    def ping(self, request: Request) -> Reply:
        """The answer to a bid request."""
        if not self._admit(request):
            return Reply(_UNAUTHORISED)
        counts, script = self.counts, self.script.ping
        self._pings_seen += 1
        counts.pings += 1
        if carries_caller_id(request.body + request.query.encode(), self._known_numbers):
            counts.plain_caller_ids += 1
        draws = self._ping_dice.roll(_key(request, script.decide_by, self._pings_seen))
        behaviour = self._pings.weights.choose(draws.behaviour)
        plan = self._pings.plans[behaviour]
        counts.ping_behaviours[behaviour] += 1
        counts.bids += plan.says_yes
        counts.no_bids += plan.says_no
        amount = script.bid.text(draws.amount)
        return self._reply(
            plan,
            amount,
            f"{self.name}-{self._pings_seen}",
            script.latency_ms.seconds(draws.latency),
        )

    def post(self, request: Request) -> Reply:
        """The answer to a post; one decided before gets the same decision, whole and readable."""
        if not self._admit(request):
            return Reply(_UNAUTHORISED)
        counts, script = self.counts, self.script.post
        self._posts_seen += 1
        post = self._remembered(request)
        if post.tries > 1:
            counts.repeats += 1
        else:
            counts.posts += 1
        key = _key(request, script.decide_by, self._posts_seen) + b"#%d" % post.tries
        draws = self._post_dice.roll(key)
        latency = script.latency_ms.seconds(draws.latency)
        if post.taken is not None:
            return self._reply(
                self._posts.plans["accept" if post.taken else "reject"], "", "", latency
            )
        return self._decide(post, self._posts.weights.choose(draws.behaviour), latency)

    def _decide(self, post: Post, behaviour: str, latency: float) -> Reply:
        counts, plan = self.counts, self._posts.plans[behaviour]
        counts.post_behaviours[behaviour] += 1
        counts.accepted += plan.says_yes
        counts.rejected += plan.says_no
        counts.unheard += plan.taken and not plan.says_yes
        post.taken = True if plan.taken else False if plan.says_no else None
        reply = self._reply(plan, "", "", latency)
        reply.sells = plan.taken and plan.says_yes
        return reply

    def _play(self, script: BuyerScript) -> None:
        pings, posts, check = (
            ping_plans(script.ping),
            post_plans(script.post),
            compile_check(script.auth),
        )
        self.script, self._pings, self._posts, self._check = script, pings, posts, check
        self._known_numbers = frozenset(map(national_digits, script.known_numbers))

    def _admit(self, request: Request) -> bool:
        if self.requests.maxlen:
            self.requests.append(request)
        admitted = self._check(request)
        self.counts.auth_failures += not admitted
        return admitted

    def _remembered(self, request: Request) -> Post:
        key = request.headers.get("idempotency-key")
        post = self.posts.get(key) if key else None
        if post is None:
            post = Post()
            if key:
                self._remember(key, post)
        post.tries += 1
        return post

    def _remember(self, key: str, post: Post) -> None:
        if len(self.posts) >= REMEMBERED_POSTS:
            del self.posts[next(iter(self.posts))]
        self.posts[key] = post

    def _reply(self, plan: Plan, amount: str, bid_id: str, latency_s: float) -> Reply:
        reply = plan.reply(amount, bid_id)
        reply.delay_s += latency_s
        reply.counts = self.counts
        return reply


def _key(request: Request, decide_by: str, sequence: int) -> bytes:
    """What a request's draws follow from: the value to decide by, else its number."""
    if decide_by != "sequence":
        value = request.value_at(decide_by)
        if value is not None:
            return b"=" + value.encode()
    return b"%d" % sequence
