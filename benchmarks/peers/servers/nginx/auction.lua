-- A fan-out in nginx with lua-nginx-module: cosockets kept alive, one light thread per buyer.
local cjson = require "cjson"

local TIMEOUT_MS = tonumber(os.getenv("TIMEOUT_MS"))
local POOL = { pool_size = 2048 }

local offers = cjson.decode(os.getenv("OFFERS"))
for _, each in ipairs(offers) do
  local host, port, path = each.url:match("^http://([%d.]+):(%d+)(/.*)$")
  each.host, each.port = host, tonumber(port)
  local lines = { "POST " .. path .. " HTTP/1.1", "Host: " .. host .. ":" .. port }
  for name, value in pairs(each.headers) do lines[#lines + 1] = name .. ": " .. value end
  lines[#lines + 1] = "Content-Type: application/json"
  each.head = table.concat(lines, "\r\n") .. "\r\nContent-Length: "
end

local function exchange(socket, offer, body)
  local sent, fault = socket:send({ offer.head, #body, "\r\n\r\n", body })
  if not sent then return nil, fault end
  local head, broken = socket:receiveuntil("\r\n\r\n")()
  if not head then return nil, broken end
  local length = head:match("\r\n[Cc]ontent%-[Ll]ength: *(%d+)")
  if not length then return nil, "no length" end
  local answer, torn = socket:receive(tonumber(length))
  if not answer then return nil, torn end
  return head:match("^HTTP/1%.1 (%d+)"), answer
end

-- One buyer's bid, nil where it has none or does not answer in time.
local function ping(call, offer, ping_id)
  local body = cjson.encode({
    ping_id = ping_id,
    campaign = "bench",
    offer = offer.offer,
    caller = { area_code = call.caller_id:sub(3, 5), state = cjson.null, country = "US" },
    fields = call.fields,
    minimum_bid = "1.00",
    timeout_ms = TIMEOUT_MS,
  })
  local socket = ngx.socket.tcp()
  socket:settimeouts(TIMEOUT_MS, TIMEOUT_MS, TIMEOUT_MS)
  if not socket:connect(offer.host, offer.port, POOL) then return nil end
  local status, answer = exchange(socket, offer, body)
  if not status then
    socket:close()
    return nil
  end
  socket:setkeepalive(60000)
  local readable, bid = pcall(cjson.decode, answer)
  if status ~= "200" or not readable or bid.accepted ~= true then return nil end
  return { offer = offer.offer, price = tostring(bid.bid), value = tonumber(bid.bid) }
end

local function decide()
  ngx.req.read_body()
  local call = cjson.decode(ngx.req.get_body_data())
  local token = ngx.var.request_id
  local threads = {}
  for n, offer in ipairs(offers) do
    threads[n] = ngx.thread.spawn(ping, call, offer, token .. "-" .. n)
  end
  local best
  for _, thread in ipairs(threads) do
    local done, bid = ngx.thread.wait(thread)
    if done and bid and (not best or bid.value > best.value) then best = bid end
  end
  local answer = { call_id = call.call_id, action = "no_route" }
  if best then
    answer = {
      call_id = call.call_id, action = "route", routed_by = "auction",
      offer = best.offer, price = best.price, currency = "USD",
    }
  end
  local body = cjson.encode(answer)
  ngx.header.content_type = "application/json"
  ngx.header.content_length = #body
  ngx.print(body)
end

return { decide = decide }
