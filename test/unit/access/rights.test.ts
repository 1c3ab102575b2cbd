// Who may serve and call what. It must not open sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type AccessConfig, makeAdmission, rightsOf } from "../../../src/access/access.ts";
import { commands } from "../../../src/cli/table.ts";
import { principals } from "../../../src/util/paths.ts";

const state = "org.plantd.State";
const logger = "org.plantd.Logger";
const sync = "org.plantd.Sync";
const driver = "org.plantd.driver.rs485-1";
const echo = "org.plantd.module.Echo";

const closed = (principals: AccessConfig["principals"] = {}) =>
  makeAdmission({ mode: "closed", principals });
const open = makeAdmission({ mode: "open", principals: {} });

type Row = readonly [principal: string, service: string, operation?: string];

/** Without an operation a row is about serving. */
const admitted: readonly Row[] = [
  ["store", state],
  ["store", logger],
  ["store", logger, "append"],
  ["sync", sync],
  ["sync", state, "changes"],
  ["sync", state, "ack"],
  ["http", state, "watch"],
  ["http", sync, "status"],
  ["http", driver, "status"],
  ["driver", driver],
  ["driver", echo],
  ["driver", state, "set-many"],
  ["driver", "mmi.service", ""],
  ["technician", driver, "write"],
  ["technician", state, "backup-restore"],
  ["technician", echo, "anything"],
  ["admin", "anything", "at-all"],
  ["admin", state, ""],
  ["appliance", "org.plantd.Appliance"],
];

const denied: readonly Row[] = [
  ["driver", state],
  ["driver", sync],
  ["driver", "org.plantd.driver"],
  ["driver", driver, "write"],
  ["driver", state, "ack"],
  ["driver", state, "backup-restore"],
  ["driver", state, ""],
  ["driver", "org.plantd", "State.set-many"],
  ["http", state],
  ["http", state, "set-many"],
  ["http", sync, "enroll"],
  ["http", driver, "write"],
  ["http", "org.plantd.driver", "status"],
  ["http", "org.plantd.driver.a.b", "status"],
  ["http", echo, "echo"],
  ["sync", state],
  ["sync", state, "backup-create"],
  ["sync", driver, "write"],
  ["store", "org.plantd.StateX"],
  ["store", driver],
  ["store", state, "set-many"],
  ["store", `${logger}.sub`, "append"],
  ["technician", state],
  ["technician", state, "ack"],
  ["technician", logger, "append"],
  ["technician", "com.example.Pump", "start"],
  ["admin", echo],
  ["network", state, "get"],
  ["network", "mmi.services", ""],
  ["", state, "get"],
  ["constructor", state, "get"],
  ["__proto__", state, "get"],
];

function isAdmitted(admission: typeof open, [principal, service, operation]: Row): boolean {
  if (operation === undefined) return admission.mayServe(principal, service);
  const isAllowed = admission.mayCallOperation(principal, service, operation);
  const reach = admission.mayCall(principal, service);
  if (isAllowed) assert.notEqual(reach, "none");
  else assert.notEqual(reach, "all");
  return isAllowed;
}

function inWords([principal, service, operation]: Row): string {
  return `${principal || "nobody"} ${operation === undefined ? "serve" : "call"} ${service} ${operation ?? ""}`;
}

test("everybody may do what their part needs", () => {
  const admission = closed();
  for (const row of admitted) assert.equal(isAdmitted(admission, row), true, inWords(row));
});

test("nobody may do anything else, unless all is open", () => {
  const admission = closed();
  for (const row of denied) {
    assert.equal(isAdmitted(admission, row), false, inWords(row));
    assert.equal(isAdmitted(open, row), true, inWords(row));
  }
});

test("nobody may offer what the broker answers itself", () => {
  const admission = closed({ store: { serve: ["*", "mmi.*", "mmi.service"] } });
  for (const principal of [...principals, "network"]) {
    for (const asked of [admission, open]) {
      assert.equal(asked.mayServe(principal, "mmi.service"), false, principal);
    }
  }
});

test("every principal may ask the broker itself", () => {
  const admission = closed({ guest: {} });
  for (const principal of [...principals, "guest"]) {
    assert.equal(admission.mayCall(principal, "mmi.broker"), "all", principal);
  }
});

test("a technician may do whatever plant asks", () => {
  const admission = closed();
  const asked = commands.flatMap(({ calls }) => calls).filter((call) => call.includes(" "));
  assert.ok(asked.length > 10);
  for (const call of asked) {
    const [service = "", operation = ""] = call.replace("<line>", "rs485-1").split(" ");
    assert.ok(admission.mayCallOperation("technician", service, operation), call);
  }
});

const patterns: readonly {
  readonly call: string;
  readonly fits: readonly (readonly [service: string, operation: string])[];
  readonly not: readonly (readonly [service: string, operation: string])[];
}[] = [
  {
    call: "*",
    fits: [
      ["a", "b"],
      ["a.b.c", "d.e"],
      ["a", ""],
    ],
    not: [],
  },
  {
    call: "a.b",
    fits: [["a", "b"]],
    not: [
      ["a.b", "b"],
      ["a", "bb"],
      ["a", ""],
      ["A", "b"],
      ["b", "a"],
      ["", "b"],
    ],
  },
  {
    call: "a.b.c",
    fits: [["a.b", "c"]],
    not: [
      ["a", "b.c"],
      ["a.b.c", ""],
      ["a.x", "c"],
      ["a.b.c", "c"],
    ],
  },
  {
    call: "a.b.*",
    fits: [
      ["a.b", "c"],
      ["a.b", "c.d"],
      ["a.b.c", "d"],
      ["a.b.c.d", "e"],
    ],
    not: [
      ["a", "b"],
      ["a", "b.c"],
      ["a.bb", "c"],
      ["a.c", "b"],
    ],
  },
  {
    call: "a.*.c",
    fits: [
      ["a.b", "c"],
      ["a.x-1", "c"],
    ],
    not: [
      ["a", "c"],
      ["a.b.b", "c"],
      ["a.b", "d"],
      ["b.a", "c"],
    ],
  },
];

test("a pattern fits the calls it names, and no other", () => {
  for (const { call, fits, not } of patterns) {
    const admission = closed({ guest: { call: [call] } });
    const asked = (service: string, operation: string) =>
      isAdmitted(admission, ["guest", service, operation]);
    for (const [service, operation] of fits) {
      assert.equal(asked(service, operation), true, `${call} fits ${service} ${operation}`);
    }
    for (const [service, operation] of not) {
      assert.equal(asked(service, operation), false, `${call} is not ${service} ${operation}`);
    }
  }
});

test("a pattern fits the services it names, and no other", () => {
  const rows = [
    { serve: "a.b", fits: ["a.b"], not: ["a", "a.b.c", "a.bb", "A.b", ""] },
    { serve: "a.*", fits: ["a.b", "a.b.c"], not: ["a", "b.a", "ab"] },
    { serve: "a.*.c", fits: ["a.b.c"], not: ["a.c", "a.b.b.c", "a.b.d"] },
    { serve: "*", fits: ["a", "a.b"], not: ["mmi.service"] },
  ];
  for (const { serve, fits, not } of rows) {
    const admission = closed({ guest: { serve: [serve] } });
    for (const name of fits) assert.ok(admission.mayServe("guest", name), `${serve} fits ${name}`);
    for (const name of not) assert.ok(!admission.mayServe("guest", name), `${serve} not ${name}`);
    assert.equal(admission.mayCall("guest", "a.b"), "none");
  }
});

test("a list that is written replaces the built-in one; the other list stays", () => {
  const admission = closed({ driver: { call: ["org.plantd.State.get"] } });
  assert.ok(admission.mayServe("driver", driver));
  assert.ok(admission.mayCallOperation("driver", state, "get"));
  assert.ok(!admission.mayCallOperation("driver", state, "set-many"));
});

test("the word default in a list stands for the built-in one", () => {
  const rights = rightsOf({ principals: { driver: { call: ["default", "a.b"] } } }).driver;
  assert.deepEqual(rights?.call, [...(rightsOf({ principals: {} }).driver?.call ?? []), "a.b"]);
});

test("a thousand services, and the rules still hold for each", () => {
  const admission = closed({ guest: { call: ["known.get"] } });
  for (let at = 0; at < 5000; at += 1) {
    assert.equal(admission.mayCall("guest", `s${at}`), "none");
    assert.ok(admission.mayCallOperation("guest", "known", "get"));
  }
});
