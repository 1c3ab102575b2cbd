// What the kernel says of a process: memory and processor time.
// It must not know what the process does.
import { readFileSync } from "node:fs";

const kibPerMib = 1024;
/** Kernel ticks per second in /proc/<pid>/stat. */
const ticksPerSecond = 100;

/** Memory of a process in MiB. */
export interface Memory {
  readonly rss: number;
  readonly pss: number;
  readonly anonymous: number;
}

/** Memory of a process. @see proc(5), smaps_rollup */
export function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const mib = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1]) / kibPerMib;
  return { rss: mib("Rss"), pss: mib("Pss"), anonymous: mib("Anonymous") };
}

/** Processor time all threads of a process have used, in seconds. */
export function secondsOf(pid: number): number {
  const words = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
  return (Number(words[11]) + Number(words[12])) / ticksPerSecond;
}
