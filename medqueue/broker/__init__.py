"""The broker: Celery on Redis or Valkey, which carries the bell, never the truth."""
