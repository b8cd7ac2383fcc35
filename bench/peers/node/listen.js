// Where to listen: --listen HOST:PORT.
const at = process.argv.indexOf('--listen')
const [host, port] = (at > 0 ? process.argv[at + 1] : '127.0.0.1:9001').split(':')

export const hostname = host
export const portNumber = Number(port)

// The paths that are rooms; a room is called by its path.
export const isRoom = (path) => path === '/' || path.startsWith('/rooms/')
