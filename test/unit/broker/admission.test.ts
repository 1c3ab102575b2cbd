// Who may serve and call what, asked as seldom as can be. It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bench, codeOf, errorOf, foreigners, kinds } from "../../fakes/broker.ts";
import { rfc18 } from "../../fakes/foreign-peers.ts";

const text = (value: string) => Buffer.from(value);

/** Rights with a count of the questions. */
function counted() {
  const questions: string[] = [];
  const admits = {
    mayServe(principal: string, service: string) {
      questions.push(`serve ${principal} ${service}`);
      return principal === "driver";
    },
    mayCall(principal: string, service: string) {
      questions.push(`call ${principal} ${service}`);
      if (principal === "guest") return "none" as const;
      return service === "store" ? ("some" as const) : ("all" as const);
    },
    mayCallOperation(principal: string, service: string, operation: string) {
      questions.push(`operation ${principal} ${service} ${operation}`);
      return operation === "get" || operation === "";
    },
  };
  return { questions, admits };
}

test("who may not call is DENIED, with the principal and the service", () => {
  const { ask, state } = bench({}, { admits: counted().admits });
  const error = errorOf(ask("guest/c", 1));
  assert.deepEqual(
    [error?.code, error?.detail],
    ["DENIED", { principal: "guest", service: "echo" }],
  );
  assert.deepEqual([state.refused.denied, state.services.size], [1, 0]);
});

test("a foreign client that may not call hears nothing", () => {
  const { raw, state } = bench({}, { admits: counted().admits });
  const asked = { kind: "request", service: "echo", body: [text("x")] } as const;
  assert.deepEqual(raw("guest/c", rfc18.encodeFromClient(asked)), []);
  assert.equal(state.refused.denied, 1);
});

test("who may not serve is sent away, and heard no more", () => {
  const { ready, state } = bench({}, { admits: counted().admits });
  assert.deepEqual(kinds(ready("guest/w")), ["guest/w:refused", "guest/w:disconnect"]);
  assert.deepEqual(ready("guest/w"), []);
  assert.deepEqual([state.refused.denied, state.refused.banned], [1, 1]);
  assert.deepEqual(kinds(ready("driver/w")), ["driver/w:heartbeat"]);
});

test("rights are asked for once per connection and service", () => {
  const { questions, admits } = counted();
  const { ask } = bench({ queueMax: 20, requestsPerPeerMax: 20 }, { admits });
  for (let id = 0; id < 6; id += 1) ask("user/c", id, id % 2 === 0 ? "one" : "two");
  ask("user/d", 1, "one");
  assert.deepEqual(questions, ["call user one", "call user two", "call user one"]);
});

test("where some calls are allowed the operation decides, and one that may be called is asked for once", () => {
  const { questions, admits } = counted();
  const { send } = bench({ queueMax: 20 }, { admits });
  assert.equal(codeOf(send("user/c", 1, [text("get"), text("{}")], "store")), undefined);
  assert.equal(codeOf(send("user/c", 2, [text("set"), text("{}")], "store")), "DENIED");
  assert.equal(codeOf(send("user/c", 3, [text("get"), text("{}")], "store")), undefined);
  assert.equal(codeOf(send("user/c", 4, [text("set"), text("{}")], "store")), "DENIED");
  assert.deepEqual(questions, [
    "call user store",
    "operation user store get",
    "operation user store set",
    "operation user store set",
  ]);
});

test("what cannot be an operation's name is asked for as no name", () => {
  const { questions, admits } = counted();
  const { send } = bench({ queueMax: 20 }, { admits });
  send("user/c", 1, [Buffer.from([1, 2, 3])], "store");
  send("user/c", 2, [Buffer.alloc(256, 0x61)], "store");
  assert.deepEqual(questions.slice(1), ["operation user store "]);
});

test("mmi.* is open to every principal", () => {
  const { mmi } = bench({}, { admits: counted().admits });
  assert.equal(mmi("mmi.service", "echo", "guest/c"), "404");
  assert.equal(mmi("mmi.services", "", "guest/c"), "");
});

test("of operations only those that may be called are remembered", () => {
  const { send, state } = bench({}, { admits: counted().admits });
  for (let at = 0; at < 200; at += 1) send("user/c", at, [text(`op${at}`)], "store");
  const right = () => state.peers.get("user/c")?.client?.right;
  assert.deepEqual([right()?.reach, right()?.operations], ["some", undefined]);
  send("user/c", 200, [text("get")], "store");
  assert.deepEqual([...(right()?.operations ?? [])], ["get"]);
});

test("a refusal is noted with the trace of its request, where the dialect has traces", () => {
  const admits = { mayServe: () => false, mayCall: () => "none", mayCallOperation: () => false };
  const { ready, ask, raw, traces } = bench({}, { admits } as never);
  ask("guest/c", 1);
  ready("guest/w", "elsewhere");
  const body = [Buffer.from("x")];
  for (const [, peer] of foreigners.slice(0, 1)) {
    raw("other/c", peer.encodeFromClient({ kind: "request", service: "echo", body }));
  }
  assert.deepEqual(traces, ["07".repeat(16), "", ""]);
});

test("peers that come back under other names are noted no more often", () => {
  const admits = { mayServe: () => false, mayCall: () => "none", mayCallOperation: () => false };
  const { ready, gone, notes, pass, state } = bench({}, { admits } as never);
  for (let at = 0; at < 20; at += 1) {
    ready(`guest/w${at}`);
    gone(`guest/w${at}`);
  }
  ready("else/w");
  assert.deepEqual(notes, ["guest:denied", "else:denied"]);
  assert.equal(state.refused.denied, 21);
  pass(60_000);
  ready("guest/again");
  assert.equal(notes.length, 3);
});
