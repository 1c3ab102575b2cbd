// The systemd units: systemd itself finds no fault in them, and they give away little.
// It must not start them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseCommand } from "../../src/main/command-line.ts";
import { principals } from "../../src/util/paths.ts";

const folder = fileURLToPath(new URL("../../systemd", import.meta.url));
const names = readdirSync(folder);
const services = names.filter((name) => name.endsWith(".service"));
const read = (name: string) => readFileSync(join(folder, name), "utf8");

/** Exposure allowed, in tenths, by what a unit may touch. */
const touchesSocketsOnly = ["plantd-broker.service", "plantd-store.service"];
const thresholdOf = (name: string) => (touchesSocketsOnly.includes(name) ? 5 : 15);

const installed = mkdtempSync(join(tmpdir(), "pl-units-"));
after(() => rmSync(installed, { recursive: true, force: true }));

/** The units as installed in a folder where what they start exists; `change` spoils them. */
function install(change: (text: string) => string = (text) => text): string[] {
  const program = join(installed, "node");
  writeFileSync(program, "#!/bin/sh\n");
  chmodSync(program, 0o755);
  for (const name of names.filter((unit) => /\.(service|target)$/.test(unit))) {
    writeFileSync(
      join(installed, name),
      change(read(name).replaceAll("/usr/lib/plantd", installed)),
    );
  }
  const instances = services.map((name) => name.replace("@.", "@rs485-1."));
  return [...instances, "plantd.target"].map((name) => join(installed, name));
}

function verify(paths: readonly string[]) {
  return spawnSync("systemd-analyze", ["verify", ...paths], {
    encoding: "utf8",
    env: { ...process.env, SYSTEMD_UNIT_PATH: `${installed}:`, LC_ALL: "C" },
    timeout: 60_000,
  });
}

test("systemd finds no fault in the units, not even a warning", () => {
  const result = verify(install());
  assert.equal(result.stderr, "");
  assert.equal(result.status, 0);
});

test("a misspelt key in a unit would be found", () => {
  const result = verify(install((text) => text.replaceAll("WatchdogSec=", "WatchdgoSec=")));
  assert.match(result.stderr, /WatchdgoSec/);
});

for (const name of services) {
  test(`${name} gives away little`, () => {
    const words = ["security", "--offline=true", "--no-pager", `--threshold=${thresholdOf(name)}`];
    const result = spawnSync("systemd-analyze", [...words, join(folder, name)], {
      encoding: "utf8",
      env: { ...process.env, LC_ALL: "C" },
      timeout: 60_000,
    });
    assert.equal(result.status, 0, `${result.stdout.slice(-200)}\n${result.stderr}`);
  });

  test(`${name} runs compiled code that reports when it is ready and alive`, () => {
    const text = read(name);
    const start = /^ExecStart=(.*)$/m.exec(text)?.[1]?.split(" ") ?? [];
    assert.equal(start[0], "/usr/lib/plantd/node");
    const main = start.findIndex((word) => word.endsWith("/src/main/plantd.js"));
    assert.ok(main > 0, "it starts plantd.js");
    const words = start.slice(main + 1).map((word) => word.replace("%i", "rs485-1"));
    assert.equal(parseCommand(words).kind, "run");
    for (const setting of ["Type=notify", "NotifyAccess=all", "WatchdogSec=", "Restart=always"]) {
      assert.match(text, new RegExp(`^${setting}`, "m"));
    }
    assert.doesNotMatch(text, /^MemoryDenyWriteExecute=yes/m);
  });
}

test("units whose parts stamp times can read the id of this boot", () => {
  for (const name of services.filter((unit) => unit !== "plantd-broker.service")) {
    assert.match(read(name), /^ProcSubset=all$/m, name);
  }
});

test("every account a unit uses is made, and every principal has its folder and group", () => {
  const accounts = read("plantd.sysusers.conf");
  const made = new Set([...accounts.matchAll(/^[ug] (\S+)/gm)].map((match) => match[1]));
  for (const name of services) {
    assert.ok(made.has(/^User=(\S+)$/m.exec(read(name))?.[1]), `${name}: its account is not made`);
  }
  for (const principal of principals) {
    const group = `plantd-${principal}`;
    const line = `d /run/plantd/${principal} 2750 plantd-broker ${group} -`;
    assert.ok(read("plantd.tmpfiles.conf").includes(`${line}\n`), line);
    assert.ok(made.has(group), `the group ${group} is not made`);
  }
});
