// `plantd run broker` as a process of its own, for tests with peers that are not ours: its socket,
// what it counts, killing and starting it again. It must not know any peer.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Dealer } from "zeromq";
import { mainPath, type Spawned, start } from "./process.ts";

/** What tests read of `mmi.broker`. */
export interface Described {
  readonly queued: number;
  readonly counters: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<string, number>>;
}

export interface BrokerProcess extends AsyncDisposable {
  readonly endpoint: string;
  /** kill -9; the socket file stays. */
  kill(): Promise<void>;
  /** Starts it again after `kill`. */
  restart(): Promise<void>;
  /** Frames of the reply of a service of the broker's own, asked by RFC 18. */
  ask(service: string, ...body: string[]): Promise<string[]>;
  /** The document of `mmi.broker`. */
  describe(): Promise<Described>;
  /** All it logged so far. */
  said(): string;
}

/** Starts a broker that admits everybody; `config` is YAML. */
export async function startBrokerProcess(config: string): Promise<BrokerProcess> {
  const folder = mkdtempSync(join(tmpdir(), "pm-"));
  mkdirSync(join(folder, "run"));
  writeFileSync(join(folder, "plantd.yaml"), `access: {mode: open}\n${config}\n`);
  const endpoint = `ipc://${join(folder, "run", "admin", "broker.sock")}`;
  let child: Spawned;
  let asker: Dealer | undefined;
  const begin = async () => {
    child = start(mainPath("plantd"), ["run", "broker"], { env: { PLANTD_DATA_DIR: folder } });
    if (!(await child.until("The broker listens"))) throw new Error(child.said());
  };
  const end = async () => {
    asker?.close();
    asker = undefined;
    child.signal("SIGKILL");
    await child.ended();
  };
  await begin();
  const broker: BrokerProcess = {
    endpoint,
    kill: end,
    restart: begin,
    said: () => child.said(),
    async ask(service, ...body) {
      if (asker === undefined) {
        asker = new Dealer({ linger: 0, receiveTimeout: 10_000, sendTimeout: 10_000 });
        asker.connect(endpoint);
      }
      await asker.send(["MDPC02", Buffer.of(1), service, ...body]);
      const [header, command, name, ...reply] = (await asker.receive()).map(String);
      if (header !== "MDPC02" || command !== "\u0003" || name !== service) {
        throw new Error(`a strange reply: ${header} ${command} ${name}`);
      }
      return reply;
    },
    async describe() {
      const [text = ""] = await broker.ask("mmi.broker", "");
      return JSON.parse(text);
    },
    async [Symbol.asyncDispose]() {
      await end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return broker;
}
