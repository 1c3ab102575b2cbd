// The command `plant`: joins the command line to this process, its terminal and its broker.
// It must not know any command.
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type CliIo, type NewFile, runCli, type TextStream } from "../cli/cli.ts";
import { systemClock as clock } from "../util/clock.ts";
import { openLog } from "../util/log.ts";
import { findPaths } from "../util/paths.ts";
import { systemRandom as random } from "../util/random.ts";

const presetColumns = 120;

function textStream(stream: NodeJS.WriteStream): TextStream {
  return {
    write: (words) => void stream.write(words),
    isTerminal: stream.isTTY === true,
    columns: stream.columns ?? presetColumns,
  };
}

/** Asks on the terminal, without echo; undefined when standard input is no terminal. */
async function askSecret(prompt: string): Promise<string | undefined> {
  const { stdin, stderr } = process;
  if (stdin.isTTY !== true) return undefined;
  stderr.write(prompt);
  stdin.setRawMode(true);
  let secret = "";
  try {
    for await (const chunk of stdin.iterator({ destroyOnReturn: false })) {
      for (const character of String(chunk)) {
        if (character === "\r" || character === "\n") return secret;
        if (character === "\u0003") {
          stop.abort();
          return "";
        }
        secret = character === "\u007f" ? secret.slice(0, -1) : secret + character;
      }
    }
    return secret;
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write("\n");
  }
}

function readVersion(): string {
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

const stop = new AbortController();
process.on("SIGINT", () => stop.abort());
process.on("SIGTERM", () => stop.abort());
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  stop.abort(); // who read the output has gone, as with `plant values | head`
});

/** Nothing is said, so whoever listens forgets it at once. */
function knock(path: string): ReturnType<CliIo["knock"]> {
  const { promise, resolve } = Promise.withResolvers<Awaited<ReturnType<CliIo["knock"]>>>();
  const socket = connect(path, () => {
    socket.destroy();
    resolve("open");
  });
  socket.on("error", ({ code }: NodeJS.ErrnoException) => {
    const isForbidden = code === "EACCES" || code === "EPERM";
    resolve(isForbidden ? "forbidden" : code === "ENOENT" ? "missing" : "refused");
  });
  return promise;
}

/** Beside its name until it is whole: a stick that is pulled out leaves no half of a file. */
function createFile(path: string): NewFile {
  const beside = `${path}.part`;
  const handle = openSync(beside, "w", 0o600);
  let isOpen = true;
  const close = () => {
    if (isOpen) closeSync(handle);
    isOpen = false;
  };
  return {
    write(bytes) {
      const all = Buffer.from(bytes);
      for (let at = 0; at < all.length; ) at += writeSync(handle, all, at);
    },
    finish() {
      fsyncSync(handle);
      close();
      renameSync(beside, path);
    },
    drop() {
      if (!isOpen) return;
      close();
      rmSync(beside, { force: true });
    },
  };
}

const io: CliIo = {
  stdout: textStream(process.stdout),
  stderr: textStream(process.stderr),
  env: process.env,
  clock,
  version: readVersion(),
  signal: stop.signal,
  exists: existsSync,
  isFolder: (path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true,
  knock,
  readFile: (path) => readFileSync(path, "utf8"),
  readBytes: (path) => readFileSync(path),
  createFile,
  async publicKey(path, brokerKey) {
    const { ensureKeyPair, writeNewKeyPair } = await import("../wire/wire.ts");
    const isNew = brokerKey !== undefined;
    return (isNew ? writeNewKeyPair(path, brokerKey) : ensureKeyPair(path)).publicKey;
  },
  async profileNames(kind) {
    const { profiles } = findPaths(process.env);
    if (kind === "serial") {
      const { serialProfileNames } = await import("../../drivers/serial/serial.ts");
      return serialProfileNames(join(profiles, "serial"));
    }
    const { profileNames } = await import("../../drivers/modbus/modbus.ts");
    return profileNames(join(profiles, "modbus"));
  },
  readStdin: () => text(process.stdin),
  askSecret,
  async connect(endpoint, keyFile) {
    const { startClient } = await import("../client/client.ts");
    const { readPeerKeys } = await import("../wire/wire.ts");
    const curve = keyFile === undefined ? {} : { curve: readPeerKeys(keyFile) };
    const log = openLog({ service: "plant", level: "error", write: () => {} });
    return startClient({ clock, random, log }, { endpoint, ...curve });
  },
};

process.exitCode = await runCli(process.argv.slice(2), io);
