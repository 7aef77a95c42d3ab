"""What can go wrong between a caller, the ledger and the workers; the engine's own errors are in `models.errors`."""

from models.errors import HistoserveError, RefusedInputError


class LedgerAwayError(HistoserveError):
    """The database does not answer; nothing was accepted that is not on its disk."""

    slug = "ledger-away"
    title = "The database does not answer"


class StoreError(HistoserveError):
    """The store does not take or give a file."""

    slug = "store-failed"
    title = "The store failed"


class DiskFullError(HistoserveError):
    """There is no room for what was sent or computed."""

    slug = "disk-full"
    title = "The disk is full"


class UnknownError(RefusedInputError):
    """There is nothing of that name for this caller; what belongs to others looks the same."""

    slug = "not-found"
    title = "There is no such thing"


class TextInvalidError(RefusedInputError):
    """A text that the database cannot hold."""

    slug = "text-invalid"
    title = "A text cannot be kept"


class GoneError(RefusedInputError):
    """It was there and was deleted, or its time is over."""

    slug = "gone"
    title = "It is no longer there"


class StateConflictError(RefusedInputError):
    """What was asked does not fit the state the thing is in."""

    slug = "state-conflict"
    title = "Not possible in this state"


class ResultNotReadyError(RefusedInputError):
    """The job has no result yet."""

    slug = "result-not-ready"
    title = "The result is not there yet"


class NoResultError(RefusedInputError):
    """The job ended without a result."""

    slug = "no-result"
    title = "The job ended without a result"


class NotRescorableError(RefusedInputError):
    """The result does not hold what new scores are made of."""

    slug = "not-rescorable"
    title = "This result cannot be scored anew"


class IdempotencyMismatchError(RefusedInputError):
    """The idempotency key was used before, for another request."""

    slug = "idempotency-mismatch"
    title = "The idempotency key belongs to another request"


class SlideChangedError(RefusedInputError):
    """The slide's bytes are not those that were checked, or not those that were announced."""

    slug = "slide-changed"
    title = "The slide's bytes are not what was announced"


class QueueFullError(RefusedInputError):
    """The tenant has as many jobs waiting as it may."""

    slug = "queue-full"
    title = "Too many jobs are waiting"


class WorkerLostError(HistoserveError):
    """Workers died on this job again and again without finishing a piece of it."""

    slug = "worker-lost"
    title = "The workers on this job were lost"


class TimedOutError(HistoserveError):
    """A worker stayed on the job longer than it may."""

    slug = "timed-out"
    title = "The job took too long"


class OutOfMemoryError(HistoserveError):
    """The machine's or the device's memory did not suffice."""

    slug = "out-of-memory"
    title = "There was not enough memory"


class LeaseLostError(HistoserveError):
    """Somebody else owns this work now; what was done on it is not handed in."""

    slug = "lease-lost"
    title = "The lease on this work was lost"
