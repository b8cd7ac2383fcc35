"""The broadcast server in Python with websockets, by its own broadcast(), which does not wait for slow readers.

broadcast() keeps what a socket does not take, without a limit.
"""

import asyncio
import sys
from http import HTTPStatus

import websockets

rooms: dict[str, set] = {}


async def only_rooms(path, headers):
    """Refuse what is not a room."""
    if path != "/" and not path.startswith("/rooms/"):
        return HTTPStatus.NOT_FOUND, [], b""
    return None


async def talk(websocket, path):
    """Pass on what somebody says to everybody in the room."""
    room = rooms.setdefault(path, set())
    room.add(websocket)
    try:
        async for message in websocket:
            websockets.broadcast(room, message)
    except websockets.ConnectionClosedError:
        pass
    finally:
        room.discard(websocket)
        if not room and rooms.get(path) is room:
            del rooms[path]


async def main():
    """Serve until the process is ended."""
    host, port = sys.argv[sys.argv.index("--listen") + 1].split(":")
    async with websockets.serve(
        talk, host, int(port), process_request=only_rooms, ping_interval=None, compression=None, backlog=4096
    ):
        await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(main())
