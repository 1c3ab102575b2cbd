// A router of ours on a real unix socket, with all it tells kept in words, for tests with raw peers.
// It must not know which tests.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { seededRandom } from "../../src/util/random.ts";
import type { Peer, RouterOptions, RouterSocket } from "../../src/wire/wire.ts";
import { bindZmtpRouter } from "../../src/wire/zmtp-router.ts";
import { type FakeClock, fakeClock } from "./clock.ts";
import {
  commandOf,
  greetingOf,
  openRawPeer,
  property,
  type RawPeer,
  readyOf,
} from "./zmtp-bytes.ts";

const folder = mkdtempSync(join(tmpdir(), "pr-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** What the router says before messages. */
export const opening = Buffer.concat([
  greetingOf(),
  commandOf("READY", property("Socket-Type", "ROUTER")),
]).length;

/** A router with all it told. */
export interface RouterStage extends AsyncDisposable {
  readonly clock: FakeClock;
  readonly router: RouterSocket;
  readonly path: string;
  /** What was told, in words. */
  readonly told: string[];
  readonly peers: Peer[];
  /** Waits until so much was told. */
  hear(count: number): Promise<readonly string[]>;
}

let stages = 0;

type Given = Partial<RouterOptions> & {
  take?: (router: RouterSocket, peer: Peer, text: string) => void;
};

/** Binds a router on a socket of its own, small limits, and a clock that stands still. */
export async function raiseRouter(given: Given = {}): Promise<RouterStage> {
  stages += 1;
  const path = join(folder, `${stages}`);
  const clock = fakeClock();
  const told: string[] = [];
  const peers: Peer[] = [];
  let look = () => {};
  const tell = (words: string) => {
    told.push(words);
    look();
  };
  const router: RouterSocket = await bindZmtpRouter(
    { clock, random: seededRandom(1) },
    {
      messageBytesMax: 10_000,
      framesMax: 8,
      sendQueueMax: 100,
      sendBytesMax: 100_000,
      connectionsMax: 50,
      listeners: [{ principal: "p", endpoint: `ipc://${path}` }],
      onMessage: (peer, frames) => {
        if (!peers.includes(peer)) peers.push(peer);
        const text = frames.map(String).join("|");
        given.take?.(router, peer, text);
        tell(text.length > 50 ? `${text.length}` : text);
      },
      onGone: () => tell("gone"),
      onSlow: () => tell("slow"),
      onDrained: () => tell("drained"),
      onRefused: (refusal, _, peer) => tell(`refused ${refusal}${peer ? " known" : ""}`),
      ...given,
    },
  );
  return {
    clock,
    router,
    path,
    told,
    peers,
    hear: (count) =>
      new Promise((resolve) => {
        look = () => {
          if (told.length >= count) resolve(told);
        };
        look();
      }),
    [Symbol.asyncDispose]: () => router[Symbol.asyncDispose](),
  };
}

/** A peer that is through with its handshake. */
export async function greet(path: string, type = "DEALER", minor = 1): Promise<RawPeer> {
  const peer = openRawPeer(path, greetingOf(3, minor), readyOf(type));
  const { length } = await peer.until(opening);
  if (length !== opening) throw new Error(`the router said ${length} bytes and closed`);
  return peer;
}
