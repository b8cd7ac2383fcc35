// The types of throng.js.

/** What is said: text, any JSON, or bytes. */
export type Content = string | { text: string } | { json: unknown } | { data: ArrayBuffer | ArrayBufferView | string };

/** A message of a room, or (without seq, prev, time and key) a signal. Exactly one of text, json and data is there. */
export interface Said {
  readonly room: string;
  /** Who said it, as the server knows them. */
  readonly user: string;
  /** The name they had in the room. */
  readonly name: string;
  readonly text?: string;
  readonly json?: unknown;
  readonly data?: Uint8Array;
}

export interface Message extends Said {
  readonly type: "message";
  /** The place in the room's order; rises, not by one. Not there where nothing is kept. */
  readonly seq?: number;
  /** The seq before it in the room. */
  readonly prev?: number;
  /** When it was taken, in ms since 1970. */
  readonly time?: number;
  /** The sender's key: the one given to publish. */
  readonly key?: string;
}

export interface Signal extends Said {
  readonly type: "signal";
}

/** Messages that cannot be had any more: those with from <= seq <= to. */
export interface Gap {
  readonly type: "gap";
  readonly room: string;
  readonly epoch: string | null;
  readonly from: number;
  readonly to: number;
  /** The oldest that can still be had. */
  readonly oldest: number;
  /** The numbering began anew: what is known of older seqs means nothing now. */
  readonly reset: boolean;
}

export interface Person {
  readonly user: string;
  readonly name: string;
}

/** People came or went: the room's count and people are up to date. */
export interface Presence {
  readonly count: number;
  readonly joined: Person[];
  readonly left: Person[];
  readonly complete: boolean;
}

export interface Ack {
  /** The message's place in the room; undefined where nothing is kept. */
  readonly seq?: number;
  /** Whether it is kept. */
  readonly stored: boolean;
  /** It had been taken before: this is an answer to it, sent again. */
  readonly duplicate: boolean;
}

/** How a connection is. until is a Date.now(), there while waiting. */
export interface State {
  readonly state: "closed" | "connecting" | "online" | "waiting" | "away";
  readonly why?: "lost" | "network" | "restart" | "fast" | "token" | "idle" | "refused";
  readonly until?: number;
  readonly code?: number;
  readonly reason?: string;
}

export interface Bye {
  readonly type: "bye";
  readonly code: number;
  readonly reason: string;
  readonly again: boolean;
  readonly in?: number;
}

/** The server's answer when it is no, or this client's: offline, lost, closed, left, outbox_full, unread. */
export class ThrongError extends Error {
  constructor(code: string, message?: string, more?: { hint?: string; retry?: number; room?: string });
  readonly name: "ThrongError";
  readonly code: string;
  /** What to do about it. */
  readonly hint: string;
  /** Ms after which it may be tried again. */
  readonly retry?: number;
  readonly room?: string;
}

/** A constructor such as the browser's WebSocket, or that of the module ws. */
export type WebSocketLike = new (url: string, protocols?: string | string[]) => unknown;

export interface Clock {
  now(): number;
  set(f: () => void, ms: number): unknown;
  clear(timer: unknown): void;
}

export interface RawOptions {
  /** Where the platform has none. */
  WebSocket?: WebSocketLike;
  /** Offered in the handshake; of no use with a string that a server does not speak. */
  protocols?: string[];
  /** For tests. */
  random?: () => number;
  /** For tests. */
  clock?: Clock;
}

export interface Options extends Omit<RawOptions, "protocols"> {
  /** The name that a guest would like. */
  name?: string;
  /** A guest's session, if the application keeps it by itself: the same session is the same guest. */
  session?: string;
  /** Where a guest's session is kept, such as localStorage. */
  storage?: Pick<Storage, "getItem" | "setItem">;
  /** A JWT, or what gives one: asked at each connect, and when the server says that the old one expires. */
  token?: string | (() => string | null | undefined | Promise<string | null | undefined>);
}

type Listener<D> = ((event: CustomEvent<D>) => void) | { handleEvent(event: CustomEvent<D>): void } | null;

declare class Source<Events> extends EventTarget {
  addEventListener<K extends keyof Events>(type: K, listener: Listener<Events[K]>, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof Events>(type: K, listener: Listener<Events[K]>, options?: boolean | EventListenerOptions): void;
  removeEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | EventListenerOptions): void;
}

export interface RoomEvents {
  message: Message;
  gap: Gap;
  signal: Signal;
  presence: Presence;
  /** After each join: the first and those after a reconnect. replay messages of the past come next. */
  joined: { recorded: boolean; name: string; count: number; resumed: boolean; replay: number };
  /** The server does not let one in. */
  refused: ThrongError;
  error: ThrongError;
  left: null;
}

export interface Page {
  /** In the room's order. */
  readonly messages: Message[];
  /** Whether there are more in that direction. */
  readonly more: boolean;
  readonly epoch: string | null;
}

/** A room; made by Throng's join and inbox. */
export class Room extends Source<RoomEvents> implements AsyncIterable<Message | Gap> {
  private constructor();
  readonly name: string;
  readonly state: "joining" | "joined" | "refused" | "left";
  /** Why it is refused. */
  readonly error: ThrongError | null;
  /** Whether what is said here is kept; null before the first join. */
  readonly recorded: boolean | null;
  /** One's own name in this room. */
  readonly alias: string;
  /** How many are here. */
  readonly count: number;
  /** Those who are known to be here: user -> name. members() asks for them. */
  readonly people: ReadonlyMap<string, string>;
  /** Whether people are all. */
  readonly complete: boolean;
  /** The newest message delivered. */
  readonly seen: { readonly epoch: string; readonly seq: number } | null;
  /** Settled with the first join. */
  readonly ready: Promise<Room>;
  publish(what: Content, options?: { key?: string }): Promise<Ack>;
  signal(what: Content): Promise<void>;
  /** Neither before nor after: the newest. */
  history(which?: { before?: number; after?: number; limit?: number }): Promise<Page>;
  members(): Promise<{ count: number; members: Person[]; complete: boolean }>;
  leave(): void;
  /** Messages and gaps from now on, told apart by their type. It ends when the room is left. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message | Gap>;
}

export interface ThrongEvents {
  state: State;
  /** What the server says of itself, not as an answer. */
  error: ThrongError;
  bye: Bye;
}

/** Somebody's connection to a server. It comes back by itself, and with it rooms and what was not answered. */
export class Throng extends Source<ThrongEvents> {
  /** The page's own server if no URL is given. */
  constructor(url?: string | URL, options?: Options);
  readonly state: State["state"];
  readonly why: State["why"];
  /** Failed connections in a row. */
  readonly failures: number;
  /** One's id; the inbox is @user. */
  readonly user: string | null;
  readonly name: string | null;
  readonly guest: boolean | null;
  readonly node: string | null;
  readonly server: string | null;
  /** As the server gave them: the longest message in bytes, rooms at once, messages a second. */
  readonly limits: { readonly message?: number; readonly rooms?: number; readonly rate?: number };
  /** When the token expires, a Date.now(). */
  readonly expires: number | null;
  readonly rooms: Room[];
  /** Publishes without an answer. */
  readonly pending: number;
  connect(): void;
  /** The user wishes to be online: ends a wait that the server did not ask for. */
  wake(): void;
  /** For good: what was not answered fails. */
  close(): void;
  join(name: string, options?: { last?: number }): Room;
  inbox(options?: { last?: number }): Room;
  /** Needs no membership: to @user it is a direct message. */
  publish(room: string, what: Content, options?: { key?: string }): Promise<Ack>;
  signal(room: string, what: Content): Promise<void>;
  /** The server's clock, in ms since 1970. */
  ping(): Promise<number>;
  /** A guest's new name. */
  rename(name: string): Promise<string | null>;
  /** A new token on the connection there is. */
  authenticate(token: string): Promise<string | null>;
}

/** A connection that comes back, for raw rooms: no rooms, names or answers, what is sent is sent. */
export class RawClient extends Source<{ state: State }> {
  constructor(url: string, options?: RawOptions);
  readonly state: State["state"];
  readonly why: State["why"];
  readonly failures: number;
  addEventListener(type: "message", listener: (event: MessageEvent<string | ArrayBuffer>) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: "state", listener: Listener<State>, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  connect(): void;
  /** false: not online, and nothing was sent. */
  send(data: string | ArrayBuffer | ArrayBufferView): boolean;
  /** Gives up the connection as if it had been closed with this code, and comes back as after that. */
  end(code?: number, reason?: string): void;
  wake(): void;
  close(): void;
}

/** A wait after so many failures in a row, drawn from 0 to a bound that doubles up to 30 s. */
export function backoff(failures: number, random?: () => number): number;
/** The wait that a Close asks for, or -1. */
export function turn(code: number, reason: string): number;
/** A key for publish that nobody else will make. */
export function newKey(): string;
