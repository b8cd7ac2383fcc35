// The broadcast server on Bun, whose server is uWebSockets, in the form of its documentation: a room is a topic. Who has
// more than backpressureLimit unsent is cut off; without closeOnBackpressureLimit it would lose messages instead.
import { hostname, isRoom, portNumber } from './listen.js'

const server = Bun.serve({
  hostname,
  port: portNumber,
  fetch(request, server) {
    const path = new URL(request.url).pathname
    if (isRoom(path) && server.upgrade(request, { data: path })) return undefined
    return new Response('no such room', { status: 404 })
  },
  websocket: {
    perMessageDeflate: false,
    idleTimeout: 0,
    sendPings: false,
    backpressureLimit: 16 * 1024 * 1024,
    closeOnBackpressureLimit: true,
    open(ws) {
      ws.subscribe(ws.data)
    },
    message(ws, message) {
      server.publish(ws.data, message)
    },
    close(ws) {
      ws.unsubscribe(ws.data)
    }
  }
})
