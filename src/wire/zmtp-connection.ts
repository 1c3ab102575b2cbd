// One connection: greeting, handshake, messages, end; it reads in turns. Its other half writes.
// It must not know how many there are, nor what its peer is called.
import type { Socket } from "node:net";
import type { Frames, Listener, Peer, WireRefusal } from "./socket.ts";
import {
  decodeCommand,
  encodeError,
  encodePing,
  encodePong,
  encodeReady,
  greeting,
  mayTalk,
  reasonOf,
} from "./zmtp-codec.ts";
import type { Gate } from "./zmtp-gate.ts";
import { Greeting } from "./zmtp-greeting.ts";
import type { ConnectionHost } from "./zmtp-host.ts";
import { Liveness } from "./zmtp-liveness.ts";
import type { Outbox } from "./zmtp-outbox.ts";
import { FrameReader, type FrameSink } from "./zmtp-reader.ts";
import { readingEndOf, startReading, stopReading } from "./zmtp-tap.ts";
import type { Reader, Readers } from "./zmtp-turns.ts";
import { Writing, type Written } from "./zmtp-writing.ts";

/** What a connection starts with. */
interface Given {
  readonly listener: Listener | undefined;
  /** With what waits for the peer already. */
  readonly outbox: Outbox;
  /** The group it shares its turns with, and what that group may leave unread. */
  readonly readers: Readers;
  readonly gate: Gate;
}

type Phase = "greeting" | "handshake" | "open" | "ending" | "closed";

/** Time to write the rest when a connection ends. */
export const lingerMs = 1000;
const handshakeMsDefault = 10_000;

export class Connection implements FrameSink, Reader, Written {
  /** Its name at the host. */
  peer: Peer | undefined;
  readonly listener: Listener | undefined;
  readonly reader: FrameReader;
  readonly #host: ConnectionHost<Connection>;
  #socket: Socket;
  readonly #writing: Writing<Connection>;
  readonly #readers: Readers;
  readonly #gate: Gate;
  #phase: Phase = "greeting";
  /** Nothing is read any more. */
  isOver = false;
  /** Until it is whole. */
  #greeting: Greeting | undefined = new Greeting();
  #isPingable = false;
  /** Bytes kept of messages that are not whole, and while it is paused of what waits. */
  held = 0;
  /** Bytes kept of what waits to be read in the next turns. */
  #unread = 0;
  #turn = -1;
  #isBacklogged = false;
  #isPaused = false;
  /** Not read from until the gate opens. */
  #isHeld = false;
  #hasEnded = false;
  #isClosed = false;
  #dueMs: number;
  /** Of a peer that is to be asked, or wants to be given up when it is silent. */
  #liveness: Liveness | undefined;

  /** Takes over a socket that is connected, and that allows its peer to end first. */
  constructor(host: ConnectionHost<Connection>, socket: Socket, given: Given) {
    this.#host = host;
    this.#socket = socket;
    this.#writing = new Writing<Connection>(host, this, { socket, outbox: given.outbox });
    this.#readers = given.readers;
    this.#gate = given.gate;
    this.listener = given.listener;
    this.reader = new FrameReader(host.limits, this);
    this.#dueMs = host.clock.monotonicMs() + (host.limits.handshakeMs ?? handshakeMsDefault);
    host.watch(this, this.#dueMs);
    this.#listen(socket);
    this.#writing.greet(greeting);
  }

  #listen(socket: Socket): void {
    socket.on("data", (chunk: Buffer) => this.#guard(() => this.#take(chunk)));
    socket.on("end", () => this.#guard(() => this.#takeEnd()));
    socket.on("error", () => {}); // "close" follows and tells all there is to know
    socket.on("close", () => this.#guard(() => this.#close()));
  }

  /** Nothing more is written, but what the peer said before is heard. */
  onWriteFailed(): void {
    if (this.#writing.isDeaf || this.isOver) return;
    const rest = readingEndOf(this.#socket);
    if (rest === undefined) return; // "close" follows
    this.#writing.isDeaf = true;
    this.#socket.removeAllListeners();
    this.#socket.on("error", () => {}); // the write's, known already
    this.#socket = rest;
    this.#listen(rest);
    if (this.#isBacklogged || this.#isPaused || this.#isHeld) stopReading(rest);
    this.#writing.drop();
  }

  /** Bytes that wait for the peer. */
  get bytes(): number {
    return this.#writing.bytes;
  }

  /** Makes room for others: writes what can be written, and closes where nothing can. */
  relieve(): void {
    const before = this.bytes;
    this.#writing.flush();
    if (this.bytes < before) return;
    if (this.isOver) this.#drop();
    else this.refuse("memory");
    this.#writing.drop();
  }

  /** Queues a message; false when there is no room, or the connection is over. */
  send(frames: Frames): boolean {
    return this.#phase === "open" && this.#writing.send(frames);
  }

  /** Stops reading: what is in hand waits, and what comes stays in the kernel. */
  pause(): void {
    this.#isPaused = true;
    stopReading(this.#socket);
    this.#account();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#account();
    this.#liveness?.hear(this.#host.clock.monotonicMs());
    this.#goOn();
  }

  /** Writes what waits, a second at most, and closes; the host hears of `onClosed` only. */
  finish(): void {
    if (this.#phase === "ending" || this.#phase === "closed") return;
    if (this.#phase !== "open" || this.#writing.isDeaf) {
      this.destroy();
      return;
    }
    this.#beginEnding();
    startReading(this.#socket); // to see the peer's end; what comes is thrown away
    this.#writing.end();
  }

  /** Closes at once; the host hears of `onClosed` only. */
  destroy(): void {
    this.isOver = true;
    this.#drop();
  }

  /** Closes for a reason of ours. */
  refuse(refusal: WireRefusal): void {
    if (this.isOver) return;
    this.#host.tally.refused[refusal] += 1;
    const wasShakingHands = this.#phase === "handshake";
    this.#end(refusal);
    if (wasShakingHands) this.#socket.end(encodeError(reasonOf(refusal)), () => this.destroy());
    else this.#drop();
  }

  /** Looks at its deadlines; returns the next one. */
  expire(nowMs: number): number {
    if (this.#phase === "closed") return Number.POSITIVE_INFINITY;
    if (this.#phase === "open") return this.#expireOpen(nowMs);
    if (nowMs < this.#dueMs) return this.#dueMs;
    if (this.#phase === "ending" || this.isOver) this.#drop();
    else this.refuse("handshake");
    return nowMs + lingerMs;
  }

  #expireOpen(nowMs: number): number {
    const liveness = this.#liveness;
    if (liveness === undefined) return Number.POSITIVE_INFINITY;
    if (this.#isPaused || this.#isBacklogged || this.#isHeld) liveness.hear(nowMs);
    const verdict = liveness.look(nowMs);
    if (verdict === "lost") this.#lose();
    if (verdict === "ask") this.#writing.sendCommand(encodePing());
    return Math.max(liveness.nextMs, nowMs + 1);
  }

  /** Reads the next portion of its backlog. */
  serve(): void {
    this.#isBacklogged = false;
    if (this.#isPaused || this.isOver) return;
    this.#read();
    if (this.#isBacklogged || this.#isPaused || this.isOver) return;
    this.#goOn();
  }

  #goOn(): void {
    if (this.isOver || this.#isBacklogged) return;
    if (this.reader.left > 0) this.#addBacklog();
    else if (this.#hasEnded) this.#leave();
    else if (!this.#isHeld) {
      this.#isHeld = this.#gate.mustWait(this);
      if (!this.#isHeld) startReading(this.#socket);
    }
  }

  hold(): boolean {
    if (this.isOver || this.#isHeld || this.#isBacklogged || this.#isPaused) return false;
    stopReading(this.#socket);
    this.#isHeld = true;
    return true;
  }

  release(): void {
    this.#isHeld = false;
    if (!this.isOver && !this.#isBacklogged && !this.#isPaused) startReading(this.#socket);
  }

  #addBacklog(): void {
    if (this.#isBacklogged) return;
    this.#isBacklogged = true;
    this.#host.turns.addBacklog(this);
  }

  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#host.onDefect(error);
    }
  }

  #take(chunk: Buffer): void {
    if (this.isOver) return;
    const host = this.#host;
    host.tally.bytesIn += chunk.length;
    if (this.#liveness !== undefined) this.#liveness.hear(host.clock.monotonicMs());
    const from = this.#greeting === undefined ? 0 : this.#takeGreeting(this.#greeting, chunk);
    if (from >= chunk.length || this.isOver) return;
    this.reader.push(chunk, from);
    host.turns.schedule();
    this.#read();
    if (this.#isBacklogged) stopReading(this.#socket);
  }

  #read(): void {
    const { turns } = this.#host;
    const isFirst = this.#turn !== turns.count;
    if (isFirst) {
      this.#turn = turns.count;
      this.reader.spent = 0;
    }
    const before = this.reader.spent;
    const stop = this.reader.read(this.#readers.budget);
    this.#readers.spend(this.reader.spent - before, isFirst);
    if (!this.isOver && stop === "more" && !this.#isPaused) this.#addBacklog();
    this.#account();
    if (!this.isOver && stop !== "dry" && stop !== "more") this.refuse(stop);
  }

  /** Tells the host what is kept now. */
  #account(): void {
    if (this.#phase === "closed") return;
    const { held, kept } = this.reader;
    const heldNow = this.#isPaused ? held + kept : held;
    const unread = this.#isPaused ? 0 : kept;
    if (heldNow !== this.held) {
      const change = heldNow - this.held;
      this.held = heldNow;
      this.#host.onHeld(this, change);
    }
    if (unread !== this.#unread) {
      const change = unread - this.#unread;
      this.#unread = unread;
      this.#gate.note(change);
    }
  }

  /** Returns where in the chunk the greeting ends. */
  #takeGreeting(greeted: Greeting, chunk: Buffer): number {
    const taken = greeted.take(chunk);
    if (taken === undefined) {
      this.refuse("greeting");
      return chunk.length;
    }
    if (greeted.isWhole) {
      this.#isPingable = greeted.isPingable;
      this.#greeting = undefined;
      this.#phase = "handshake";
      this.#writing.greet(encodeReady(this.#host.type));
    }
    return taken;
  }

  takeMessage(frames: Frames): boolean {
    this.#host.tally.messagesIn += 1;
    this.#host.onMessage(this, frames);
    return !this.isOver && !this.#isPaused;
  }

  takeCommand(body: Uint8Array): WireRefusal | boolean {
    const command = decodeCommand(body);
    if (command === undefined) return "command";
    if (command.kind === "error") {
      this.#lose();
      return false;
    }
    if (this.#phase === "handshake") {
      if (command.kind !== "ready" || !mayTalk(this.#host.type, command.socketType)) {
        return "handshake";
      }
      this.#open();
    } else if (command.kind === "ready") {
      return "command";
    } else if (command.kind === "ping") {
      this.#answer(command.ttlMs, command.context);
    }
    return !this.isOver && !this.#isPaused;
  }

  #open(): void {
    const host = this.#host;
    this.#phase = "open";
    this.reader.mayTakeMessages = true;
    if (host.limits.pingMs !== undefined && this.#isPingable) this.#watch();
    this.#writing.begin();
    host.onOpen(this);
  }

  #watch(): Liveness {
    if (this.#liveness === undefined) {
      const { clock, limits } = this.#host;
      const pingMs = this.#isPingable ? limits.pingMs : undefined;
      this.#liveness = new Liveness(pingMs ?? Number.POSITIVE_INFINITY, clock.monotonicMs());
      this.#host.watch(this, this.#liveness.nextMs);
    }
    return this.#liveness;
  }

  #answer(ttlMs: number, context: Uint8Array): void {
    if (ttlMs > 0 || this.#liveness !== undefined) this.#watch().live(ttlMs);
    if (ttlMs > 0) this.#host.watch(this, this.#watch().nextMs);
    this.#writing.sendCommand(encodePong(context));
  }

  onEndWritten(): void {
    this.#drop();
  }

  #takeEnd(): void {
    this.#hasEnded = true;
    if (this.#phase === "ending") return;
    if (this.reader.left === 0 && !this.#isBacklogged) this.#leave();
  }

  /** The peer has said all it will; what waits for it is still written. */
  #leave(): void {
    if (this.isOver) return;
    const isAlive = this.#phase === "open" && !this.#socket.destroyed && !this.#writing.isDeaf;
    this.#end(undefined);
    if (isAlive) this.#writing.end();
    else this.#drop();
  }

  /** The peer is as good as gone. */
  #lose(): void {
    if (this.isOver) return;
    this.#end(undefined);
    this.#drop();
  }

  #end(refusal: WireRefusal | undefined): void {
    this.#beginEnding();
    this.#host.onOver(this, refusal);
  }

  #beginEnding(): void {
    this.isOver = true;
    this.#phase = "ending";
    this.#dueMs = this.#host.clock.monotonicMs() + lingerMs;
    this.#host.watch(this, this.#dueMs);
  }

  /** The descriptor is gone; what was read before is still heard. */
  #close(): void {
    this.#isClosed = true;
    this.#hasEnded = true;
    if (this.isOver) this.#clear();
    else if (this.reader.left === 0) this.#leave();
    else this.resume();
  }

  /** Lets the descriptor go; one that is gone already brings no further "close". */
  #drop(): void {
    if (this.#isClosed) this.#clear();
    else this.#socket.destroy();
  }

  #clear(): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#writing.drop();
    if (this.held > 0) this.#host.onHeld(this, -this.held);
    if (this.#unread > 0) this.#gate.note(-this.#unread);
    this.held = 0;
    this.#unread = 0;
    this.#host.onClosed(this);
  }
}
