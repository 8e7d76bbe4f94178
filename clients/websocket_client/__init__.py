"""An asyncio client of the WebSocket of Isthmus: `client.Client`."""
