"""What the service is connected to, opened once when it starts and handed to the endpoints."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.reads import ReadAudit
from workers.contract.doorbell import Doorbell, open_doorbell
from workers.contract.settings import Settings
from workers.contract.store import Store, open_store
from workers.ledger import Ledger, open_ledger


@dataclass(frozen=True, eq=False)
class Deployment:
    """The open parts of one service process."""

    settings: Settings
    ledger: Ledger
    doorbell: Doorbell
    store: Store
    reads: ReadAudit

    def close(self) -> None:
        """Close what was opened; what was read is in the audit before."""
        self.reads.close()
        self.ledger.close()
        self.doorbell.redis.close()


def open_deployment(settings: Settings) -> Deployment:
    """The parts that settings name; Redis may be away, it is rung when it is there."""
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings.uploads_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ledger = open_ledger(settings.database)
    return Deployment(settings, ledger, open_doorbell(settings), open_store(settings), ReadAudit(ledger))


def deployment_of(request: Request) -> Deployment:
    """The deployment behind a request."""
    deployment: Deployment = request.app.state.deployment
    return deployment


async def _deployed(request: Request) -> Deployment:
    """As `deployment_of`, for endpoints; on the event loop, as it waits for nothing."""
    return deployment_of(request)


Deployed = Annotated[Deployment, Depends(_deployed)]
