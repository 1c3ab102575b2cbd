// What a process tells systemd, received as systemd would: on a datagram socket, by path and by
// abstract name. It must not know systemd's units.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { openNotifier } from "../../src/main/notify.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { within } from "../../src/util/running.ts";
import { until } from "../fakes/patience.ts";

const lines: string[] = [];
const log = openLog({ service: "t", level: "info", write: (line) => lines.push(line) });
const folder = mkdtempSync(join(tmpdir(), "pl-nt-"));
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  lines.length = 0;
  rmSync(folder, { recursive: true, force: true });
});

/** Receives datagrams; `until` waits for a text. */
function receive(address: string) {
  const child = spawn("socat", ["-u", address, "STDOUT"], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  let text = "";
  let wake = () => {};
  child.stdout?.on("data", (chunk: Buffer) => {
    text += chunk.toString();
    wake();
  });
  return {
    text: () => text,
    until: (wanted: string) =>
      within(
        clock,
        10_000,
        (async () => {
          while (!text.includes(wanted)) {
            await new Promise<void>((done) => {
              wake = done;
            });
          }
          return text;
        })(),
      ),
  };
}

async function exists(path: string): Promise<void> {
  await until(`${path} exists`, () => existsSync(path));
}

test("ready, alive and stopping reach a socket with a path", async () => {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, "n");
  const receiver = receive(`UNIX-RECV:${path}`);
  await exists(path);
  const env = { NOTIFY_SOCKET: path, WATCHDOG_USEC: "30000000" };
  const notifier = openNotifier({ clock, log, env });
  assert.equal(notifier.watchdogMs, 30_000);
  notifier.send("READY=1", "STATUS=broker");
  assert.ok(await receiver.until("READY=1\nSTATUS=broker\n"), "READY=1 arrives");
  notifier.send("WATCHDOG=1");
  assert.ok(await receiver.until("WATCHDOG=1\n"), "WATCHDOG=1 arrives");
  notifier.send("STOPPING=1");
  await notifier[Symbol.asyncDispose]();
  assert.ok(await receiver.until("STOPPING=1\n"), "STOPPING=1 arrives although it ended at once");
  notifier.send("READY=1");
  await notifier[Symbol.asyncDispose]();
  assert.equal(receiver.text().match(/READY=1/g)?.length, 1, "nothing is sent after the end");
  assert.deepEqual(lines, []);
});

test("an abstract name is reached", async () => {
  const name = `pl-nt-${process.pid}`;
  const receiver = receive(`ABSTRACT-RECV:${name}`);
  const notifier = openNotifier({ clock, log, env: { NOTIFY_SOCKET: `@${name}` } });
  assert.equal(notifier.watchdogMs, undefined);
  let text: string | undefined;
  for (let round = 0; round < 100 && !text; round += 1) {
    notifier.send("READY=1");
    text = await within(clock, 100, receiver.until("READY=1"));
  }
  assert.ok(text, "READY=1 arrives");
  await notifier[Symbol.asyncDispose]();
});

test("a manager that is not there is said in the log, and nothing fails", async () => {
  const notifier = openNotifier({ clock, log, env: { NOTIFY_SOCKET: join(folder, "none") } });
  await until("a line in the log", () => {
    notifier.send("READY=1");
    return lines.length > 0;
  });
  assert.match(lines[0] ?? "", /service manager is lost/);
  await notifier[Symbol.asyncDispose]();
});

test("without a manager nothing is started", async () => {
  const notifier = openNotifier({ clock, log, env: {} });
  notifier.send("READY=1");
  assert.equal(notifier.watchdogMs, undefined);
  await notifier[Symbol.asyncDispose]();
});
