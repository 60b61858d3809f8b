"""Carries a charge point model over a WebSocket: ``client`` is the asyncio shell, on the real loop and on the virtual one."""
