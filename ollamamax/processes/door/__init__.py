"""The front door: what a connection may send, how long it may take, and how many one address may have, on every ASGI server."""
