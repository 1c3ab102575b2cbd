// The network side of the broker: CURVE keys, who is refused, where secrets are; and libzmq when
// descriptors run out. It must not know what services do.
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { start as startEcho } from "../../drivers/echo/echo.ts";
import { startClient } from "../../src/client/client.ts";
import { hasCode } from "../../src/util/errors.ts";
import { openLog } from "../../src/util/log.ts";
import { readKeyPair, readPeerKeys, transportNamed, writeNewKeyPair } from "../../src/wire/wire.ts";
import { until } from "../fakes/patience.ts";
import { endAll, mainPath, start } from "../fakes/process.ts";
import { deps, openPlayer, openStage } from "../fakes/wire-stage.ts";
import { startZmqPeer } from "../fakes/zmq-peer.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "pn-"));
const limit = { timeout: 60_000 };
const log = openLog({ service: "t", level: "error", write: () => {} });
const echo = "org.plantd.module.Echo";
const zeromq = transportNamed("zeromq");
after(() => {
  endAll();
  rmSync(folder, { recursive: true, force: true });
});

/** `plant` with the file of `plant broker key --new`, without it, and with one others may read. */
async function plantOverTheAir(at: { data: string; endpoint: string; own: string }): Promise<void> {
  const ping = async (words: readonly string[], env: Record<string, string> = {}) => {
    const all = ["--endpoint", at.endpoint, ...words, "broker", "services", "--json"];
    const plant = start(mainPath("plant"), all, { env: { PLANTD_DATA_DIR: at.data, ...env } });
    return { exit: await plant.ended(), said: plant.said() };
  };
  const good = await ping(["--key", at.own]);
  assert.equal(good.exit, 0, good.said);
  assert.match(good.said, /org\.plantd\.module\.Echo/);
  assert.equal((await ping([], { PLANT_KEY_FILE: at.own })).exit, 0);
  const bare = await ping([]);
  assert.notEqual(bare.exit, 0);
  assert.match(bare.said, /BROKER_UNREACHABLE[\s\S]*--key FILE/);
  const open = join(at.data, "open.key");
  writeFileSync(open, readFileSync(at.own), { mode: 0o644 });
  assert.match((await ping(["--key", open])).said, /KEY_FILE_UNUSABLE[\s\S]*chmod 600/);
}

test(
  "a client with a key that is let in calls through the network; no secret is said",
  limit,
  async () => {
    const data = join(folder, "a");
    mkdirSync(data);
    const key = start(mainPath("plant"), ["broker", "key", "--json"], {
      env: { PLANTD_DATA_DIR: data },
    });
    assert.equal(await key.ended(), 0, key.said());
    const { publicKey: serverKey, file } = JSON.parse(key.results());
    const own = join(data, "laptop.key");
    const words = ["broker", "key", "--new", "laptop", "--principal", "admin", "--file", own];
    const made = start(mainPath("plant"), words, { env: { PLANTD_DATA_DIR: data } });
    assert.equal(await made.ended(), 0, made.said());
    const lines = made.errors().slice(made.errors().indexOf("broker:\n"));
    const yaml = lines.replace("tcp://0.0.0.0:7200", "tcp://127.0.0.1:0");
    writeFileSync(join(data, "plantd.yaml"), yaml);
    const broker = start(mainPath("plantd"), ["run", "broker", "--data-dir", data]);
    assert.ok(await broker.until('"message":"ready"'), broker.said());
    const endpoint = /"(tcp:[^"]+)"/.exec(broker.said())?.[1] ?? "";
    const config = (name: string) => `ipc://${join(data, "run", name, "broker.sock")}`;
    await using _ = await startEcho({ ...deps, log }, { endpoint: config("driver") });
    const call = async (curve: object) => {
      await using client = await startClient({ ...deps, log }, { endpoint, ...curve });
      return await client.call(echo, "echo", "over the air", { deadlineMs: 2500 });
    };
    assert.equal(await call({ curve: { ...readKeyPair(own), serverKey } }), "over the air");
    const stranger = writeNewKeyPair(join(data, "stranger.key"));
    const refused = {
      "a key nobody knows": { curve: { ...stranger, serverKey } },
      "no key": {},
      "the key of another broker": {
        curve: { ...readKeyPair(own), serverKey: stranger.publicKey },
      },
    };
    await Promise.all(
      Object.entries(refused).map(([name, curve]) =>
        assert.rejects(call(curve), (error) => hasCode(error, "BROKER_UNREACHABLE"), name),
      ),
    );
    assert.equal(await call({ curve: readPeerKeys(own) }), "over the air");
    await plantOverTheAir({ data, endpoint, own });
    broker.signal("SIGTERM");
    assert.equal(await broker.ended(), 0, broker.said());
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const secrets = [readKeyPair(file).secretKey, readKeyPair(own).secretKey];
    const files = readdirSync(data, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.endsWith(".key"))
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), "latin1"));
    for (const text of [key.said(), made.said(), broker.said(), ...files]) {
      for (const secret of secrets) assert.equal(text.includes(secret), false);
    }
  },
);

test(
  "a wrong key, no key, NULL and PLAIN are refused and counted, by libzmq's own peers",
  limit,
  async () => {
    const [server, known, unknown] = ["s", "k", "u"].map((name) =>
      writeNewKeyPair(join(folder, `${name}.key`)),
    ) as [
      ReturnType<typeof readKeyPair>,
      ReturnType<typeof readKeyPair>,
      ReturnType<typeof readKeyPair>,
    ];
    await using stage = await openStage(zeromq, "tcp://127.0.0.1:0", {
      curve: server,
      listeners: [
        { principal: "technician", endpoint: "tcp://127.0.0.1:0", keys: [known.publicKey] },
        { principal: "driver", endpoint: "tcp://127.0.0.1:0", keys: [unknown.publicKey] },
      ],
    });
    assert.notEqual(stage.router.listeners[0]?.endpoint, stage.router.listeners[1]?.endpoint);
    await using python = await startZmqPeer();
    const options = (pair: typeof known) => ({
      CURVE_PUBLICKEY: pair.publicKey,
      CURVE_SECRETKEY: pair.secretKey,
      CURVE_SERVERKEY: server.publicKey,
    });
    const { counters } = stage.router;
    const attempts = {
      right: { options: options(known), is: () => stage.heard.length === 1 },
      "another listener's": { options: options(unknown), is: () => counters.refused.key === 1 },
      null: { options: {}, is: () => counters.refused.greeting + counters.refused.handshake >= 1 },
      plain: {
        options: { PLAIN_USERNAME: "a", PLAIN_PASSWORD: "b" },
        is: () => counters.refused.greeting + counters.refused.handshake >= 2,
      },
    };
    for (const [name, { options, is }] of Object.entries(attempts)) {
      await python.open(name, "DEALER", { connect: stage.endpoint, options });
      await python.ask({ op: "send", name, frames: ["00"] });
      await until(name, is);
    }
    assert.equal(stage.heard.length, 1);
    assert.ok(stage.refused.includes("key"));
    assert.deepEqual(
      (await python.ask({ op: "receive", name: "right", count: 1, ms: 2000 })).messages,
      [[[1, "00"]]],
    );
    const where = stage.router.listeners[1]?.endpoint ?? "";
    await using player = openPlayer(zeromq, where, {
      curve: { ...unknown, serverKey: server.publicKey },
    });
    player.dealer.send([Buffer.from("by the other door")]);
    await until("each listener has keys of its own", () => player.heard.length === 1);
    assert.equal(stage.heard.length, 2);
  },
);

test("keys without a lock, or on a local socket, are refused at once", limit, async () => {
  const { publicKey } = writeNewKeyPair(join(folder, "l.key"));
  const bind = (
    endpoint: string,
    keys: string[],
    curve?: { publicKey: string; secretKey: string },
  ) => openStage(zeromq, endpoint, { listeners: [{ principal: "admin", endpoint, keys }], curve });
  const unusable = (error: unknown) => hasCode(error, "ENDPOINT_UNUSABLE");
  await assert.rejects(bind("tcp://127.0.0.1:0", [publicKey]), unusable);
  const lock = { publicKey, secretKey: publicKey };
  await assert.rejects(bind(`ipc://${join(folder, "l")}`, [publicKey], lock), unusable);
  await assert.rejects(bind("tcp://127.0.0.1:0", ["short"], lock), unusable);
});

const few = 256;
const crowded = [
  { kind: "ipc", transport: "zeromq", connectionsMax: 20 },
  { kind: "tcp", transport: "zeromq", connectionsMax: 20 },
  { kind: "ipc", transport: "zmtp", connectionsMax: 10_000 },
] as const;
for (const { kind, transport, connectionsMax } of crowded) {
  test(
    `a crowd beyond the descriptors ends no ${transport} router, on ${kind}`,
    limit,
    async () => {
      const part = join(root, ".build", "test", "system", "wire-crowd-part.js");
      const program = existsSync(part) ? part : join(root, "test", "system", "wire-crowd-part.ts");
      const port = 20_000 + Math.floor(deps.random.unit() * 10_000);
      const path = join(folder, "c.sock");
      const endpoint = kind === "ipc" ? `ipc://${path}` : `tcp://127.0.0.1:${port}`;
      const shell = join(folder, "few.mjs");
      writeFileSync(
        shell,
        `import { spawn } from "node:child_process";
const child = spawn("/bin/sh", ["-c", 'ulimit -n ${few}; exec "$@"', "sh", process.execPath,
  "--disable-warning=ExperimentalWarning", ...process.argv.slice(2)], { stdio: "inherit" });
child.on("exit", (code, signal) => process.exit(code ?? (signal === null ? 0 : 99)));
process.on("SIGTERM", () => child.kill("SIGKILL"));
`,
      );
      const router = start(shell, [program, endpoint, `${connectionsMax}`, transport]);
      assert.ok(await router.until("ready"), router.said());
      const crowd: Socket[] = [];
      for (let round = 0; round < 5; round += 1) {
        for (let count = 0; count < 200; count += 1) {
          const socket = kind === "ipc" ? connect(path) : connect(port, "127.0.0.1");
          socket.on("error", () => {}); // refused, as it may be
          crowd.push(socket);
        }
        await deps.clock.sleep(100);
      }
      await using early = openPlayer(zeromq, endpoint);
      for (const socket of crowd) socket.destroy();
      await using player = openPlayer(zeromq, endpoint);
      player.dealer.send([Buffer.from("?")]);
      await until(`it is served after; ${router.said()}`, () => player.heard.length === 1, {
        limitMs: 15_000,
      });
      const counters = JSON.parse(String(player.heard[0]?.[0]));
      assert.ok(counters.refused.connections > 0, JSON.stringify(counters));
      assert.equal(await router.ended(1), "still running", router.said());
      assert.equal(early.dealer.counters.dropped, 0);
      router.signal("SIGTERM");
      await router.ended();
    },
  );
}
