"""Alembic's entry: it migrates the connection that `billing.migrate` hands over."""

from alembic import context

from billing.models import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
