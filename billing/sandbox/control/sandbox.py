"""The parts of a running sandbox that the control API reaches."""

from dataclasses import dataclass

from starlette.requests import Request

from billing.sandbox.account import Account
from billing.sandbox.api import Api
from billing.sandbox.courier import Courier
from billing.sandbox.timekeeper import Timekeeper


@dataclass(frozen=True)
class Sandbox:
    account: Account
    api: Api
    courier: Courier
    timekeeper: Timekeeper

    @classmethod
    def of(cls, request: Request) -> "Sandbox":
        found: Sandbox = request.app.state.sandbox
        return found

    def wake(self) -> None:
        self.courier.wake()
        self.timekeeper.wake()
