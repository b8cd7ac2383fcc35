<?php
// The broadcast server in PHP, event-driven in the manner of Workerman: callbacks for connect, message and close, one
// process, and a timer. It stands on stream_select, as Workerman does without an extension for events, and so holds
// about a thousand connections: select knows no descriptor above 1,023. Beyond that a newcomer is refused.
//
// --listen HOST:PORT, and --silent SECONDS: every 5 s, those who said nothing for longer are disconnected. The bench
// leaves it off, since its receivers say nothing.
declare(strict_types=1);

const CONNECTIONS_MAX = 1010;
const UNSENT_MAX = 16 << 20;
const MESSAGE_MAX = 16 << 20;
const HEAD_MAX = 8192;
const SWEEP_EVERY = 5.0;

final class Connection
{
    public string $room = '';          // its path; '': not upgraded yet
    public string $in = '';            // read, and not yet understood
    public string $out = '';           // what the socket did not take yet
    public int $opcode = 0;            // of the message whose fragments are in $whole
    public string $whole = '';
    public float $lastMessage;

    /** @param resource $socket */
    public function __construct(public $socket)
    {
        $this->lastMessage = microtime(true);
    }
}

final class Server
{
    /** @var resource */
    private $listener;
    /** @var array<int, Connection> */
    private array $connections = [];
    /** @var array<int, resource> what select looks at, by the number of the socket */
    private array $reading = [];
    /** @var array<int, resource> those with something unsent */
    private array $writing = [];
    /** @var array<string, array<int, Connection>> */
    private array $rooms = [];

    public function __construct(string $listen, private float $silentMax)
    {
        $context = stream_context_create(['socket' => ['backlog' => 4096, 'tcp_nodelay' => true]]);
        $listener = stream_socket_server("tcp://$listen", $code, $why, STREAM_SERVER_BIND | STREAM_SERVER_LISTEN, $context);
        if ($listener === false) {
            throw new RuntimeException("listen on $listen: $why");
        }
        stream_set_blocking($listener, false);
        $this->listener = $listener;
        $this->reading[(int) $listener] = $listener;
    }

    public function run(): never
    {
        $sweep = microtime(true) + SWEEP_EVERY;
        while (true) {
            $read = $this->reading;
            $write = $this->writing;
            $except = null;
            if (@stream_select($read, $write, $except, 1) > 0) {
                foreach ($write as $id => $_) {
                    if (isset($this->connections[$id])) {
                        $this->flush($id, $this->connections[$id]);
                    }
                }
                foreach ($read as $id => $socket) {
                    if ($socket === $this->listener) {
                        $this->accept();
                    } elseif (isset($this->connections[$id])) {
                        $this->readable($id, $this->connections[$id]);
                    }
                }
            }
            if ($this->silentMax > 0 && microtime(true) >= $sweep) {
                $this->sweep(microtime(true));
                $sweep = microtime(true) + SWEEP_EVERY;
            }
        }
    }

    private function onConnect(int $id, Connection $c): void
    {
        $this->rooms[$c->room][$id] = $c;
    }

    private function onMessage(Connection $c, int $opcode, string $text): void
    {
        $c->lastMessage = microtime(true);
        $frame = self::frame($opcode, $text);
        foreach ($this->rooms[$c->room] as $id => $to) {
            $this->send($id, $to, $frame);
        }
    }

    private function onClose(int $id, Connection $c): void
    {
        unset($this->rooms[$c->room][$id]);
        if (($this->rooms[$c->room] ?? null) === []) {
            unset($this->rooms[$c->room]);
        }
    }

    private function sweep(float $now): void
    {
        foreach ($this->connections as $id => $c) {
            if ($now - $c->lastMessage > $this->silentMax) {
                $this->end($id, $c);
            }
        }
    }

    private function accept(): void
    {
        while (($socket = @stream_socket_accept($this->listener, 0)) !== false) {
            if (count($this->connections) >= CONNECTIONS_MAX) {
                fwrite($socket, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                fclose($socket);
                continue;
            }
            stream_set_blocking($socket, false);
            stream_set_read_buffer($socket, 0);
            $this->reading[(int) $socket] = $socket;
            $this->connections[(int) $socket] = new Connection($socket);
        }
    }

    private function readable(int $id, Connection $c): void
    {
        $got = @fread($c->socket, 65536);
        if ($got === '' || $got === false) {
            if ($got === false || feof($c->socket)) {
                $this->end($id, $c);
            }
            return;
        }
        $c->in .= $got;
        if ($c->room === '' && !$this->upgrade($id, $c)) {
            return;
        }
        $at = 0;
        while (isset($this->connections[$id]) && ($used = $this->understand($id, $c, $at)) > 0) {
            $at += $used;
        }
        $c->in = substr($c->in, $at);
    }

    private function upgrade(int $id, Connection $c): bool
    {
        $end = strpos($c->in, "\r\n\r\n");
        if ($end === false) {
            if (strlen($c->in) > HEAD_MAX) {
                $this->end($id, $c);
            }
            return false;
        }
        $head = substr($c->in, 0, $end + 2);
        $path = explode(' ', $head, 3)[1] ?? '';
        $isRoom = $path === '/' || str_starts_with($path, '/rooms/');
        if (!$isRoom || preg_match('/^Sec-WebSocket-Key:[ \t]*(\S+)/mi', $head, $key) !== 1) {
            $status = $isRoom ? '400 Bad Request' : '404 Not Found';
            @fwrite($c->socket, "HTTP/1.1 $status\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            $this->end($id, $c);
            return false;
        }
        $c->in = substr($c->in, $end + 4);
        $c->room = $path;
        $accept = base64_encode(sha1($key[1] . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11', true));
        $this->send($id, $c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            . "Sec-WebSocket-Accept: $accept\r\n\r\n");
        $this->onConnect($id, $c);
        return true;
    }

    /** Handles the frame at $at, and says how long it was; 0: it is not all there yet. */
    private function understand(int $id, Connection $c, int $at): int
    {
        $have = strlen($c->in) - $at;
        if ($have < 2) {
            return 0;
        }
        $first = ord($c->in[$at]);
        $second = ord($c->in[$at + 1]);
        $size = $second & 0x7f;
        $header = $size === 126 ? 8 : ($size === 127 ? 14 : 6);
        if ($have < $header) {
            return 0;
        }
        if ($size === 126) {
            $size = unpack('n', $c->in, $at + 2)[1];
        } elseif ($size === 127) {
            $size = unpack('J', $c->in, $at + 2)[1];
        }
        if ($second < 0x80 || $size < 0 || $size > MESSAGE_MAX) {
            $this->end($id, $c);
            return 0;
        }
        if ($have < $header + $size) {
            return 0;
        }
        $mask = substr($c->in, $at + $header - 4, 4);
        $text = substr($c->in, $at + $header, $size) ^ str_repeat($mask, ($size >> 2) + 1);
        $this->onFrame($id, $c, $first & 0x0f, $first >= 0x80, $text);
        return $header + $size;
    }

    private function onFrame(int $id, Connection $c, int $opcode, bool $last, string $text): void
    {
        switch ($opcode) {
            case 8:
                $this->send($id, $c, self::frame(8, $text));
                $this->end($id, $c);
                return;
            case 9:
                $this->send($id, $c, self::frame(10, $text));
                return;
            case 10:
                return;
            case 1:
            case 2:
                $c->opcode = $opcode;
        }
        if ($last && $c->whole === '') {
            $this->onMessage($c, $c->opcode, $text);
            return;
        }
        $c->whole .= $text;
        if (strlen($c->whole) > MESSAGE_MAX) {
            $this->end($id, $c);
        } elseif ($last) {
            $whole = $c->whole;
            $c->whole = '';
            $this->onMessage($c, $c->opcode, $whole);
        }
    }

    private static function frame(int $opcode, string $text): string
    {
        $size = strlen($text);
        if ($size < 126) {
            return chr(0x80 | $opcode) . chr($size) . $text;
        }
        if ($size < 65536) {
            return chr(0x80 | $opcode) . "\x7e" . pack('n', $size) . $text;
        }
        return chr(0x80 | $opcode) . "\x7f" . pack('J', $size) . $text;
    }

    private function send(int $id, Connection $c, string $bytes): void
    {
        if ($c->out !== '') {
            $c->out .= $bytes;
            if (strlen($c->out) > UNSENT_MAX) {
                $this->end($id, $c);
            }
            return;
        }
        $sent = @fwrite($c->socket, $bytes);
        if ($sent === false) {
            $this->end($id, $c);
        } elseif ($sent < strlen($bytes)) {
            $c->out = substr($bytes, $sent);
            $this->writing[$id] = $c->socket;
        }
    }

    private function flush(int $id, Connection $c): void
    {
        $sent = @fwrite($c->socket, $c->out);
        if ($sent === false) {
            $this->end($id, $c);
            return;
        }
        $c->out = substr($c->out, $sent);
        if ($c->out === '') {
            unset($this->writing[$id]);
        }
    }

    private function end(int $id, Connection $c): void
    {
        if (!isset($this->connections[$id])) {
            return;
        }
        unset($this->connections[$id], $this->reading[$id], $this->writing[$id]);
        $this->onClose($id, $c);
        fclose($c->socket);
    }
}

$options = ['--listen' => '127.0.0.1:9001', '--silent' => '0'];
for ($i = 1; $i + 1 < $argc; $i += 2) {
    $options[$argv[$i]] = $argv[$i + 1];
}
try {
    (new Server($options['--listen'], (float) $options['--silent']))->run();
} catch (RuntimeException $e) {
    fwrite(STDERR, $e->getMessage() . "\n");
    exit(1);
}
