// Who may serve and call what. It must not open sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { isAdmitted, type Verb } from "../../../src/access/access.ts";

const admitted: readonly (readonly [string, Verb, string])[] = [
  ["store", "serve", "org.plantd.State"],
  ["store", "serve", "org.plantd.Logger"],
  ["sync", "serve", "org.plantd.Sync"],
  ["sync", "call", "org.plantd.State"],
  ["sync", "call", "org.plantd.driver.rs485-1"],
  ["http", "call", "org.plantd.Sync"],
  ["driver", "serve", "org.plantd.driver.rs485-1"],
  ["driver", "call", "org.plantd.State"],
  ["technician", "call", "org.plantd.driver.rs485-1"],
  ["technician", "call", "anything.at.all"],
  ["driver", "call", "mmi.service"],
];

const denied: readonly (readonly [string, Verb, string])[] = [
  ["driver", "serve", "org.plantd.State"],
  ["driver", "serve", "org.plantd.Sync"],
  ["driver", "call", "org.plantd.driver.other"],
  ["http", "serve", "org.plantd.State"],
  ["sync", "serve", "org.plantd.State"],
  ["store", "serve", "org.plantd.StateX"],
  ["store", "serve", "org.plantd.driver.rs485-1"],
  ["technician", "serve", "org.plantd.State"],
  ["admin", "serve", "org.plantd.module.Echo"],
  ["network", "call", "org.plantd.State"],
  ["network", "call", "mmi.services"],
  ["", "call", "org.plantd.State"],
  ["constructor", "call", "org.plantd.State"],
  ["store", "serve", "mmi.service"],
];

for (const [principal, verb, service] of admitted) {
  test(`${principal} may ${verb} ${service}`, () => {
    assert.equal(isAdmitted("closed", principal, verb, service), true);
  });
}

for (const [principal, verb, service] of denied) {
  test(`${principal || "nobody"} may not ${verb} ${service}, unless all is open`, () => {
    assert.equal(isAdmitted("closed", principal, verb, service), false);
    assert.equal(isAdmitted("open", principal, verb, service), true);
  });
}
