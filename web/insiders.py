"""Who may know how the service itself is: its own machine, the networks of METRICS_ALLOW, and the role `service`."""

from starlette.requests import Request

from web.addresses import is_from
from web.auth import Role
from web.door import Door
from web.errors import HttpError


async def is_insider(request: Request, door: Door) -> bool:
    """A bad token is refused wherever it comes from."""
    identity = await door.callers.optional(request)
    is_near = is_from(request, door.settings.metrics_allow, door.settings.trusted_proxies)
    return is_near or (identity is not None and identity.is_any_of(Role.SERVICE))


async def insiders_only(request: Request, door: Door) -> None:
    """Raises HttpError: 401 for who sent no token, 403 for whose token does not say `service`."""
    if not await is_insider(request, door):
        await door.callers.required(request)
        raise HttpError(403, "permission_denied", "Only the platform itself may look at this.")
