// drive.mjs URL ECHO calls every operation of Toxiproxy's Node client against a daemon at URL, in front of a server that
// echoes, and asserts what came back.
import assert from "node:assert/strict";
import net from "node:net";
import { Toxiproxy, Proxy, Toxic, ToxiproxyError } from "toxiproxy-node-client";

const [url, upstream] = process.argv.slice(2);
const client = new Toxiproxy(url);

// echo sends a message through a proxy and resolves to the milliseconds until it came back.
function echo(listen) {
  const [host, port] = listen.split(":");
  return new Promise((resolve, reject) => {
    const start = process.hrtime.bigint();
    const socket = net.connect(Number(port), host, () => socket.write("ping"));
    socket.on("data", () => {
      socket.end();
      resolve(Number(process.hrtime.bigint() - start) / 1e6);
    });
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("closed")));
  });
}

const refusedWith = (status) => (err) =>
  err instanceof ToxiproxyError && err.message === `Request failed with status code ${status}`;

assert.match(await client.getVersion(), /^\{"version": "2\.\d+\.\d+"\}\n$/);
assert.deepEqual(await client.getAll(), {});

// Proxies.
const redis = await client.createProxy({ name: "redis", listen: "127.0.0.1:0", upstream });
assert.ok(redis instanceof Proxy);
assert.equal(redis.enabled, true);
assert.match(redis.listen, /^127\.0\.0\.1:[1-9]\d*$/);
await echo(redis.listen);
await assert.rejects(client.createProxy({ name: "redis", listen: "127.0.0.1:0", upstream }), refusedWith(409));
await assert.rejects(client.createProxy({ name: "", listen: "", upstream: "" }), refusedWith(400));
await assert.rejects(client.get("none"), refusedWith(404));
assert.deepEqual((await client.get("redis")).toJson(), redis.toJson());
assert.deepEqual(Object.keys(await client.getAll()), ["redis"]);
assert.equal(redis.getToxiproxy(), client);

// Changes.
let changed = await redis.update({ enabled: false, listen: redis.listen, upstream });
assert.equal(changed.enabled, false);
await assert.rejects(echo(redis.listen), { code: "ECONNREFUSED" });
changed = await redis.update({ enabled: true, listen: redis.listen, upstream });
assert.deepEqual(changed.toJson(), redis.toJson());
await echo(redis.listen);

// Toxics.
const latency = await redis.addToxic({ type: "latency", attributes: { latency: 30, jitter: 0 } });
assert.ok(latency instanceof Toxic);
assert.deepEqual(latency.toJson(), {
  name: "latency_downstream", type: "latency", stream: "downstream", toxicity: 1, attributes: { latency: 30, jitter: 0 },
});
assert.ok((await echo(redis.listen)) >= 30);
await assert.rejects(redis.addToxic({ type: "latency", attributes: {} }), refusedWith(409));
await assert.rejects(redis.addToxic({ type: "none", attributes: {} }), refusedWith(400));
await assert.rejects(redis.addToxic({ type: "latency", stream: "sideways", attributes: {} }), refusedWith(400));
const slower = await latency.update({ ...latency.toJson(), toxicity: 0.5, attributes: { latency: 60 } });
assert.deepEqual(slower.attributes, { latency: 60, jitter: 0 });
assert.equal(slower.toxicity, 0.5);
assert.deepEqual((await redis.getToxic("latency_downstream")).toJson(), slower.toJson());
await slower.remove();
await assert.rejects(slower.remove(), refusedWith(404));
await assert.rejects(redis.getToxic("latency_downstream"), refusedWith(404));
for (const [type, attributes] of Object.entries({
  bandwidth: { rate: 1000 }, slow_close: { delay: 10 }, timeout: { timeout: 1000 }, reset_peer: { timeout: 10 },
  slicer: { average_size: 64, size_variation: 32, delay: 10 }, limit_data: { bytes: 1000 },
})) {
  const toxic = await redis.addToxic({ name: `a ${type}`.replace(" ", "-"), type, stream: "upstream", toxicity: 0.25, attributes });
  assert.deepEqual(toxic.toJson(), { name: `a-${type}`, type, stream: "upstream", toxicity: 0.25, attributes });
}

// Populating and resetting.
const made = await client.populate([
  { name: "one", listen: "127.0.0.1:0", upstream },
  { name: "two", listen: "127.0.0.1:0", upstream, enabled: false },
]);
assert.deepEqual(Object.keys(made), ["one", "two"]);
assert.equal(made.two.enabled, false);
await echo(made.one.listen);
await client.reset();
const all = await client.getAll();
assert.deepEqual(Object.keys(all).sort(), ["one", "redis", "two"]);
for (const proxy of Object.values(all)) {
  assert.equal(proxy.enabled, true);
  await echo(proxy.listen);
  await proxy.remove();
}
await assert.rejects(redis.remove(), refusedWith(404));
assert.deepEqual(await client.getAll(), {});
console.log("every operation answered as it should");
