"""The engine's command for manage.py."""
