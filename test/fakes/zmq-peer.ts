// A process with sockets of libzmq in the hands of a test, through pyzmq.
// It must not know what the test is about.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\.build\/$/, "");

/** A command to one socket, and what came of it; see the program. */
export type Ask = Readonly<Record<string, unknown>>;
// biome-ignore lint/suspicious/noExplicitAny: what the program answers is the test's to know
type Answer = any;

export interface ZmqPeer extends AsyncDisposable {
  ask(ask: Ask): Promise<Answer>;
  /** Opens a socket: its type, where it binds or connects, and libzmq's options by their names. */
  open(name: string, type: string, where: Ask): Promise<Answer>;
  /** Ends it as a crash does. */
  kill(): Promise<void>;
}

/** Starts the program; resolves when it listens to commands. */
export async function startZmqPeer(): Promise<ZmqPeer> {
  const child: ChildProcess = spawn("/usr/bin/python3", [`${root}test/fakes/zmq-peer.py`], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const gone = once(child, "exit");
  if (child.stdout === null || child.stdin === null) throw new Error("no pipes");
  const { stdin } = child;
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.value !== "ready") throw new Error(`the peer did not start: ${String(first.value)}`);
  let turn: Promise<unknown> = Promise.resolve();
  const ask = (what: Ask): Promise<Answer> => {
    const answer = turn.then(async () => {
      stdin.write(`${JSON.stringify(what)}\n`);
      const { value, done } = await lines.next();
      if (done === true) throw new Error(`the peer ended at ${JSON.stringify(what)}`);
      return JSON.parse(value) as Answer;
    });
    turn = answer.catch(() => {});
    return answer;
  };
  const kill = async () => {
    child.kill("SIGKILL");
    await gone;
  };
  return {
    ask,
    open: (name, type, where) => ask({ op: "open", name, type, ...where }),
    kill,
    [Symbol.asyncDispose]: kill,
  };
}
