"""What a worker needs to pursue a purchase at Stripe."""

from dataclasses import dataclass
from datetime import datetime

from billing import work
from billing.db import Begin
from billing.deployment import Deployment
from billing.gateway import PaymentGateway
from billing.secrets import Vault


@dataclass(frozen=True, slots=True)
class Desk:
    begin: Begin
    gateway: PaymentGateway
    leases: work.Leases
    vault: Vault
    deployment: Deployment
    now: datetime
