// What guards the open database: what was found out of it, what replaced it, and what its owner
// says of its opening and closing. It must not know how it was opened.
import { rmSync } from "node:fs";
import type { Clock } from "../util/clock.ts";
import { listQuarantines } from "./quarantine.ts";
import type { Closed, RecoveryNotes, Replaced } from "./recovery-notes.ts";
import type { Recovery } from "./recovery-plan.ts";

/** The last look at the database before it was opened. */
export interface LastCheck {
  readonly atMs: number;
  readonly how: "quick" | "full";
  /** Whether every page and row was seen. */
  readonly isWhole: boolean;
  readonly tookMs: number;
}

/** What guards the open database. */
export interface Guard {
  readonly lastCheck: LastCheck | undefined;
  /** A replacement that nobody was told of yet. */
  readonly untold: Recovery | undefined;
  /** Replacements that were told, oldest first, the newest few. */
  readonly replaced: readonly Replaced[];
  /** Folders of what was set aside, oldest first. */
  quarantines(): readonly { readonly name: string; readonly bytes: number }[];
  /** The telling is durable. */
  told(): void;
  /** Somebody has seen what was told. */
  seen(): void;
  /** The opening went well: what counts them begins anew. */
  succeeded(): void;
  /** The database is closed and held this. */
  closed(last: Closed): void;
}

export interface GuardDeps {
  readonly clock: Clock;
  readonly notes: RecoveryNotes;
  readonly lastCheck: LastCheck | undefined;
  /** Folder of the database. */
  readonly folder: string;
  /** Folders that a replacement may have left, and nobody needs once it was told. */
  readonly leftovers: readonly string[];
}

export function guardOf({ clock, notes, lastCheck, folder, leftovers }: GuardDeps): Guard {
  return {
    lastCheck,
    get untold() {
      return notes.recovery;
    },
    get replaced() {
      return notes.replaced;
    },
    quarantines: () => listQuarantines(folder),
    told() {
      if (notes.recovery === undefined) return;
      notes.told(clock.wallMs());
      for (const path of leftovers) rmSync(path, { recursive: true, force: true });
    },
    seen: () => notes.seen(clock.wallMs()),
    succeeded: () => notes.succeeded(),
    closed(last) {
      notes.succeeded();
      notes.noteClosed(last);
    },
  };
}
