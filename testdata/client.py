"""A WebSocket client made of the module websockets, driven by a Go test: orders come in as lines of JSON, what happens goes out as such.

python3 client.py URL [deflate]
"""

import asyncio
import json
import sys

import websockets


def tell(event, data="", code=0):
    print(json.dumps({"event": event, "data": data, "code": code}), flush=True)


async def obey(ws):
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        order = json.loads(line)
        what, data = order["do"], order["data"]
        if what == "ping":
            await (await ws.ping(data[0]))
            tell("pong", data[0])
            continue
        if what == "binary":
            data = [bytes.fromhex(part) for part in data]
        await ws.send(data[0] if len(data) == 1 else data)


async def main(url, deflate):
    async with websockets.connect(url, compression=deflate, ping_interval=None) as ws:
        extensions = getattr(ws, "extensions", None) or getattr(getattr(ws, "protocol", None), "extensions", [])
        tell("open", ", ".join(e.name for e in extensions))
        obeying = asyncio.create_task(obey(ws))
        try:
            while True:
                message = await ws.recv()
                tell(*(("binary", message.hex()) if isinstance(message, bytes) else ("text", message)))
        except websockets.ConnectionClosed as e:
            tell("close", e.rcvd.reason if e.rcvd else "", e.rcvd.code if e.rcvd else 1006)
        obeying.cancel()


asyncio.run(main(sys.argv[1], "deflate" if "deflate" in sys.argv[2:] else None))
