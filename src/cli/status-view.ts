// One screen of status as text: verdict, why, next, lines, link, outbox, box. Pure.
// It must not know where the document came from.
import {
  describeBytes,
  describeCount,
  describeDuration,
  type StatusDocument,
} from "../status/status.ts";
import { type Colour, fittingColumns, type Output } from "./output.ts";

const marks = { ok: "●", degraded: "▲", fault: "■" } as const;
const tones: Readonly<Record<keyof typeof marks, Colour>> = {
  ok: "green",
  degraded: "yellow",
  fault: "red",
};
const blocks = "▁▂▃▄▅▆▇█";

interface ViewFlags {
  readonly verbose: boolean;
  /** Width of the screen; without a limit where nobody's screen is written to. */
  readonly columns: number;
}

const indent = 2;
/** What a narrow screen goes without, the least useful first. */
const leastOfLines = ["LAST HOUR", "SETTINGS", "LOAD>", "TURNAROUND p50/p99", "CRC>", "OK/MIN>"];
const leastOfDevices = ["PROFILE", "BUS", "LAST GOOD", "UNIT>", "CODE"];

/** The screen as text. */
export function renderStatus(status: StatusDocument, out: Output, flags: ViewFlags): string {
  const { verdict, gateway, site, time } = status;
  const tone = tones[verdict.state];
  const left = `${marks[verdict.state]} ${gateway}  ${verdict.state.toUpperCase()}  ${verdict.words}`;
  const moment = out.time(time, "clock");
  const rights = [site === "" ? moment : `${site}  ${moment}`, moment];
  const right = rights.find((words) => left.length + 3 + words.length <= flags.columns) ?? "";
  const gap = " ".repeat(Math.max(3, Math.min(flags.columns, 120) - left.length - right.length));
  const painted = left
    .replace(/^\S+/, (mark) => out.paint(tone, mark))
    .replace(verdict.state.toUpperCase(), (word) => out.paint(tone, word));
  const lines = [`${painted}${gap}${right}`.trimEnd()];
  const widest = Math.max(0, ...verdict.why.map(({ text }) => text.length));
  verdict.why.forEach(({ text, code }, at) => {
    const label = at === 0 ? "why " : "    ";
    lines.push(`  ${label}  ${text.padEnd(widest)}  ${out.paint("dim", code)}`);
  });
  if (verdict.next !== "") lines.push(`  next  ${out.paint("bold", verdict.next)}`);
  const width = flags.columns - indent;
  const sections = [
    busLines(status, width),
    flags.verbose ? deviceLines(status, out, width) : [],
    footLines(status),
  ];
  for (const section of sections) {
    if (section.length > 0)
      lines.push("", ...section.map((line) => `${" ".repeat(indent)}${line}`));
  }
  return lines.join("\n");
}

function busLines({ buses }: StatusDocument, width: number): string[] {
  if (buses.length === 0) return [];
  const names = ["BUS", "SETTINGS", "STATE", "DEVICES>", "OK/MIN>", "TIMEOUT>", "CRC>", "LOAD>"];
  const rows = buses.map((bus) => {
    const { p50, p99 } = bus.turnaroundMs;
    return [
      bus.line,
      bus.settings ?? bus.kind ?? "–",
      bus.state,
      bus.state === "down" ? "–" : `${bus.devicesOk}/${bus.devicesTotal}`,
      count(bus.okPerMinute),
      count(bus.timeouts),
      count(bus.crc),
      bus.loadPercent === null ? "–" : `${Math.round(bus.loadPercent)} %`,
      p50 === null || p50 === 0 ? "–" : `${Math.round(p50)} / ${Math.round(p99 ?? p50)} ms`,
      curve(bus.lastHour),
    ];
  });
  const all = [...names, "TURNAROUND p50/p99", "LAST HOUR"];
  return fittingColumns(all, rows, { width, least: leastOfLines });
}

function deviceLines({ devices, time }: StatusDocument, out: Output, width: number): string[] {
  if (devices.length === 0) return [];
  const rows = devices.map((device) => [
    device.name,
    device.line,
    device.unit === null ? "–" : String(device.unit),
    device.profile ?? "–",
    device.state,
    device.code ?? "–",
    device.lastGood === null ? "–" : out.time(device.lastGood),
    device.lastGood === null ? "–" : describeDuration(time - device.lastGood),
  ]);
  const names = ["DEVICE", "BUS", "UNIT>", "PROFILE", "STATE", "CODE", "LAST GOOD", "AGE>"];
  return fittingColumns(names, rows, { width, least: leastOfDevices });
}

function footLines(status: StatusDocument): string[] {
  const down = status.parts.filter(({ state }) => state === "down").map(({ name }) => name);
  return [
    `LINK    ${join(linkWords(status))}`,
    `OUTBOX  ${join(outboxWords(status))}`,
    `BOX     ${join(boxWords(status))}`,
    `PARTS   ${down.length === 0 ? `${status.parts.length} answer` : `${down.join(", ")} down`}`,
  ];
}

function linkWords({ link, time }: StatusDocument): string[] {
  if (link.enrolled === false) return ["not enrolled"];
  if (link.state === "unknown") return ["not known"];
  const isUp = link.state === "up";
  return [
    isUp ? "connected" : link.state,
    link.since === null ? "" : `${isUp ? "" : "for "}${describeDuration(time - link.since)}`,
    link.paused === true ? " paused" : "",
    link.mqtt === null ? "" : ` ${link.mqtt}`,
    link.lastAck === null ? "" : ` last ack ${ago(link.lastAck, time)}`,
    isUp || link.reason === null ? "" : ` ${link.reason}`,
  ];
}

function outboxWords({ outbox, time }: StatusDocument): string[] {
  const { waiting, oldest, drainMs } = outbox;
  return [
    waiting === null ? "not known" : `${describeCount(waiting)} waiting`,
    oldest === null ? "" : ` oldest ${ago(oldest, time)}`,
    drainMs === null ? "" : ` empty in about ${describeDuration(drainMs)}`,
  ];
}

function boxWords({ box }: StatusDocument): string[] {
  const { version, memory, disk, clock, uptimeMs, load, store } = box;
  return [
    `plantd-edge ${version}`,
    uptimeMs === null ? "" : ` up ${describeDuration(uptimeMs)}`,
    load === null ? "" : ` load ${load.toFixed(2)}`,
    memory === null ? "" : ` mem ${describeBytes(memory.used)}`,
    disk === null ? "" : ` disk ${Math.round((1 - disk.free / Math.max(1, disk.total)) * 100)} %`,
    store.room === null ? "" : ` store ${percent(store.room)}`,
    store.wearPerDay === null ? "" : ` wear ${describeBytes(store.wearPerDay)}/day`,
    clock.synced === null ? "" : ` clock ${clock.synced ? "synced" : "not synced"}`,
  ];
}

function percent({ used, total }: { readonly used: number; readonly total: number }): string {
  return `${Math.round((100 * used) / Math.max(1, total))} %`;
}

function ago(moment: number, time: number): string {
  return `${describeDuration(time - moment)} ago`;
}

function join(words: readonly string[]): string {
  return words.filter((word) => word !== "").join(" ");
}

function count(value: number | null): string {
  return value === null ? "–" : describeCount(value);
}

/** Ten characters of an hour. */
function curve(values: readonly number[]): string {
  const top = Math.max(1, ...values);
  return values.map((value) => blocks[Math.round((value / top) * 7)] ?? "").join("");
}
