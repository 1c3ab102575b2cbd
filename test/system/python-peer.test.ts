// The tutorial of a peer in Python, as people follow it: its configuration, its file, its words.
// It must not know how the gateway carries messages.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { until } from "../fakes/patience.ts";
import { endAll, mainPath, type Spawned, start } from "../fakes/process.ts";
import { startPython } from "../fakes/python-peer.ts";

const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\.build\/$/, "");
const script = "docs/tutorials/python_peer.py";
const page = readFileSync(join(root, "docs/tutorials/python-peer.md"), "utf8");
const limit = { timeout: 60_000 };
const folder = mkdtempSync(join(tmpdir(), "pt-"));

after(() => {
  endAll();
  rmSync(folder, { recursive: true, force: true });
});

/** The blocks of a kind in the page, without the indentation of the list they stand in. */
function blocks(kind: string): string[] {
  const found: string[] = [];
  let open:
    | { readonly kind: string; readonly indent: number; readonly lines: string[] }
    | undefined;
  for (const line of page.split("\n")) {
    const fence = /^( *)```(\w*)$/.exec(line);
    if (fence === null) open?.lines.push(line.slice(open.indent));
    else if (open === undefined) {
      open = { kind: fence[2] ?? "", indent: fence[1]?.length ?? 0, lines: [] };
    } else {
      if (open.kind === kind) found.push(`${open.lines.join("\n")}\n`);
      open = undefined;
    }
  }
  return found;
}

/** Commands of the page that begin with a `$`, in words, each with what the page says it prints. */
function examples(): { readonly words: readonly string[]; readonly printed: string }[] {
  return blocks("")
    .filter((text) => text.startsWith("$ "))
    .map((text) => {
      const [command = "", ...printed] = text.slice(2).split("\n");
      const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(
        (word) => word[1] ?? word[2] ?? "",
      );
      return { words, printed: printed.join("\n") };
    });
}

const endpoint = `ipc://${join(folder, "run", "tank", "broker.sock")}`;

async function startGateway(): Promise<Spawned> {
  const env = { PLANTD_DATA_DIR: folder };
  const gateway = start(mainPath("plantd"), ["run", "broker", "store"], { env });
  assert.ok(await gateway.until("The broker listens"), gateway.said());
  return gateway;
}

function ask(...words: string[]) {
  const line = [join(root, script), "ask", endpoint, ...words];
  return spawnSync("/usr/bin/python3", line, { encoding: "utf8", timeout: 30_000 });
}

test("the code in the page is the file's", () => {
  const code = readFileSync(join(root, script), "utf8");
  assert.deepEqual(blocks("python"), [code]);
  assert.ok(code.split("\n").length <= 120);
});

test("what the page says to do does what it says", limit, async () => {
  const [yaml = ""] = blocks("yaml");
  assert.match(yaml, /principals:\n {4}tank:/);
  writeFileSync(join(folder, "plantd.yaml"), yaml);
  let gateway = await startGateway();
  await using worker = startPython(script, ["work", endpoint]);
  const rows = examples();
  assert.equal(rows.length, 2);
  for (const { words, printed } of rows) {
    assert.deepEqual(words.slice(0, 4), [
      "python3",
      script,
      "ask",
      "ipc://.plantd/run/tank/broker.sock",
    ]);
    const { stdout, stderr, status } = ask(...words.slice(4));
    assert.equal(status, 0, stderr);
    if (printed !== "") assert.equal(stdout, printed);
  }
  const stored = ask("org.plantd.State", "get", '{"scope": "device/tank", "key": "litres"}');
  assert.equal(JSON.parse(stored.stdout).value, 4712);
  const refused = ask("com.example.Tank", "litres", '{"level": 1}');
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /TANK_REFUSED.*diameter/);
  gateway.signal("SIGKILL");
  await gateway.ended();
  gateway = await startGateway();
  await until("the worker is back", () => ask("com.example.Tank", "health").status === 0);
  assert.deepEqual(worker.told, []);
});

test("a worker that may not serve is sent away, tries again, and says so", limit, async () => {
  const words = ["work", endpoint.replace("/tank/", "/technician/")];
  await using worker = startPython(script, words);
  await until("it says so twice", () => worker.said().match(/sent us away/g)?.length === 2);
});
