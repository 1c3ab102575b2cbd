// What the machine says of itself: uptime, load, memory, disk, clock. Linux' /proc and statfs;
// elsewhere the fields are null. It must not know who shows it.
import { access, readFile, statfs } from "node:fs/promises";
import { availableParallelism } from "node:os";
import type { BoxStatus } from "./document.ts";

/** Written by systemd-timesyncd once the clock was set from the network. */
const timesyncMark = "/run/systemd/timesync/synchronized";
/** Exists where systemd-timesyncd runs at all. */
const timesyncFolder = "/run/systemd/timesync";

/** Reads the machine. Never fails. `dataFolder` need not exist yet. */
export async function readBox(
  version: string,
  dataFolder: string,
): Promise<Omit<BoxStatus, "store">> {
  const [uptime, loadavg, meminfo, disk, clock] = await Promise.all([
    textOf("/proc/uptime"),
    textOf("/proc/loadavg"),
    textOf("/proc/meminfo"),
    diskOf(dataFolder),
    clockOf(),
  ]);
  return {
    version,
    node: process.versions.node,
    uptimeMs: firstNumber(uptime, 1000),
    load: firstNumber(loadavg, 1),
    cores: availableParallelism(),
    memory: memoryOf(meminfo),
    disk,
    clock,
  };
}

/** Total and used bytes from the text of /proc/meminfo. @see proc_meminfo(5) */
function memoryOf(meminfo: string): { total: number; used: number } | null {
  const kib = (name: string) => {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(meminfo)?.[1];
    return found === undefined ? undefined : Number(found) * 1024;
  };
  const total = kib("MemTotal");
  const available = kib("MemAvailable");
  return total === undefined || available === undefined ? null : { total, used: total - available };
}

function firstNumber(text: string, scale: number): number | null {
  const number = Number.parseFloat(text);
  return Number.isNaN(number) ? null : number * scale;
}

async function diskOf(folder: string): Promise<{ total: number; free: number } | null> {
  try {
    const { bsize, blocks, bavail } = await statfs(folder);
    return { total: bsize * blocks, free: bsize * bavail };
  } catch {
    return null; // the folder does not exist, or the system has no statfs
  }
}

async function clockOf(): Promise<{ synced: boolean | null }> {
  if (await exists(timesyncMark)) return { synced: true };
  return { synced: (await exists(timesyncFolder)) ? false : null };
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function textOf(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}
