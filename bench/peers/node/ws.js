// The broadcast server on Node with ws, in the form of its documentation: whoever is open gets a send. ws keeps what a
// socket does not take; who has more than unsentMax of it is cut off.
import { createServer } from 'node:http'
import { WebSocket, WebSocketServer } from 'ws'
import { hostname, isRoom, portNumber } from './listen.js'

const unsentMax = 16 * 1024 * 1024
const rooms = new Map()
const wss = new WebSocketServer({ noServer: true })

wss.on('connection', (ws, request) => {
  const path = request.url
  let room = rooms.get(path)
  if (room === undefined) rooms.set(path, (room = new Set()))
  room.add(ws)
  ws.on('message', (data, isBinary) => {
    for (const client of room) {
      if (client.readyState !== WebSocket.OPEN) continue
      client.send(data, { binary: isBinary })
      if (client.bufferedAmount > unsentMax) client.terminate()
    }
  })
  ws.on('error', () => ws.terminate())
  ws.on('close', () => {
    room.delete(ws)
    if (room.size === 0 && rooms.get(path) === room) rooms.delete(path)
  })
})

const server = createServer((request, response) => response.writeHead(404).end())
server.on('upgrade', (request, socket, head) => {
  if (!isRoom(request.url)) {
    socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
    return
  }
  wss.handleUpgrade(request, socket, head, (ws) => wss.emit('connection', ws, request))
})
server.listen({ host: hostname, port: portNumber, backlog: 4096 })
