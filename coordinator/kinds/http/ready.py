"""Checks of a `loadgen http` plan that read files, and so cannot be made by the plan itself."""

from __future__ import annotations

import dataclasses

from loadgen.model.derived import once
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import with_braces
from loadgen.model.http_secrets import hidden
from loadgen.model.secrets import MASK


def with_data(plan: HttpPlan) -> HttpPlan:
    """Return the plan with its data file as it is now.

    Raises PlanError when the file cannot be read, is not the one that the plan describes, or gives nothing to requests.
    """
    if plan.data.file:
        from workloads.http.data import settled

        plan = dataclasses.replace(plan, data=settled(plan.data))
    plan.check_values()
    if plan.data.file and not any(
        value.is_column for _, one in once(plan.requests, with_braces) for value in one.values
    ):
        columns = ", ".join(f"{{{{{name}}}}}" for name in plan.data.columns[:5])
        raise PlanError(
            f"no request uses a column of {plan.data.file}", hint=f"write {columns} in a URL, a header or a body"
        )
    return plan


def check_secrets(plan: HttpPlan) -> None:
    """Raise PlanError when the plan comes from a record or a file in which secrets are masked."""
    if parts := hidden(plan):
        raise PlanError(
            f"the plan does not hold its secrets (they are {MASK}): give them again, with {', '.join(parts)}",
            hint="with --record-secrets, the record of a run and --print-plan keep them",
        )


def check_tls_files(plan: HttpPlan) -> None:
    """Raise PlanError when the certificates or the key of the plan cannot be used."""
    if not (plan.tls_ca or plan.tls_cert):
        return
    from coordinator.run.tls_files import tls_settings
    from loadgen.engine.tls import check_settings

    check_settings(tls_settings(plan))
