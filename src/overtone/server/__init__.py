"""The service: many users, one model, over HTTP and WebSocket."""
