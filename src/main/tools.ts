// The programs of the machine that tests and demo need, and how they get there on Debian.
// It must not know what the programs are used for.
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";

/** One program of the machine. */
export interface Tool {
  readonly name: string;
  /** The Debian package that brings it. */
  readonly debian: string;
  /** Where it lies when the search path does not say so. */
  readonly at?: string;
  /** Words that make it end with 0 when it is complete; without them, being there is enough. */
  readonly probe?: readonly string[];
}

/** Every program the tests and the demo may start. */
export const tools = {
  mosquitto: { name: "mosquitto", debian: "mosquitto" },
  socat: { name: "socat", debian: "socat" },
  openssl: { name: "openssl", debian: "openssl" },
  chromium: { name: "chromium", debian: "chromium" },
  mbpoll: { name: "mbpoll", debian: "mbpoll" },
  pymodbus: {
    name: "python3-pymodbus",
    debian: "python3-pymodbus python3-serial python3-serial-asyncio",
    at: "/usr/bin/python3",
    probe: ["-c", "from pymodbus.server.async_io import ModbusSerialServer"],
  },
  pyzmq: {
    name: "python3-zmq",
    debian: "python3-zmq",
    at: "/usr/bin/python3",
    probe: ["-c", "import zmq"],
  },
  systemd: { name: "systemd-analyze", debian: "systemd" },
  faketime: { name: "faketime", debian: "faketime" },
  compiler: { name: "gcc", debian: "gcc libc6-dev" },
} as const satisfies Record<string, Tool>;

/** Programs of the system that are not in everybody's search path. */
const systemFolders = ["/usr/sbin", "/sbin"];

/** Path of a program by its name, or by its path; nothing when it is not there. */
export function findProgram(name: string): string | undefined {
  if (isAbsolute(name)) return isExecutable(name) ? name : undefined;
  const path = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  for (const folder of [...path, ...systemFolders]) {
    const candidate = join(folder, name);
    if (isExecutable(candidate)) return candidate;
  }
  return undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // not there, or not ours to run: the same to who looks for it
  }
}

/** Whether a tool is there and complete. */
export function hasTool(tool: Tool): boolean {
  const program = tool.at ?? findProgram(tool.name);
  if (program === undefined || !isExecutable(program)) return false;
  if (tool.probe === undefined) return true;
  return spawnSync(program, tool.probe, { stdio: "ignore", timeout: 30_000 }).status === 0;
}

function installWords(wanted: readonly Tool[]): string[] {
  const packages = wanted.flatMap((tool) => tool.debian.split(" "));
  return ["install", "-y", "--no-install-recommends", ...packages];
}

/** The command that installs tools, as root. */
export function installCommand(wanted: readonly Tool[]): string {
  return ["apt-get", ...installWords(wanted)].join(" ");
}

/** Whether this process may install tools. */
export function mayInstall(): boolean {
  return process.getuid?.() === 0 && findProgram("apt-get") !== undefined;
}

/**
 * Installs tools with apt-get, with the package lists fetched once when they are too old to help.
 * @returns those still missing.
 */
export function installTools(wanted: readonly Tool[]): readonly Tool[] {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const quiet = ["-qq", "-o", "Dpkg::Use-Pty=0"];
  const apt = (words: readonly string[]) =>
    spawnSync("apt-get", [...quiet, ...words], { env, stdio: ["ignore", 2, 2], timeout: 600_000 })
      .status === 0;
  if (!apt(installWords(wanted))) {
    apt(["update"]);
    apt(installWords(wanted));
  }
  return wanted.filter((tool) => !hasTool(tool));
}
