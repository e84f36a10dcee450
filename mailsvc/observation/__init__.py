"""What mailsvc says of itself: one log line per request, metrics, health. Never a query string, a body, or a secret."""

from mailsvc.observation.requests import note, request_id

__all__ = ["note", "request_id"]
