"""Django's PostgreSQL backend, which tells the server in which tenant's scope each statement is."""
