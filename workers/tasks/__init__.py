"""The Celery tasks, and how every one of them is performed."""
