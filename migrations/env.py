"""Alembic's entry: runs the migrations on the connection it is handed, inside that connection's transaction.

Only mailsvc.store.schema starts it, so there is no alembic.ini, no second way to name a database, and no offline mode.
"""

from alembic import context

connection = context.config.attributes["connection"]

context.configure(connection=connection, render_as_batch=True, transactional_ddl=True)
context.run_migrations()
