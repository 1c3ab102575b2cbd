// Restarting a worker's process under load: nothing that was accepted is lost, or done twice.
// It must not know the broker's code.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { startClient } from "../../src/client/client.ts";
import { openLog } from "../../src/util/log.ts";
import { endAll, mainPath, type Spawned, start } from "../fakes/process.ts";
import { deps } from "../fakes/wire-stage.ts";

const folder = mkdtempSync(join(tmpdir(), "pr-"));
after(() => {
  endAll();
  rmSync(folder, { recursive: true, force: true });
});

test("a worker's process restarts under load, and every request is answered", {
  timeout: 90_000,
}, async () => {
  writeFileSync(join(folder, "plantd.yaml"), "access: {mode: open}\n");
  const run = async (part: string): Promise<Spawned> => {
    const child = start(mainPath("plantd"), ["run", part, "--data-dir", folder]);
    assert.ok(await child.until('"message":"ready"'), child.said());
    return child;
  };
  const broker = await run("broker");
  let worker = await run("echo");
  const endpoint = `ipc://${join(folder, "run", "admin", "broker.sock")}`;
  const log = openLog({ service: "t", level: "error", write: () => {} });
  await using client = await startClient({ ...deps, log }, { endpoint });
  const load = { isOn: true, done: 0 };
  const ask = async () => {
    while (load.isOn) {
      const number = load.done;
      const options = { deadlineMs: 60_000 };
      assert.equal(await client.call("org.plantd.module.Echo", "echo", number, options), number);
      load.done += 1;
    }
  };
  const asking = Promise.all(Array.from({ length: 200 }, ask));
  for (let round = 0; round < 4; round += 1) {
    const next = round % 2 === 0 ? await run("echo") : undefined;
    worker.signal("SIGTERM");
    assert.equal(await worker.ended(), 0, worker.said());
    worker = next ?? (await run("echo"));
  }
  load.isOn = false;
  await asking;
  const [text] = await client.request("mmi.broker", [Buffer.of()]);
  const { counters } = JSON.parse(Buffer.from(text ?? []).toString());
  assert.deepEqual([counters.requestsLost, counters.workersLost, counters.expired], [0, 0, 0]);
  assert.ok(load.done > 1000, `${load.done} requests`);
  broker.signal("SIGTERM");
  assert.equal(await broker.ended(), 0);
});
