"""Alembic's environment: the connection is handed over by `fhir_coder.store.ledger.migrate`."""

from alembic import context

from fhir_coder.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
