// Opens a database that may be damaged: looked at first, set aside and replaced when it is, told
// when it was. Each step leaves a state on disk from which the next opening goes on. It must not
// know what the records mean.
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { dataFile } from "../disk/disk.ts";
import type { Clock } from "../util/clock.ts";
import { syncPath } from "../util/durable-file.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import { makeFolder } from "../util/folder.ts";
import type { Log } from "../util/log.ts";
import { type Guard, guardOf, type LastCheck } from "./guard.ts";
import { type Inspected, type Inspection, inspect } from "./inspection.ts";
import { asMediumError, isOfMedium } from "./medium.ts";
import { nextQuarantine, pruneQuarantines } from "./quarantine.ts";
import { RecoveryNotes } from "./recovery-notes.ts";
import {
  type Facts,
  type Heads,
  nextStep,
  type Recovery,
  type Step,
  type Verdict,
} from "./recovery-plan.ts";
import { listSnapshots } from "./snapshot-files.ts";
import { newestFormat } from "./tables.ts";

export interface RecoveryDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** Looks at a database; a process of its own when absent. */
  readonly inspect?: (asked: Inspection) => Promise<Inspected>;
}

export interface RecoveryOptions {
  /** Folder of the database; what is set aside stays in it. */
  readonly folder: string;
  readonly roomBytes: number;
  /** Time for a full check at the first opening; it doubles with each that fails. */
  readonly checkMs: number;
  readonly quarantinesMax: number;
}

/** Where what replaces the database is put together. */
const remainsFolder = "remains";
const incomingFolder = "incoming";
/** Replacements of one opening: sources may turn out bad one after the other. */
const stepsMax = 64;
/** Holes that are told one by one. */
const holesMax = 100;
/** A process that was killed may leave the one that looked for it a moment longer. */
const lockedTries = 10;
const lockedPauseMs = 300;

/**
 * Opens what `open` opens, once the database under it is sound or replaced.
 * @param open opens it; STORE_DAMAGED from there has it replaced, too.
 * @throws PlantError what `open` throws else; STORE_LOCKED, STORE_FULL, STORE_UNUSABLE,
 * STORE_FORMAT_NEWER: then nothing was set aside.
 */
export async function openGuarded<T>(
  deps: RecoveryDeps,
  options: RecoveryOptions,
  open: () => Promise<T>,
): Promise<{ store: T; guard: Guard }> {
  return await new Opener(deps, options).run(open);
}

class Opener {
  readonly #deps: RecoveryDeps;
  readonly #options: RecoveryOptions;
  readonly #inspect: (asked: Inspection) => Promise<Inspected>;
  readonly #notes: RecoveryNotes;
  #verdict: Verdict | undefined;
  #lastCheck: LastCheck | undefined;

  constructor(deps: RecoveryDeps, options: RecoveryOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#notes = new RecoveryNotes(options.folder);
    this.#inspect = deps.inspect ?? ((asked) => inspect(deps.clock, asked));
  }

  #at(name: string): string {
    return join(this.#options.folder, name);
  }

  async run<T>(open: () => Promise<T>): Promise<{ store: T; guard: Guard }> {
    try {
      makeFolder(this.#options.folder, 0o700);
      this.#notes.begin();
      for (let count = 0; count < stepsMax; count += 1) {
        const step = nextStep(this.#facts(), this.#options.checkMs);
        if (step.do !== "open") await this.#perform(step);
        else {
          const opened = await this.#open(open);
          if (opened !== undefined) return { store: opened.store, guard: this.#guard() };
        }
      }
    } catch (error) {
      // A refusal with a code is no death: only what ends without a word counts.
      if (error instanceof PlantError || isOfMedium(error)) this.#notes.countOpening(-1);
      if (isOfMedium(error)) throw asMediumError(error, this.#options.folder);
      throw error;
    }
    throw new PlantError("STORE_DAMAGED", { reason: "nothing that replaces it opens" });
  }

  #guard(): Guard {
    return guardOf({
      clock: this.#deps.clock,
      notes: this.#notes,
      lastCheck: this.#lastCheck,
      folder: this.#options.folder,
      leftovers: [this.#at(remainsFolder), this.#at(incomingFolder)],
    });
  }

  #facts(): Facts {
    return {
      hasData: existsSync(this.#at(dataFile)),
      isClean: this.#notes.closed !== undefined,
      failures: this.#notes.failures,
      isRewritten: this.#notes.openings.isRewritten,
      recovery: this.#notes.recovery,
      verdict: this.#verdict,
      snapshots: listSnapshots(this.#options.folder).map(({ name }) => name),
    };
  }

  /** @returns undefined when it turned out damaged. */
  async #open<T>(open: () => Promise<T>): Promise<{ store: T } | undefined> {
    const known = this.#notes.closed?.heads;
    this.#notes.forgetClosed();
    this.#notes.openedBy(newestFormat);
    try {
      return { store: await open() };
    } catch (error) {
      if (!hasCode(error, "STORE_DAMAGED")) throw error;
      this.#start(String(error.detail.reason), known);
      return undefined;
    }
  }

  async #perform(step: Exclude<Step, { do: "open" }>): Promise<void> {
    switch (step.do) {
      case "check":
        return this.#check(step);
      case "refuse":
        throw new PlantError(step.code, step.detail);
      case "begin":
        return this.#start(step.reason, this.#notes.closed?.heads);
      case "quarantine":
        return this.#quarantine();
      case "read-remains":
        return this.#readRemains();
      case "take-remains":
        return this.#take(remainsFolder, { source: step.source });
      case "take-snapshot":
        return this.#takeSnapshot(step.name);
      case "take-nothing":
        return this.#notes.note({ phase: "tell", source: "nothing", restored: {} });
      case "put-back":
        return this.#putBack();
      case "finish":
        return this.#notes.note({ phase: "tell" });
    }
  }

  async #check({ how, budgetMs }: Extract<Step, { do: "check" }>): Promise<void> {
    const { folder, roomBytes } = this.#options;
    const { clock, log } = this.#deps;
    const expected = this.#notes.closed;
    for (let count = 1; ; count += 1) {
      const asked = { do: "check", folder, roomBytes, budgetMs, expected } as const;
      const { verdict: found, tookMs } = await this.#inspect(asked);
      const verdict = this.#asItMustBe(found);
      this.#verdict = verdict;
      const isLocked = verdict.kind === "refused" && verdict.code === "STORE_LOCKED";
      if (isLocked && count < lockedTries) {
        await clock.sleep(lockedPauseMs);
        continue;
      }
      const isWhole = verdict.kind === "sound" && verdict.isWhole;
      this.#lastCheck = { atMs: clock.wallMs(), how, isWhole, tookMs };
      log.debug("the database was checked", { how, tookMs, verdict: verdict.kind, isWhole });
      return;
    }
  }

  /** Nobody who knew a newer format has opened it: then what says so is garbled. */
  #asItMustBe(verdict: Verdict): Verdict {
    const isNewer = verdict.kind === "refused" && verdict.code === "STORE_FORMAT_NEWER";
    const { knows } = this.#notes.openings;
    if (!isNewer || knows === undefined || knows > newestFormat) return verdict;
    return { kind: "damaged", reason: "it says a format that was never written" };
  }

  /** A replacement begins; what was tried for the one before stays tried. */
  #start(reason: string, known: Heads = {}): void {
    const { folder } = this.#options;
    const before = this.#notes.recovery;
    const tried = [...(before?.tried ?? [])];
    if (before?.source === "snapshot" && before.snapshot !== undefined) tried.push(before.snapshot);
    const atMs = this.#deps.clock.wallMs();
    const name = nextQuarantine(folder, atMs);
    this.#verdict = undefined;
    this.#notes.start({
      phase: "quarantine",
      name,
      reason,
      atMs,
      known: { ...before?.known, ...known },
      isClosed: this.#notes.closed !== undefined,
      tried,
    });
    this.#deps.log.error("the database is damaged and is replaced", {
      code: "STORE_DAMAGED",
      reason,
      quarantine: name,
    });
  }

  #putBack(): void {
    const aside = this.#at(this.#notes.recovery?.name ?? "");
    if (existsSync(join(aside, dataFile))) {
      renameSync(join(aside, dataFile), this.#at(dataFile));
      syncPath(this.#options.folder);
    }
    rmSync(aside, { recursive: true, force: true });
    this.#notes.end();
  }

  #quarantine(): void {
    const aside = this.#at(this.#notes.recovery?.name ?? "");
    if (existsSync(this.#at(dataFile))) {
      if (!existsSync(aside)) mkdirSync(aside, { mode: 0o700 });
      renameSync(this.#at(dataFile), join(aside, dataFile));
      syncPath(aside);
    }
    rmSync(this.#at("lock.mdb"), { force: true });
    this.#notes.forgetClosed();
    const { quarantinesMax: countMax, roomBytes } = this.#options;
    pruneQuarantines(this.#options.folder, { countMax, bytesMax: 2 * roomBytes });
    this.#notes.note({ phase: "restore" });
  }

  async #readRemains(): Promise<void> {
    const { roomBytes, checkMs } = this.#options;
    const { name, known, isClosed } = this.#notes.recovery ?? {
      name: "",
      known: {},
      isClosed: false,
    };
    const folder = this.#emptied(remainsFolder);
    const file = join(this.#at(name), dataFile);
    if (!existsSync(file)) return this.#notes.note({ remains: "none" });
    const budgetMs = checkMs * 4;
    const asked = {
      do: "read-remains",
      file,
      folder,
      roomBytes,
      budgetMs,
      known,
      isClosed,
    } as const;
    const { answer, verdict } = await this.#inspect(asked);
    if (answer?.kind !== "remains") {
      if (verdict.kind === "refused") throw new PlantError(verdict.code, verdict.detail);
      const reason = "reason" in verdict ? verdict.reason : verdict.kind;
      this.#deps.log.warn("nothing can be read of the damaged database", { reason });
      return this.#notes.note({ remains: "none" });
    }
    const { remains, heads, holes } = answer;
    renameSync(join(answer.folder, dataFile), join(folder, dataFile));
    const all = { ...heads, ...known };
    return this.#notes.note({ remains, known: all, holes: holes.slice(0, holesMax) });
  }

  async #takeSnapshot(name: string): Promise<void> {
    const folder = this.#emptied(incomingFolder);
    const snapshot = listSnapshots(this.#options.folder).find((one) => one.name === name);
    if (snapshot === undefined) return this.#skip(name);
    const staged = join(folder, dataFile);
    try {
      copyFileSync(snapshot.path, staged);
      syncPath(staged);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
      // Without room for a copy the snapshot itself is taken: it is there to be used.
      rmSync(staged, { force: true });
      renameSync(snapshot.path, staged);
    }
    return this.#take(incomingFolder, { source: "snapshot", snapshot: name });
  }

  /** Puts a new database in the place of the old one, unless it is damaged itself. */
  async #take(from: string, more: Pick<Recovery, "source" | "snapshot">): Promise<void> {
    const { roomBytes, checkMs } = this.#options;
    const folder = this.#at(from);
    const asked = { do: "check", folder, roomBytes, budgetMs: checkMs * 4 } as const;
    const { verdict, answer } = await this.#inspect(asked);
    if (verdict.kind === "refused" && verdict.code !== "STORE_FORMAT_NEWER") {
      throw new PlantError(verdict.code, verdict.detail);
    }
    const report = answer?.kind === "sound" ? answer.report : undefined;
    if (report === undefined) return this.#skip(more.snapshot ?? more.source ?? "");
    this.#notes.note({ ...more, restored: report.heads });
    renameSync(join(folder, dataFile), this.#at(dataFile));
    syncPath(this.#options.folder);
    rmSync(folder, { recursive: true, force: true });
    this.#notes.note({ phase: "tell" });
  }

  #skip(name: string): void {
    this.#deps.log.warn("it does not replace the damaged database", { tried: name });
    this.#notes.note({ tried: [...(this.#notes.recovery?.tried ?? []), name] });
  }

  /** An empty folder beside the database. */
  #emptied(name: string): string {
    const folder = this.#at(basename(name));
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { mode: 0o700 });
    return folder;
  }
}
