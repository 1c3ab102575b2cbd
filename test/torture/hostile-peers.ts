// Hostile peers of the bus: they speak ZMTP and MDP almost rightly, over real sockets, and behave
// badly in every way a peer can. It must not know our codecs: every byte is written here.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Clock } from "../../src/util/clock.ts";
import type { Random } from "../../src/util/random.ts";
import { openMutator } from "./mutation.ts";

/** Frames of one message. */
type Frames = readonly Uint8Array[];

const text = (words: string) => Buffer.from(words, "latin1");
const byte = (value: number) => Buffer.of(value);
const empty = Buffer.alloc(0);

/** A service hostile workers offer and hostile clients ask. */
const service = text("hostile");
/** Head of our dialect: id 9, 5 s left, a trace, partial replies paced by credit. */
const head = Buffer.concat([Buffer.from("0000000000000009" + "00001388", "hex"), byte(7)]);
const wholeHead = Buffer.concat([head.subarray(0, 12), Buffer.alloc(16, 7), byte(3)]);
const address = Buffer.from("0000000000000009", "hex");
const body = [text("echo"), text('{"a":1}')];

/** What one side of one dialect says: peers that mix them are sent away at once. */
const vocabularies: readonly (readonly Frames[])[] = [
  [
    [text("MDPC02"), byte(1), service, ...body],
    [text("MDPC02"), byte(1), text("nobody"), ...body],
    [text("MDPC02"), byte(1), text("mmi.service"), service],
    [text("MDPC02"), byte(1), text("mmi.workers"), empty],
  ],
  [
    [empty, text("MDPC02"), byte(1), service, ...body],
    [empty, text("MDPC02"), byte(1), text("mmi.queue")],
  ],
  [
    [empty, text("MDPC01"), service, ...body],
    [empty, text("MDPC01"), text("mmi.broker")],
  ],
  [[empty, text("MDPC02"), text("REQUEST"), service, ...body]],
  [
    [text("PLNC01"), byte(1), service, wholeHead, ...body],
    [text("PLNC01"), byte(1), text("nobody"), wholeHead, ...body],
    [text("PLNC01"), byte(4), service, wholeHead],
    [text("PLNC01"), byte(5), service, wholeHead, Buffer.from("00000010", "hex")],
  ],
  [
    [text("MDPW02"), byte(3), address, empty, ...body],
    [text("MDPW02"), byte(4), address, empty, ...body],
    [text("MDPW02"), byte(5)],
  ],
  [
    [empty, text("MDPW01"), byte(3), address, empty, ...body],
    [empty, text("MDPW01"), byte(4)],
  ],
  [
    [empty, text("MDPW02"), text("PARTIAL"), address, ...body],
    [empty, text("MDPW02"), text("FINAL"), address, ...body],
    [empty, text("MDPW02"), text("HEARTBEAT")],
  ],
  [
    [text("PLNW01"), byte(3), service, wholeHead, ...body],
    [text("PLNW01"), byte(4), service, wholeHead, ...body],
    [text("PLNW01"), byte(9), service, wholeHead, text('{"code":"INTERNAL"}')],
    [text("PLNW01"), byte(5)],
  ],
];
/** How workers begin; also what ends the hearing of one that has begun. */
const registrations: readonly Frames[] = [
  [text("MDPW02"), byte(1), service],
  [empty, text("MDPW01"), byte(1), service],
  [empty, text("MDPW02"), text("READY"), service],
  [text("PLNW01"), byte(1), service, Buffer.from("00000004", "hex")],
  [text("MDPW02"), byte(1), text("mmi.service")],
  [text("MDPW02"), byte(6)],
];
const everything = [...vocabularies.flat(), ...registrations];
/** From here on the vocabularies are those of workers. */
const firstOfWorkers = 5;

/** The greeting of ZMTP 3.1 with the mechanism NULL. @see RFC 37 */
const greeting = Buffer.concat([
  Buffer.from("ff00000000000000017f0301", "hex"),
  text("NULL"),
  Buffer.alloc(48),
]);

function ready(socketType: string): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(socketType.length);
  const property = Buffer.concat([byte(11), text("Socket-Type"), size, text(socketType)]);
  const command = Buffer.concat([byte(5), text("READY"), property]);
  return Buffer.concat([byte(4), byte(command.length), command]);
}

function frame(bytes: Uint8Array, hasMore: boolean): Uint8Array[] {
  const more = hasMore ? 1 : 0;
  if (bytes.length < 256) return [byte(more), byte(bytes.length), bytes];
  const size = Buffer.alloc(8);
  size.writeUInt32BE(bytes.length, 4);
  return [byte(2 | more), size, bytes];
}

function message(frames: Frames): Uint8Array[] {
  return frames.flatMap((bytes, at) => frame(bytes, at < frames.length - 1));
}

/** What one hostile peer writes, and how it takes its leave. */
interface Plan {
  readonly bytes: Buffer;
  readonly frames: number;
  /** Connections that do the same at once. */
  readonly connections: number;
  readonly leave: "end" | "cut" | "mute" | "stay";
}

const hugeLength = Buffer.from("03" + "0000010000000000" + "00", "hex");
const framesOfGiant = 10_000;
const bytesOfGiant = 20_000_000;

/** Draws plans for one seed. */
function openPlans(random: Random): () => Plan {
  const mutator = openMutator(random);
  const { pick, choose } = mutator;

  function special(): Plan {
    const start = [greeting, ready("DEALER")];
    switch (pick(6)) {
      case 0: // a length nobody can mean
        return { ...plan([...start, hugeLength]), frames: 1, connections: 1 };
      case 1: {
        const many = message(Array.from({ length: framesOfGiant }, () => byte(1)));
        return { ...plan([...start, ...many]), frames: framesOfGiant, connections: 1 };
      }
      case 2: // more bytes than a message may have
        return { ...plan([...start, ...frame(Buffer.alloc(bytesOfGiant), false)]), frames: 1 };
      case 3: // many at once, which say nothing or not enough
        return { ...plan([greeting.subarray(0, pick(65))]), connections: 100, leave: "cut" };
      case 4: // half a greeting, half a message, and then nothing
        return { ...plan([...start, ...message(body).slice(0, 3)]), leave: "stay" };
      default: // a type that has no business here
        return plan([greeting, ready(choose(["PUB", "PULL", "REP", "X", ""]))]);
    }
  }

  function plan(parts: readonly Uint8Array[]): Plan {
    const leave = choose(["end", "cut", "cut", "mute"] as const);
    return { bytes: Buffer.concat(parts), frames: 1, connections: 1, leave };
  }

  return () => {
    if (pick(100) === 0) return special();
    const at = pick(vocabularies.length);
    const messages = vocabularies[at] ?? everything;
    const parts: Uint8Array[] = [greeting, ready(choose(["DEALER", "DEALER", "REQ", "ROUTER"]))];
    if (at >= firstOfWorkers) parts.push(...message(registrations[at - firstOfWorkers] ?? []));
    let frames = 0;
    for (let left = 20 + pick(180); left > 0; left -= 1) {
      const said = next(messages);
      parts.push(...message(said));
      frames += said.length;
    }
    const made = { ...plan(parts), frames };
    const isDamaged = pick(3) === 0;
    return isDamaged ? { ...made, bytes: damaged(made.bytes) } : made;
  };

  /** The longer a peer is heard, the more it finds: most of what it says is right. */
  function next(messages: readonly Frames[]): Frames {
    if (pick(400) === 0) return choose(everything);
    return pick(2) === 0 ? choose(messages) : mutator.mutate("frames", messages);
  }

  function damaged(bytes: Buffer): Buffer {
    const [changed = bytes] = mutator.mutate("bytes", [[bytes]]);
    return Buffer.from(changed);
  }
}

async function behave(path: string, plan: Plan, deps: SiegeDeps): Promise<void> {
  const { clock, random } = deps;
  const socket = connect(path);
  const gone = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", () => {});
  if (plan.leave === "mute") socket.pause();
  else socket.resume();
  await Promise.race([once(socket, "connect").catch(() => {}), gone]);
  let at = 0;
  while (at < plan.bytes.length && !socket.destroyed) {
    const size = random.unit() < 0.5 ? plan.bytes.length : 1 + Math.floor(random.unit() * 3000);
    const room = socket.write(plan.bytes.subarray(at, at + size));
    at += size;
    if (!room) await Promise.race([once(socket, "drain").catch(() => {}), gone, clock.sleep(200)]);
  }
  await leave(socket, plan, { clock, gone });
}

async function leave(
  socket: Socket,
  plan: Plan,
  { clock, gone }: { readonly clock: Clock; readonly gone: Promise<void> },
): Promise<void> {
  if (plan.leave === "cut") socket.destroy();
  if (plan.leave === "end") socket.end();
  await Promise.race([gone, clock.sleep(plan.leave === "cut" ? 0 : 100)]);
  socket.destroy();
}

export interface SiegeDeps {
  readonly clock: Clock;
  readonly random: Random;
}

export interface SiegeOrder {
  /** Path of the broker's unix socket. */
  readonly path: string;
  /** Frames to send, about. */
  readonly frames: number;
  readonly peers: number;
  /** Called now and then with the frames sent so far. */
  readonly progress: (frames: number) => void;
}

/** Sends hostile peers until enough frames have gone out. Resolves with their number. */
export async function besiege(deps: SiegeDeps, order: SiegeOrder): Promise<number> {
  const next = openPlans(deps.random);
  let sent = 0;
  let told = 0;
  const attacker = async () => {
    while (sent < order.frames) {
      const plan = next();
      sent += plan.frames * plan.connections;
      const peers = Array.from({ length: plan.connections }, () => behave(order.path, plan, deps));
      await Promise.all(peers);
      if (sent - told >= order.frames / 20) {
        told = sent;
        order.progress(sent);
      }
    }
  };
  await Promise.all(Array.from({ length: order.peers }, attacker));
  return sent;
}
