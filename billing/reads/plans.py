"""What is on sale now."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.plans import PlanOnSale

ON_SALE = text("SELECT * FROM plan_on_sale ORDER BY display_order, name, plan_id")


async def plans_on_sale(connection: AsyncConnection) -> list[PlanOnSale]:
    """Every plan on sale, in the order in which it is shown."""
    return [PlanOnSale.of(row) for row in (await connection.execute(ON_SALE)).mappings()]
