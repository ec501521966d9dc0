"""The engines behind the services: what reads files, runs SQL and holds a database."""
