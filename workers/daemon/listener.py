"""RQ's forking worker, made to fit: its child dies with it, stops between two tiles, and outlives an outage of Redis.

RQ 2.12 waits for a child until it ends by itself when it is asked to stop, leaves it computing when it is killed, and
quits over a child that computes when Redis goes away. What Redis records of a ring is of no value to us: the ledger
knows what is done, so a record that cannot be written is passed over.
"""

import os
import signal
import time
from collections.abc import Collection
from contextlib import suppress

import structlog
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.exceptions import DeserializationError
from rq.job import Job
from rq.serializers import JSONSerializer

from workers.contract.doorbell import ANSWER, Doorbell
from workers.contract.tied import die_with_parent, parent_death

TTL_S = 60
"""RQ counts a silent listener as gone after about this long; it bounds how long a stuck connection is waited for."""
LOOK_S = 0.5
STOPS = (signal.SIGTERM, signal.SIGINT)


class Listener(Worker):  # type: ignore[misc] # rq's own types are not checked here
    """One slot: it takes a ring, answers it in a forked child, and takes the next."""

    max_connection_wait_time = 5.0

    def __init__(self, doorbell: Doorbell, answers: Collection[str] = (ANSWER,)) -> None:
        super().__init__(
            doorbell.queues(),
            connection=doorbell.redis,
            serializer=JSONSerializer,
            worker_ttl=TTL_S,
            log_job_description=False,
        )
        self.log_result_lifespan = False
        self._doorbell = doorbell
        self._answers = answers
        # Looked up before any fork.
        parent_death()

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        """Fork the child. A signal to stop waits until there is a child to hand it to, which can take it."""
        self._parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            super().fork_work_horse(job, queue)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        """Answer the ring, in the child."""
        die_with_parent(self._parent)
        super().main_work_horse(job, queue)

    def setup_work_horse_signals(self) -> None:
        """Let the child be ended by SIGTERM until the answer says how it wants to stop."""
        super().setup_work_horse_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)

    def handle_warm_shutdown_request(self) -> None:
        """Hand the request to stop on to the child, which ends between two tiles."""
        structlog.get_logger().info("listener stops", child=self.horse_pid or None)
        if self.horse_pid:
            with suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)

    @property
    def was_told_to_stop(self) -> bool:
        """True where the work ended because somebody asked for it."""
        return self._shutdown_requested_date is not None

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Answer one ring; what Redis does not take of it afterwards is passed over. Returns when Redis is there."""
        try:
            if not self._is_ring(job):
                structlog.get_logger().error("not a ring", queue=queue.name, record=job.id)
                job.delete()
                return
            super().execute_job(job, queue)
        except RedisError as error:
            _tell_away(error)
            while not self._stop_requested and not self._doorbell.is_there():
                time.sleep(LOOK_S)

    def _is_ring(self, job: Job) -> bool:
        """True where a record is what the doorbell writes. RQ would call any function it names, with any arguments."""
        try:
            name = job.func_name
        except DeserializationError:
            return False
        extras = (job._success_callback_name, job._failure_callback_name, job._stopped_callback_name)
        return name in self._answers and not any(extras) and not job.webhooks and job.instance is None

    def maintain_heartbeats(self, job: Job) -> None:
        """Tell Redis that the child computes, where Redis is there to be told."""
        try:
            super().maintain_heartbeats(job)
        except RedisError as error:
            _tell_away(error)

    def set_current_job_working_time(self, current_job_working_time: float, pipeline: object = None) -> None:
        """Note how long the child computes already; RQ's own time-out needs it, Redis does not."""
        try:
            super().set_current_job_working_time(current_job_working_time, pipeline)
        except RedisError as error:
            _tell_away(error)

    def heartbeat(self, timeout: int | None = None, pipeline: object = None) -> None:
        """Tell Redis that this listener is there; the next command finds out whether Redis is."""
        try:
            super().heartbeat(timeout, pipeline)
        except RedisError as error:
            _tell_away(error)

    def set_shutdown_requested_date(self) -> None:
        """Note the request to stop, from within the signal's handler, where nothing may fail."""
        try:
            super().set_shutdown_requested_date()
        except RedisError as error:
            _tell_away(error)

    def handle_execution_ended(self, job: Job, queue: Queue, heartbeat_ttl: int) -> None:
        """Note that the answer ended: in the child, whose work is in the ledger by now."""
        try:
            super().handle_execution_ended(job, queue, heartbeat_ttl)
        except RedisError as error:
            _tell_away(error)

    def handle_job_success(self, job: Job, queue: Queue, started_job_registry: object) -> None:
        """Note that the answer ended well: in the child, whose work is in the ledger by now."""
        try:
            super().handle_job_success(job, queue, started_job_registry)
        except RedisError as error:
            _tell_away(error)

    def subscribe(self) -> None:
        """Take no commands through Redis: stopping and cancelling go through the ledger and through signals."""

    def teardown(self) -> None:
        """Say goodbye, where Redis is there to hear it."""
        try:
            super().teardown()
        except RedisError as error:
            _tell_away(error)


def _tell_away(error: RedisError) -> None:
    structlog.get_logger().warning("redis is away", reason=str(error))
