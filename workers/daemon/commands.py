"""`histoserve worker`: a supervisor, its listeners and the reconciler."""

import json
from dataclasses import asdict
from typing import Annotated

import typer


def worker(
    slots: Annotated[int, typer.Option("--slots", min=1, max=64, help="Rings answered at the same time.")] = 1,
    provider: Annotated[
        str | None, typer.Option("--provider", help="onnxruntime-cpu, openvino-cpu, …, or fastest")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on stdout when the worker is ready: what it runs.")
    ] = False,
) -> None:
    """Work on the jobs of a service until stopped.

    Where things are comes from HISTOSERVE_DATABASE_URL, HISTOSERVE_REDIS_URL, HISTOSERVE_STORE_URL; see docs/deploy.md.

    Examples:

        histoserve worker

        histoserve worker --slots 2 --provider onnxruntime-cuda --json

    SIGTERM and Ctrl-C end it between two tiles; bands in work are released and another worker goes on with them. A
    provider that does not run here ends it at once: exit code 1 and the reason.
    """
    from workers.contract.logs import set_up_logs
    from workers.contract.settings import Settings
    from workers.contract.signals import stop_on_signals
    from workers.daemon.check import check_ability
    from workers.daemon.supervise import check_ledger, child_env, new_seat, supervise, tell_refused

    settings = Settings() if provider is None else Settings(provider=provider)
    set_up_logs(settings.log_format)
    with stop_on_signals() as stop:
        check_ledger(settings.database, stop)
        ability = check_ability(settings)
        tell_refused(settings, ability)
        seat = new_seat(settings, slots, ability)
        if as_json:
            typer.echo(json.dumps(asdict(seat)))
        supervise(settings, seat, stop, child_env(settings))
