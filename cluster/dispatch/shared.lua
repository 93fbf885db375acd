-- What admission, settlement and withdrawal share. Before this text stands the table `key`, which names all keys.
--
-- An admission `a` has: request, ticket (its id), tenant, key, gateway, version, open (the open record: a JSON object without
-- its leading brace), traceparent, nodes (each {id, name, capacity}), score (when it was received, less the head start of its
-- class), deadline, cost (work expected), weight (of the tenant), counted (those of key and tenant that may have so many at once only).
-- A call of Redis from Lua costs more than what most commands do: what is read together is read at once.
local DRAIN_SECONDS = 60

-- One clock for all gateways.
local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

-- Redis turns numbers into text with 14 digits, of which Unix seconds need 10.
local function text(number)
  return string.format('%.17g', number)
end

-- Rates: the generic cell rate algorithm (ITU-T I.371) with a minute's worth of burst. A key holds the theoretical arrival time.
local function rate_arrival(what, owner, at)
  return math.max(tonumber(redis.call('GET', key.rate(what, owner)) or at), at)
end

local function rate_wait(arrival, most, amount, at)
  -- What is larger than the whole burst passes when nothing else was taken.
  return math.max(0, arrival + math.min(amount, most) * 60 / most - 60 - at)
end

local function rate_take(arrival, what, owner, most, amount, at)
  arrival = arrival + amount * 60 / most
  if arrival > at then
    redis.call('SET', key.rate(what, owner), text(arrival), 'PX', math.ceil((arrival - at) * 1000) + 1000)
  else
    redis.call('DEL', key.rate(what, owner))
  end
end

-- How fast requests of a version end: an exponentially weighted count, true from its first second on.
local function drained(version, at)
  local name = key.drained(version)
  local held = redis.call('HMGET', name, 'rate', 'at', 'since')
  local rate, last = tonumber(held[1] or 0), tonumber(held[2] or at)
  rate = rate * math.exp((last - at) / DRAIN_SECONDS) + 1 / DRAIN_SECONDS
  redis.call('HSET', name, 'rate', text(rate), 'at', text(at), 'since', held[3] or text(at))
  if not held[3] or math.floor(at / DRAIN_SECONDS) ~= math.floor(last / DRAIN_SECONDS) then
    redis.call('EXPIRE', name, 20 * DRAIN_SECONDS)
  end
end

local function drain_rate(version, at)
  local held = redis.call('HMGET', key.drained(version), 'rate', 'at', 'since')
  if not held[1] then
    return 0
  end
  local seen = 1 - math.exp((tonumber(held[3]) - at) / DRAIN_SECONDS)
  return tonumber(held[1]) * math.exp((tonumber(held[2]) - at) / DRAIN_SECONDS) / math.max(seen, 1 / DRAIN_SECONDS)
end

-- Fairness: start-time fair queueing (Goyal, Vin and Cheng, 1996). A tenant's virtual time grows by the work it is given over its
-- weight; whoever has the least is served next.
local function work_of(tenant)
  return tonumber(redis.call('HGET', key.work, tenant) or 0)
end

-- A tenant that has nothing waiting (`fresh`) gets no credit for the time before.
local function begin_work(tenant, fresh)
  local held = redis.call('HMGET', key.work, tenant, '')
  local own, served = tonumber(held[1] or 0), tonumber(held[2] or 0)
  return fresh and math.max(own, served) or own, served
end

local function charge(tenant, work, weight, fresh)
  local start, served = begin_work(tenant, fresh)
  redis.call('HSET', key.work, tenant, text(start + work / weight), '', text(math.max(start, served)))
end

local function catch_up(tenant)
  redis.call('HSET', key.work, tenant, text(begin_work(tenant, true)))
end

-- Put the ticket into the node's inbox, and wake the node unless it is awake.
local function give(a, node, ticket, at, fresh)
  redis.call('SADD', key.node_slots(node[1]), a.ticket)
  redis.call('HSET', key.open, a.request,
    '{"node":"' .. node[1] .. '","node_name":"' .. node[2] .. '","given_at":' .. text(at) .. ',' .. a.open)
  redis.call('RPUSH', key.node_inbox(node[1]), ticket)
  charge(a.tenant, a.cost, a.weight, fresh)
  if redis.call('SET', key.node_drain(node[1]), a.ticket, 'PX', 5000, 'NX') then
    -- Function replacements: ids and trace contexts are taken as they stand, whatever they hold.
    local values = { ID = a.ticket, TRACE = a.traceparent, QUEUE = key.node_queue(node[1]) }
    local message = wake_message:gsub('@(%u+)@', function(name) return values[name] end)
    redis.call('LPUSH', key.node_queue(node[1]), message)
  end
end

local function enqueue(a)
  for _, node in ipairs(a.nodes) do
    redis.call('ZADD', key.queue_node_tenant(node[1], a.tenant), text(a.score), a.request)
    redis.call('SADD', key.queue_node(node[1]), a.tenant)
  end
end

local function dequeue(a)
  for _, node in ipairs(a.nodes) do
    local name = key.queue_node_tenant(node[1], a.tenant)
    redis.call('ZREM', name, a.request)
    if redis.call('EXISTS', name) == 0 then
      redis.call('SREM', key.queue_node(node[1]), a.tenant)
    end
  end
end

-- It waits no more.
local function drop(a)
  dequeue(a)
  redis.call('ZREM', key.queue_tenant(a.tenant), a.request)
  redis.call('ZREM', key.waiting, a.request)
  redis.call('DEL', key.queue_entry(a.request))
end

local function release(a)
  for _, owner in ipairs(a.counted) do
    redis.call('SREM', key.active(owner), a.request)
  end
end

local function entry(request)
  local packed = redis.call('HGET', key.queue_entry(request), 'a')
  return packed and cmsgpack.unpack(packed)
end

-- The tenant's first request that waits for the node and is still wanted.
local function head(node, tenant, at)
  local name = key.queue_node_tenant(node, tenant)
  while true do
    local first = redis.call('ZRANGE', name, 0, 0)[1]
    if not first then
      redis.call('SREM', key.queue_node(node), tenant)
      return nil
    end
    local a = entry(first)
    if not a then
      redis.call('ZREM', name, first)
    elseif a.deadline <= at or redis.call('EXISTS', key.gateway_alive(a.gateway)) == 0 then
      drop(a)
      release(a)
    else
      return a
    end
  end
end

-- Free slots of a node, as it says itself and the control plane allows.
local function room(node)
  local state = redis.call('GET', key.node_state(node))
  -- A pattern: the state of a node with many models is long, and this is asked at every settlement while requests wait.
  local capacity = state and state:match('"capacity":(%d+)')
  local registered = redis.call('HGET', key.directory('nodes'), node)
  if not capacity or state:find('"draining":true', 1, true) or (registered and registered:find('"schedulable":false', 1, true)) then
    return 0
  end
  return tonumber(capacity) - redis.call('SCARD', key.node_slots(node))
end

-- Give the node's free slots to those who wait for it, the tenant that had the least work first.
local function fill(node, at)
  local tenants = redis.call('SMEMBERS', key.queue_node(node))
  if #tenants == 0 then
    return
  end
  for _ = 1, room(node) do
    local best, least
    for _, tenant in ipairs(tenants) do
      local a = head(node, tenant, at)
      local work = a and work_of(tenant)
      if a and (not best or work < least or (work == least and a.score < best.score)) then
        best, least = a, work
      end
    end
    if not best then
      return
    end
    local ticket = redis.call('HGET', key.queue_entry(best.request), 't')
    drop(best)
    for _, each in ipairs(best.nodes) do
      if each[1] == node then
        give(best, each, ticket, at)
      end
    end
    redis.call('PUBLISH', key.granted(best.gateway), best.ticket .. ' ' .. node)
  end
end
