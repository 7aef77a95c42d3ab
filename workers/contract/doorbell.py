"""The doorbell: RQ on Redis, ids only. It may lose everything at any time; the ledger knows what to ring again."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer

from workers.contract.settings import Settings

Priority = Literal["stat", "routine"]
PRIORITIES: tuple[Priority, ...] = ("stat", "routine")
ANSWER = "workers.wake.answer.answer"
"""The function a worker calls with the id that was rung."""
SILENCE_S = 5.0
RECORD_TTL_S = 60
"""RQ's own records of rings are of no use once answered."""


@dataclass(frozen=True, eq=False)
class Doorbell:
    """A connection to Redis and what its queues are called."""

    redis: "Redis"
    prefix: str
    timeout_s: int

    def queue(self, priority: Priority) -> Queue:
        """The RQ queue of a priority."""
        return Queue(f"{self.prefix}-{priority}", connection=self.redis, serializer=JSONSerializer)

    def queues(self) -> list[Queue]:
        """The queues a worker listens to, the urgent first."""
        return [self.queue(priority) for priority in PRIORITIES]

    def ring(self, subject: str, priority: Priority = "routine", times: int = 1) -> bool:
        """True where the ring is in Redis; False where Redis is away, and the reconciler will ring again.

        Parameters
        ----------
        subject
            `job:<id>` or `slide:<id>`.
        times
            How many workers to wake.
        """
        try:
            queue = self.queue(priority)
            for _ in range(times):
                queue.enqueue_call(
                    ANSWER,
                    args=(subject,),
                    job_id=f"{subject.replace(':', '-')}-{uuid4().hex[:8]}",
                    timeout=self.timeout_s,
                    result_ttl=RECORD_TTL_S,
                    failure_ttl=RECORD_TTL_S,
                    ttl=None,
                )
        except RedisError:
            return False
        return True

    def waiting(self) -> set[str]:
        """The subjects that were rung and not answered yet. Raises `RedisError` where Redis is away."""
        return {_subject(identifier) for queue in self.queues() for identifier in queue.get_job_ids()}

    def count_waiting(self) -> int | None:
        """Rings that nobody answered yet; None where Redis is away."""
        try:
            return sum(int(queue.count) for queue in self.queues())
        except RedisError:
            return None

    def is_there(self) -> bool:
        """True where Redis answers."""
        try:
            return bool(self.redis.ping())
        except RedisError:
            return False


def open_doorbell(settings: Settings, silence_s: float = SILENCE_S) -> Doorbell:
    """The doorbell of a deployment; nothing is connected until it is rung.

    Parameters
    ----------
    silence_s
        How long a Redis that is silent is waited for. A listener waits for rings: it must be patient.
    """
    # A Unix socket (`histoserve up`) knows no keep-alive.
    alive = {} if settings.redis_url.startswith("unix:") else {"socket_keepalive": True}
    redis = Redis.from_url(settings.redis_url, socket_connect_timeout=2, socket_timeout=silence_s, **alive)
    # Later than our own limit: RQ only ends what does not end itself.
    return Doorbell(redis, settings.queue_prefix, int(settings.job_timeout_s) + 120)


def missing(wanted: Iterable[str], doorbell: Doorbell) -> list[str]:
    """The subjects among `wanted` that nobody would answer: they are in no queue."""
    waiting = doorbell.waiting()
    return [subject for subject in wanted if subject not in waiting]


def _subject(identifier: str) -> str:
    kind, rest = identifier.split("-", 1)
    return f"{kind}:{rest.rsplit('-', 1)[0]}"
