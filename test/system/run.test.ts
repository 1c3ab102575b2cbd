// `plantd run` as people and systemd run it: compiled and from source, ended by signals, with
// wrong words and wrong settings. It must not know what the parts do.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { startClient } from "../../src/client/client.ts";
import { freePorts } from "../../src/main/demo-relay.ts";
import { askPage } from "../../src/main/local-page.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { systemRandom as random } from "../../src/util/random.ts";
import { until } from "../fakes/patience.ts";
import { endAll, mainPath, start } from "../fakes/process.ts";

const folder = mkdtempSync(join(tmpdir(), "pl-run-"));
const log = openLog({ service: "t", level: "error", write: () => {} });
let folders = 0;
const newFolder = () => {
  folders += 1;
  return join(folder, `${folders}`);
};
after(() => {
  endAll();
  rmSync(folder, { recursive: true, force: true });
});

const ready = '"message":"ready"';

for (const kind of ["compiled", "source"] as const) {
  test(`the whole gateway runs in one process, ${kind}, and ends cleanly`, async () => {
    const words = ["run", "--data-dir", newFolder(), "--set", "http.port=0"];
    const gateway = start(mainPath("plantd", kind), words);
    assert.ok(await gateway.until(ready), gateway.said());
    const url = /"url":"(http:[^"]+)"/.exec(gateway.said())?.[1] ?? "";
    const health = await askPage({ url: `${url}healthz`, signal: AbortSignal.timeout(5000) });
    assert.equal(health.status, 200);
    let text = "";
    const isReady = async () => {
      const answer = await askPage({ url: `${url}readyz`, signal: AbortSignal.timeout(5000) });
      text = answer.text;
      return answer.status === 200;
    };
    await until("all parts are registered", isReady, { seen: () => text });
    gateway.signal("SIGTERM");
    assert.equal(await gateway.ended(), 0, gateway.said());
    const errors = gateway
      .said()
      .split("\n")
      .filter((line) => line.includes('"level":"error"'));
    assert.deepEqual(errors, []);
  });
}

test("an interrupt ends it too, and what it left does not hinder the next start", async () => {
  const data = newFolder();
  const words = ["run", "broker", "--data-dir", data];
  const first = start(mainPath("plantd"), words);
  assert.ok(await first.until(ready), first.said());
  first.signal("SIGKILL");
  assert.equal(await first.ended(), "SIGKILL");
  assert.ok(existsSync(join(data, "run", "store", "broker.sock")), "a kill leaves the sockets");
  const second = start(mainPath("plantd"), words);
  assert.ok(await second.until(ready), second.said());
  const third = start(mainPath("plantd"), words);
  assert.equal(await third.ended(), 1, "a second broker does not take the sockets of the first");
  assert.match(third.said(), /"code":"ENDPOINT_UNUSABLE"/);
  second.signal("SIGINT");
  assert.equal(await second.ended(), 0, second.said());
});

test("an open broker on TCP serves anybody's peers", async () => {
  const env = { PLANTD_BROKER_ENDPOINT: "tcp://127.0.0.1:0", PLANTD_ACCESS_MODE: "open" };
  const broker = start(mainPath("plantd"), ["run", "broker", "--data-dir", newFolder()], { env });
  assert.ok(await broker.until(ready), broker.said());
  const endpoint = /"(tcp:[^"]+)"/.exec(broker.said())?.[1] ?? "";
  await using client = await startClient({ clock, random, log }, { endpoint });
  const frames = await client.request("mmi.service", [Buffer.from("nobody.here")]);
  assert.equal(Buffer.from(frames[0] ?? []).toString(), "404");
  broker.signal("SIGTERM");
  assert.equal(await broker.ended(), 0);
});

test("a wrong configuration names every flaw with its place, and ends with 9", async () => {
  const data = newFolder();
  mkdirSync(data);
  writeFileSync(
    join(data, "plantd.yaml"),
    "http:\n  port: 99999\n  colour: red\nbroker: { queueMax: none }\nlogs: {}\n",
  );
  const env = { PLANTD_STORE_COLOUR: "blue" };
  const words = ["run", "--data-dir", data, "--set", "sync.windowMax=0"];
  const gateway = start(mainPath("plantd"), words, { env });
  assert.equal(await gateway.ended(), 9);
  const said = gateway.errors();
  for (const flaw of [
    /plantd\.yaml:2:3 http\.port/,
    /plantd\.yaml:3:3 http\.colour/,
    /plantd\.yaml:4:11 broker\.queueMax/,
    /plantd\.yaml:5:1 logs/,
    /environment PLANTD_STORE_COLOUR/,
    /flag sync\.windowMax/,
  ]) {
    assert.match(said, flaw);
  }
});

test("a configuration that is named must be there", async () => {
  const gateway = start(mainPath("plantd"), ["run", "--config", join(folder, "none.yaml")]);
  assert.equal(await gateway.ended(), 9);
  assert.match(gateway.errors(), /CONFIG_UNREADABLE/);
});

const wrongSettings: Record<string, { part: string; yaml: string; code: RegExp }> = {
  "a line nobody configured": { part: "driver:nowhere", yaml: "", code: /LINE_UNKNOWN/ },
  "a profile nobody wrote": {
    part: "driver:l1",
    yaml: "lines: { l1: { kind: modbus-tcp, host: localhost, devices: { a: { profile: none } } } }",
    code: /PROFILE_UNKNOWN/,
  },
};

for (const [name, { part, yaml, code }] of Object.entries(wrongSettings)) {
  test(`${name} ends a driver with 9, which is not started again`, async () => {
    const data = newFolder();
    mkdirSync(data);
    writeFileSync(join(data, "plantd.yaml"), yaml);
    const driver = start(mainPath("plantd"), ["run", part, "--data-dir", data]);
    assert.equal(await driver.ended(), 9, driver.said());
    assert.match(driver.said(), code);
  });
}

for (const words of [["run", "brocker"], ["walk"], ["run", "--prot", "1"], ["run", "--set", "x"]]) {
  test(`plantd ${words.join(" ")} ends with 2 and says what is wrong`, async () => {
    const wrong = start(mainPath("plantd"), words);
    assert.equal(await wrong.ended(), 2);
    assert.match(wrong.errors(), /USAGE/);
    assert.equal(wrong.said().replace(wrong.errors(), ""), "", "standard output stays empty");
  });
}

test("the centre runs alone; its codes and mosquitto's files are made from the command line", async () => {
  const data = newFolder();
  const [port = 0, mqtt = 0] = await freePorts([0, 0], random);
  const sources = [
    ...["--data-dir", data],
    ...["--set", `central.port=${port}`],
    ...["--set", `central.mqtt=mqtts://127.0.0.1:${mqtt}`],
  ];
  const early = start(mainPath("plantd"), ["central", "add", "gw-1", ...sources]);
  assert.notEqual(await early.ended(), 0, "there is no centre yet");
  assert.match(early.errors(), /CENTRE_NOT_STARTED/);

  const folderOf = join(data, "mosquitto");
  const config = start(mainPath("plantd"), ["central", "mosquitto-config", folderOf, ...sources]);
  assert.equal(await config.ended(), 0, config.said());
  assert.match(readFileSync(join(folderOf, "mosquitto.conf"), "utf8"), RegExp(`listener ${mqtt} `));

  const central = start(mainPath("plantd"), ["run", "central", ...sources]);
  assert.ok(await central.until(ready), central.said());
  const added = start(mainPath("plantd"), ["central", "add", "gw-1", ...sources]);
  assert.equal(await added.ended(), 0, added.said());
  const code = added.said().replace(added.errors(), "");
  assert.match(code, /^[A-Z0-9-]{20,}\n$/, "the code alone goes to standard output");
  const wrong = start(mainPath("plantd"), ["central", "add", "a/b", ...sources]);
  assert.notEqual(await wrong.ended(), 0);
  assert.match(wrong.errors(), /REQUEST_MALFORMED/);
  central.signal("SIGTERM");
  assert.equal(await central.ended(), 0, central.said());
});

test("help and version go to standard output with 0", async () => {
  const version = start(mainPath("plantd"), ["version"]);
  assert.equal(await version.ended(), 0);
  assert.match(version.said(), /^plantd \d+\.\d+\.\d+\n$/);
  const help = start(mainPath("plantd"), ["--help"]);
  assert.equal(await help.ended(), 0);
  assert.match(help.said(), /plantd run \[PART…\]/);
  assert.equal(help.errors(), "");
});

test("an exception nobody caught is one coded line and exit 70", async () => {
  const planted = "setTimeout(() => { throw new TypeError('planted') }, 700)";
  const broker = start(mainPath("plantd"), ["run", "broker", "--data-dir", newFolder()], {
    flags: ["--import", `data:text/javascript,${encodeURIComponent(planted)}`],
  });
  assert.equal(await broker.ended(), 70);
  const lines = broker
    .said()
    .split("\n")
    .filter((line) => line.includes("planted"));
  assert.equal(lines.length, 1, broker.said());
  assert.match(lines[0] ?? "", /"level":"error".*"code":"INTERNAL"/);
});

test("systemd hears that it is ready, alive while it works, and stopping", async () => {
  const data = newFolder();
  mkdirSync(data);
  const socket = join(data, "n");
  const receiver = spawn("socat", ["-u", `UNIX-RECV:${socket}`, "STDOUT"]);
  let heard = "";
  receiver.stdout.on("data", (chunk: Buffer) => {
    heard += chunk.toString();
  });
  await until("the receiver listens", () => existsSync(socket));
  const env = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: "4000000" };
  const broker = start(mainPath("plantd"), ["run", "broker", "--data-dir", data], { env });
  const beats = () => heard.match(/WATCHDOG=1/g)?.length ?? 0;
  await until("three beats", () => beats() >= 3, { seen: () => heard });
  assert.match(heard, /^READY=1\nSTATUS=log broker\n/);
  broker.signal("SIGTERM");
  assert.equal(await broker.ended(), 0);
  await until("its last word", () => heard.includes("STOPPING=1"));
  assert.match(heard, /STOPPING=1\n$/);
  receiver.kill("SIGKILL");
});
