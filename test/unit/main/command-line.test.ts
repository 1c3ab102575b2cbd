// The words after `plantd`. It must not start anything.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Command, parseCommand } from "../../../src/main/command-line.ts";
import { hasCode } from "../../../src/util/errors.ts";

const none = { flags: {} };
const accepted: Record<string, { words: string; command: Command }> = {
  "no word asks for help": { words: "", command: { kind: "help" } },
  "--help anywhere asks for help": { words: "run broker --help", command: { kind: "help" } },
  version: { words: "version", command: { kind: "version" } },
  "run without parts is the whole gateway": {
    words: "run",
    command: { kind: "run", parts: [], sources: none },
  },
  "run names parts in any order": {
    words: "run http driver:rs485-1 broker",
    command: { kind: "run", parts: ["http", "driver:rs485-1", "broker"], sources: none },
  },
  "flags stand before or after": {
    words: "run --data-dir /d broker --set http.port=0 --set gateway.site=a=b --config f.yaml",
    command: {
      kind: "run",
      parts: ["broker"],
      sources: {
        dataDir: "/d",
        file: "f.yaml",
        flags: { "http.port": "0", "gateway.site": "a=b" },
      },
    },
  },
  "central add": {
    words: "central add gw-1",
    command: { kind: "central-add", device: "gw-1", sources: none },
  },
  "central mosquitto-config": {
    words: "central mosquitto-config d",
    command: { kind: "mosquitto-config", folder: "d", sources: none },
  },
  simulate: {
    words: "simulate --paced --config s.yaml",
    command: { kind: "simulate", isPaced: true, sources: { file: "s.yaml", flags: {} } },
  },
};

for (const [name, { words, command }] of Object.entries(accepted)) {
  test(`plantd takes: ${name}`, () => {
    assert.deepEqual(parseCommand(words.split(" ").filter((word) => word !== "")), command);
  });
}

const rejected: Record<string, { words: string; says: RegExp }> = {
  "an unknown command": { words: "walk", says: /unknown command walk/ },
  "an unknown part": { words: "run brocker", says: /unknown part brocker: one of broker/ },
  "a driver without a line": { words: "run driver:", says: /unknown part driver:/ },
  "a line with a slash": { words: "run driver:../x", says: /unknown part/ },
  "an unknown flag": { words: "run --prot 1", says: /Unknown option '--prot'/ },
  "a flag without its value": { words: "run --config", says: /--config/ },
  "a value for a flag that takes none": { words: "run --help=no", says: /--help/ },
  "a setting without a value": { words: "run --set http.port", says: /NAME=VALUE/ },
  "a setting without a name": { words: "run --set =1", says: /NAME=VALUE/ },
  "central without a verb": { words: "central", says: /add DEVICE/ },
  "central add without a device": { words: "central add", says: /add DEVICE/ },
  "a paced gateway": { words: "run --paced", says: /--paced is for simulate/ },
  "a word after version": { words: "version 2", says: /too many: 2/ },
  "a word too many": { words: "central add a b", says: /too many: b/ },
};

for (const [name, { words, says }] of Object.entries(rejected)) {
  test(`plantd refuses: ${name}`, () => {
    assert.throws(
      () => parseCommand(words.split(" ")),
      (error) => hasCode(error, "USAGE") && says.test(error.message) && error.exit === 2,
    );
  });
}
