// A fan-out in Node's http server with undici's client.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { Agent } from "undici";

const TIMEOUT_MS = Number(process.env.TIMEOUT_MS);
const JSON_TYPE = { "content-type": "application/json" };
const OFFERS = JSON.parse(process.env.OFFERS).map(({ offer, url, headers }) => {
  const { origin, pathname } = new URL(url);
  return { offer, origin, path: pathname, headers: { ...JSON_TYPE, ...headers } };
});

const agent = new Agent({
  connections: 512,
  keepAliveTimeout: 60_000,
  connectTimeout: TIMEOUT_MS,
  headersTimeout: TIMEOUT_MS,
  bodyTimeout: TIMEOUT_MS,
});

/** One buyer's bid, null where it has none or does not answer in time. */
async function ping(call, { offer, origin, path, headers }, pingId) {
  const body = JSON.stringify({
    ping_id: pingId,
    campaign: "bench",
    offer,
    caller: { area_code: call.caller_id.slice(2, 5), state: null, country: "US" },
    fields: call.fields,
    minimum_bid: "1.00",
    timeout_ms: TIMEOUT_MS,
  });
  try {
    const response = await agent.request({
      origin, path, method: "POST", headers, body,
    });
    const answer = await response.body.json();
    if (response.statusCode !== 200 || answer.accepted !== true) return null;
    return { offer, price: String(answer.bid), value: Number(answer.bid) };
  } catch {
    return null;
  }
}

/** Ping every buyer at once; the highest bid wins. */
async function decide(call) {
  const token = randomUUID();
  const bids = await Promise.all(OFFERS.map((offer, n) => ping(call, offer, `${token}-${n}`)));
  let best = null;
  for (const bid of bids) {
    if (bid !== null && (best === null || bid.value > best.value)) best = bid;
  }
  if (best === null) return { call_id: call.call_id, action: "no_route" };
  const { offer, price } = best;
  return {
    call_id: call.call_id, action: "route", routed_by: "auction", offer, price, currency: "USD",
  };
}

function answer(response, status, content) {
  const body = JSON.stringify(content);
  response.writeHead(status, { ...JSON_TYPE, "content-length": Buffer.byteLength(body) });
  response.end(body);
}

const server = createServer((request, response) => {
  if (request.method !== "POST" || request.url !== "/v1/calls") {
    request.resume();
    answer(response, 404, { title: "Not found" });
    return;
  }
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", async () => {
    try {
      answer(response, 200, await decide(JSON.parse(Buffer.concat(chunks))));
    } catch {
      answer(response, 400, { title: "Not a call" });
    }
  });
});
server.keepAliveTimeout = 60_000;
server.listen(Number(process.env.PORT), "127.0.0.1");
